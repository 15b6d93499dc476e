"""The pods: minimal rights, the node's network, and rolling updates for a new configuration."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.settings import read
from tests.helm.conftest import Manifest, Render, container, one, pod
from tests.helm.values import EVERYTHING, SETS, SPARSE

CHECKSUM = "checksum/config"


def checksum(manifests: list[Manifest]) -> str:
    text: str = one(manifests, "DaemonSet")["spec"]["template"]["metadata"]["annotations"][CHECKSUM]
    return text


def volumes(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {volume["name"]: volume for volume in pod(manifests)["volumes"]}


def mounts(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {mount["name"]: mount for mount in container(manifests)["volumeMounts"]}


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """Variables with a fixed value, filled in as on a node with the address 192.0.2.5."""
    given = container(manifests)["env"]
    return {
        entry["name"]: entry["value"].replace("$(HOST_IP)", "192.0.2.5")
        for entry in given
        if "value" in entry
    }


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_container_may_write_routes_and_read_logs_and_nothing_else(
    render: Render, values: dict[str, Any]
) -> None:
    assert container(render(values))["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "DAC_READ_SEARCH"]},
    }


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_pod_shares_the_nodes_network_and_nothing_else(render: Render, values: dict[str, Any]) -> None:
    spec = pod(render(values))
    assert spec["hostNetwork"] is True
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_nothing_speaks_to_the_api_server(render: Render, values: dict[str, Any]) -> None:
    manifests = render(values)
    assert pod(manifests)["automountServiceAccountToken"] is False
    allowed = {"DaemonSet", "ConfigMap", "Service", "ServiceMonitor", "PrometheusRule"}
    assert {manifest["kind"] for manifest in manifests} <= allowed


def test_kubernetes_adds_no_variables_among_our_settings(render: Render) -> None:
    assert pod(render())["enableServiceLinks"] is False


def test_logs_are_mounted_read_only_where_the_jails_name_them(render: Render) -> None:
    manifests = render(EVERYTHING)
    logs = {name: mount for name, mount in mounts(manifests).items() if name.startswith("log-")}
    assert all(mount["readOnly"] and mount["recursiveReadOnly"] == "IfPossible" for mount in logs.values())
    places = {mount["mountPath"]: volumes(manifests)[name]["hostPath"] for name, mount in logs.items()}
    assert places == {
        "/opt/zimbra/log": {"path": "/opt/zimbra/log", "type": "Directory"},
        "/var/log": {"path": "/srv/zimbra/syslog", "type": "Directory"},
        "/logs/b": {"path": "/srv/b", "type": "Directory"},
    }


def test_a_log_directory_can_be_left_out(render: Render) -> None:
    assert [name for name in mounts(render(SPARSE)) if name.startswith("log-")] == ["log-zimbra"]


def test_only_state_maps_socket_and_scratch_can_be_written(render: Render) -> None:
    manifests = render(EVERYTHING)
    writable = {
        name: mount["mountPath"] for name, mount in mounts(manifests).items() if not mount.get("readOnly")
    }
    assert writable == {
        "state": "/var/lib/zmban", "domains": "/var/lib/zmban-domains", "run": "/run/zmban", "tmp": "/tmp"
    }  # fmt: skip
    assert volumes(manifests)["state"]["hostPath"] == {"path": "/var/lib/zmban", "type": "DirectoryOrCreate"}
    assert all(volumes(manifests)[name]["emptyDir"]["medium"] == "Memory" for name in ("run", "tmp"))


def test_the_maps_of_refused_domains_lie_where_zmban_writes_them(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert volumes(manifests)["domains"]["hostPath"]["path"] == "/srv/zimbra/zmban"
    variables = {one["name"]: one.get("value") for one in container(manifests)["env"]}
    assert variables["ZMBAN_DOMAINS_DIRECTORY"] == mounts(manifests)["domains"]["mountPath"]
    assert "domains" not in mounts(render({}))


def test_every_volume_is_mounted_and_every_mount_has_its_volume(render: Render) -> None:
    for values in SETS.values():
        manifests = render(values)
        assert set(volumes(manifests)) == set(mounts(manifests))


def test_configuration_lies_where_zmban_looks_for_it(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert mounts(manifests)["config"]["mountPath"] == "/etc/zmban"
    assert mounts(manifests)["fail2ban"]["mountPath"] == "/etc/fail2ban"
    sources = [source["configMap"] for source in volumes(manifests)["config"]["projected"]["sources"]]
    laid: dict[str, str] = {}
    for source in sources:
        data = one(manifests, "ConfigMap", source["name"])["data"]
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        laid |= {item["path"]: data[item["key"]] for item in items}
    assert set(laid) == {"zmban.toml", "jail.d/zimbra.local", "filter.d/own.conf"}


@pytest.mark.parametrize(
    "change",
    [
        {"jails": {"zimbra.local": "[zimbra-smtp]\nmaxretry = 9\n"}},
        {"filters": {"own.conf": "[Definition]\nfailregex = ^<HOST>$\n"}},
        {"settings": {"trust": {"admins": ["198.51.100.0/24"]}}},
    ],
    ids=["jails", "filters", "settings"],
)
def test_a_change_of_the_configuration_is_read_by_the_pods_or_rolls_them(
    render: Render, change: dict[str, Any]
) -> None:
    assert checksum(render()) == checksum(render(change))
    rolled = {"watch": False}
    assert checksum(render(rolled)) == checksum(render({"podLabels": {"a": "b"}, **rolled}))
    assert checksum(render(rolled)) != checksum(render(change | rolled))


def test_what_counts_from_a_start_to_the_next_rolls_the_pods(render: Render) -> None:
    assert checksum(render()) != checksum(render({"settings": {"kernel": {"preference": 300}}}))


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_probes_ask_on_loopback_where_zmban_listens(render: Render, values: dict[str, Any]) -> None:
    made = container(render(values))
    port = next(p for p in made["ports"] if p["name"] == "http")
    assert port["hostIP"] == "127.0.0.1"
    assert environment(render(values))["ZMBAN_SERVE_LISTEN"] == f"127.0.0.1:{port['containerPort']}"
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert made[probe]["httpGet"] == {"host": "127.0.0.1", "port": "http", "path": path}


def test_metrics_leave_the_node_on_its_own_address_only(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(render()).items():
        monkeypatch.setenv(name, value)
    assert read([]).settings.serve.metrics == "192.0.2.5:9178"
    assert read([]).settings.serve.listen == "127.0.0.1:9177"
    assert environment(render(EVERYTHING))["ZMBAN_SERVE_METRICS"] == "[192.0.2.5]:19178"


def test_without_metrics_there_is_nothing_to_scrape(render: Render) -> None:
    manifests = render(SPARSE)
    assert "ZMBAN_SERVE_METRICS" not in environment(manifests)
    assert [port["name"] for port in container(manifests)["ports"]] == ["http"]
    assert not [manifest for manifest in manifests if manifest["kind"] == "Service"]


def test_the_service_lists_every_node_and_the_monitor_finds_it(render: Render) -> None:
    manifests = render(EVERYTHING)
    service, monitor = one(manifests, "Service"), one(manifests, "ServiceMonitor")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = one(manifests, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert {"targetLabel": "job", "replacement": "zmban"} in endpoint["relabelings"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_a_dry_run_is_asked_for_on_the_command_line(render: Render) -> None:
    assert container(render())["args"] == ["run", "--watch"]
    assert container(render({"dryRun": True, "watch": False}))["args"] == ["run", "--dry-run"]


def test_values_of_the_pods_reach_the_pods(render: Render) -> None:
    manifests = render(EVERYTHING)
    spec, made = pod(manifests), container(manifests)
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        expected = EVERYTHING[name]
        assert spec[name] == (
            {"kubernetes.io/os": "linux"} | expected if name == "nodeSelector" else expected
        )
    assert made["image"] == f"{EVERYTHING['image']['repository']}@{EVERYTHING['image']['digest']}"
    assert all(variable in made["env"] for variable in EVERYTHING["extraEnv"])
    template = one(manifests, "DaemonSet")["spec"]["template"]["metadata"]
    assert EVERYTHING["podLabels"].items() <= template["labels"].items()
    assert EVERYTHING["podAnnotations"].items() <= template["annotations"].items()


def test_protection_is_the_last_that_a_full_node_evicts_unless_told_otherwise(render: Render) -> None:
    assert pod(render())["priorityClassName"] == "system-node-critical"
    assert "priorityClassName" not in pod(render(SPARSE))
