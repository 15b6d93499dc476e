"""The chart: helm and Kubernetes accept it, misspelt values are rejected, and its texts are correct."""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sidecar.settings import Settings
from tests.helm import settings_schema
from tests.helm.conftest import CHART, IMAGE, ROOT, Helm, Manifest, Render, one
from tests.helm.values import EVERYTHING, REFUSED, SETS, TYPOS

OLDEST = (1, 25)  # as kubeVersion in Chart.yaml
OPERATOR = {
    "ServiceMonitor",
    "PodMonitor",
    "PrometheusRule",
}  # kinds of the Prometheus operator: Kubernetes has no schema
RULES = ROOT / "config/prometheus/rules/zmban.yml"
DASHBOARD = ROOT / "config/grafana/dashboards/zmban.json"
ATTACK = DASHBOARD.with_name("zmban-attack.json")


def schema() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return read


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_helm_finds_no_fault(helm: Helm, tmp_path: Path, values: dict[str, Any]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    done = helm("lint", "--strict", CHART, "-f", file)
    assert done.returncode == 0, done.stdout + done.stderr


def known() -> list[str]:
    """The versions that the validator knows, and the chart allows, oldest first."""
    every = {tuple(map(int, one.split(".")[:2])) for one in kubernetes_validate.utils.all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(every) if (major, minor) >= OLDEST]


@pytest.mark.parametrize("kubernetes", [known()[0], known()[-1]])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_kubernetes_old_and_new_knows_every_field(
    render: Render, values: dict[str, Any], kubernetes: str
) -> None:
    manifests = [m for m in render(values, kubernetes) if m["kind"] not in OPERATOR]
    assert {"DaemonSet", "ConfigMap"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


def test_the_oldest_kubernetes_that_is_tested_is_the_oldest_that_is_allowed(helm: Helm) -> None:
    given = ("--set", f"image.repository={IMAGE}")
    assert helm("template", CHART, "--kube-version", known()[0], *given).returncode == 0
    refused = helm("template", CHART, "--kube-version", "1.24", *given)
    assert refused.returncode != 0
    assert "incompatible with Kubernetes" in refused.stderr


def merged(values: dict[str, Any]) -> dict[str, Any]:
    return {"image": {"repository": IMAGE}} | values


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_work_is_refused_with_the_cure(
    helm: Helm, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(merged(values)))
    linted, rendered = helm("lint", CHART, "-f", file), helm("template", CHART, "-f", file)
    assert rendered.returncode != 0
    assert message in rendered.stderr
    assert linted.returncode != 0
    assert message in linted.stdout


def test_all_refusals_are_told_at_once(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(
        yaml.safe_dump({"podLabels": {"helm.sh/chart": "x"}, "settings": {"kernel": {"table": 0}}})
    )
    said = helm("template", CHART, "-f", file).stderr
    assert all(words in said for words in ("image.repository", "podLabels", "settings.kernel.table"))


@pytest.mark.parametrize("values", TYPOS.values(), ids=TYPOS)
def test_a_typo_in_the_values_is_refused(helm: Helm, tmp_path: Path, values: dict[str, Any]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(merged(values)))
    linted, rendered = helm("lint", CHART, "-f", file), helm("template", CHART, "-f", file)
    assert linted.returncode != 0
    assert "[ERROR] values.yaml" in linted.stdout
    assert rendered.returncode != 0
    assert "values don't meet the specifications of the schema" in rendered.stderr


def test_every_value_is_known_to_the_schema_and_the_other_way_round() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    properties = schema()["properties"]
    assert set(values) == set(properties) - {"global"}
    for name, part in values.items():
        if (
            isinstance(part, dict)
            and "properties" in properties[name]
            and "patternProperties" not in properties[name]
        ):
            assert set(part) <= set(properties[name]["properties"]), name


def test_the_schema_names_the_settings_of_zmban() -> None:
    """After a change of sidecar/settings/schema.py: .venv/bin/python -m tests.helm.settings_schema"""
    assert schema()["properties"]["settings"] == settings_schema.generated()


def texts(manifests: list[Manifest], prefix: str) -> dict[str, str]:
    """The files in the only ConfigMap whose name begins so."""
    (found,) = (
        m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith(f"{prefix}-")
    )
    data: dict[str, str] = found["data"]
    return data


def test_settings_arrive_in_zmban_as_they_were_given(render: Render) -> None:
    text = texts(render(EVERYTHING), "guard-settings")["zmban.toml"]
    parsed = tomllib.loads(text)
    assert parsed == EVERYTHING["settings"]
    assert isinstance(parsed["kernel"]["table"], int)
    Settings(**parsed)


def test_jails_and_filters_arrive_letter_by_letter(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert texts(manifests, "guard-jails") == EVERYTHING["jails"]
    assert texts(manifests, "guard-filters") == EVERYTHING["filters"]


def test_rules_and_dashboard_are_those_of_the_project(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert one(manifests, "PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    carried = one(manifests, "ConfigMap", "guard-dashboard")["data"]
    for name, source in (("zmban.json", DASHBOARD), ("zmban-attack.json", ATTACK)):
        assert json.loads(carried[name]) == json.loads(source.read_text())


def test_the_packed_chart_carries_rules_and_dashboard_themselves(helm: Helm, tmp_path: Path) -> None:
    done = helm("package", CHART, "-d", tmp_path)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.glob("zmban-*.tgz"))) as packed:
        for name, source in (
            ("rules.yml", RULES),
            ("dashboard.json", DASHBOARD),
            ("dashboard-attack.json", ATTACK),
        ):
            carried = packed.extractfile(f"zmban/files/{name}")
            assert carried is not None
            assert carried.read() == source.read_bytes()


def test_the_chart_installs_the_version_of_this_checkout() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]


def test_the_notes_name_the_way_out_of_a_lockout_and_what_kubernetes_must_allow(helm: Helm) -> None:
    given = ("--dry-run=client", "--set", f"image.repository={IMAGE}")
    done = helm("install", "mail", CHART, "-n", "zimbra", *given)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    for words in (
        "pod-security.kubernetes.io/enforce=privileged",
        "externalTrafficPolicy: Local",
        "zmban check",
        "zmban.dry_run = true",
        "zmban flush",
        "zmban flush --uninstall --state /host/var/lib/zmban",
        "helm -n zimbra test mail --logs",
        "for pod in $(kubectl -n zimbra get pods -o name",
        "--set uninstall=flush",
    ):
        assert words in notes
    assert "dry" not in notes.partition("1.")[0]
    dry = helm("install", "mail", CHART, *given, "--set", "dryRun=true").stdout
    assert "until you set dryRun to false" in dry
