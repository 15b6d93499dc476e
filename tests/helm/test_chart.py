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
from tests.helm.conftest import CHART, ROOT, Helm, Render, one
from tests.helm.values import EVERYTHING, SETS, TYPOS

OPERATOR = {"ServiceMonitor", "PrometheusRule"}  # kinds of the Prometheus operator: Kubernetes has no schema
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


@pytest.mark.parametrize("kubernetes", ["1.25", "1.37"])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_kubernetes_old_and_new_knows_every_field(
    render: Render, values: dict[str, Any], kubernetes: str
) -> None:
    manifests = [m for m in render(values, kubernetes) if m["kind"] not in OPERATOR]
    assert {"DaemonSet", "ConfigMap"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


def test_the_oldest_kubernetes_that_is_tested_is_the_oldest_that_is_allowed(helm: Helm) -> None:
    assert helm("template", CHART, "--kube-version", "1.25").returncode == 0
    refused = helm("template", CHART, "--kube-version", "1.24")
    assert refused.returncode != 0
    assert "incompatible with Kubernetes" in refused.stderr


@pytest.mark.parametrize("values", TYPOS.values(), ids=TYPOS)
def test_a_typo_in_the_values_is_refused(helm: Helm, tmp_path: Path, values: dict[str, Any]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
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
    """A key added to sidecar/settings must be added to helm/zmban/values.schema.json, too."""
    allowed = schema()["properties"]["settings"]["properties"]
    real = Settings.model_fields
    assert set(allowed) == set(real) - {"serve"}
    for section, part in allowed.items():
        fields = real[section].annotation.model_fields  # type: ignore[union-attr]
        assert set(part["properties"]) == set(fields), section


def test_settings_arrive_in_zmban_as_they_were_given(render: Render) -> None:
    text = one(render(EVERYTHING), "ConfigMap", "guard-settings")["data"]["zmban.toml"]
    parsed = tomllib.loads(text)
    assert parsed == EVERYTHING["settings"]
    assert isinstance(parsed["kernel"]["table"], int)
    Settings(**parsed)


def test_jails_and_filters_arrive_letter_by_letter(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert one(manifests, "ConfigMap", "guard-jails")["data"] == EVERYTHING["jails"]
    assert one(manifests, "ConfigMap", "guard-filters")["data"] == EVERYTHING["filters"]


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
    done = helm("install", "mail", CHART, "-n", "zimbra", "--dry-run=client")
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    for words in (
        "pod-security.kubernetes.io/enforce=privileged",
        "externalTrafficPolicy: Local",
        "zmban check",
        "zmban.dry_run = true",
        "zmban flush",
    ):
        assert words in notes
    assert "dry" not in notes.partition("1.")[0]
    dry = helm("install", "mail", CHART, "--dry-run=client", "--set", "dryRun=true").stdout
    assert "until you set dryRun to false" in dry
