"""docs/kubernetes.md: each block of YAML is values that the chart takes, or an object that Kubernetes knows."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.helm.conftest import ROOT, Render, one
from tests.helm.test_chart import known

PAGE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
VALUES = [yaml.safe_load(block) for block in BLOCKS if block.startswith("# values\n")]
OBJECTS = [yaml.safe_load(block) for block in BLOCKS if not block.startswith("# values\n")]
OPENSHIFT = "SecurityContextConstraints"


@pytest.mark.parametrize("values", VALUES)
def test_the_chart_takes_the_values_of_the_page(render: Render, values: dict[str, Any]) -> None:
    assert one(render(values), "DaemonSet", "mail-zmban")


@pytest.mark.parametrize("kubernetes", [known()[0], known()[-1]])
def test_kubernetes_knows_every_field_of_the_sidecar(kubernetes: str) -> None:
    (sidecar,) = (made for made in OBJECTS if made["kind"] == "Pod")
    kubernetes_validate.validate(sidecar, kubernetes, strict=True)
    volumes = {volume["name"] for volume in sidecar["spec"]["volumes"]}
    for container in sidecar["spec"]["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_constraints_for_openshift_allow_what_the_chart_needs_and_name_its_accounts(
    render: Render,
) -> None:
    (constraints,) = (made for made in OBJECTS if made["kind"] == OPENSHIFT)
    manifests = render(
        {"fullnameOverride": "zmban", "serviceAccount": {"name": "zmban"}, "uninstall": "flush"}
    )
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    assert {user.rsplit(":", 1)[1] for user in constraints["users"]} == accounts
    for made in manifests:
        if made["kind"] not in ("DaemonSet", "Job"):
            continue
        spec = made["spec"]["template"]["spec"]
        kinds = {next(kind for kind in volume if kind != "name") for volume in spec["volumes"]}
        assert kinds <= set(constraints["volumes"])
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            rights = container["securityContext"]["capabilities"]
            assert set(rights.get("add", [])) <= set(constraints["allowedCapabilities"])
