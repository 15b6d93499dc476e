"""The pods: minimal rights, the node's network, and rolling updates for a new configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.settings import read
from tests.helm.conftest import (
    Manifest,
    Render,
    checking,
    container,
    daemon_set,
    hook,
    mounts,
    of_the_release,
    one,
    pod,
    volumes,
)
from tests.helm.values import EVERYTHING, SETS, SPARSE


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
    given = values.get("securityContext", {})
    assert container(render(values))["securityContext"] == given | {
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
    allowed = {"DaemonSet", "ConfigMap", "Service", "ServiceAccount", "Job", "Pod", "NetworkPolicy"}
    allowed |= {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert {manifest["kind"] for manifest in manifests} <= allowed
    specs = [m["spec"]["template"]["spec"] for m in manifests if m["kind"] in ("DaemonSet", "Job")]
    specs += [m["spec"] for m in manifests if m["kind"] == "Pod"]
    accounts = [m for m in manifests if m["kind"] == "ServiceAccount"]
    assert {one["automountServiceAccountToken"] for one in [*specs, *accounts]} == {False}


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_every_account_that_a_pod_names_exists_when_the_pod_starts(
    render: Render, values: dict[str, Any]
) -> None:
    manifests = render(values)
    named = {m["metadata"]["name"] for m in of_the_release(manifests) if m["kind"] == "ServiceAccount"}
    assert pod(manifests)["serviceAccountName"] in named | {"default"}
    for event in ("pre-install", "test", "post-delete"):
        named = {m["metadata"]["name"] for m in hook(manifests, "ServiceAccount", event)} | {"default"}
        for job in hook(manifests, "Job", event) + hook(manifests, "DaemonSet", event):
            assert job["spec"]["template"]["spec"]["serviceAccountName"] in named


def test_kubernetes_adds_no_variables_among_our_settings(render: Render) -> None:
    assert pod(render())["enableServiceLinks"] is False


def test_a_log_directory_can_be_left_out(render: Render) -> None:
    assert [name for name in mounts(render(SPARSE)) if name.startswith("log-")] == ["log-zimbra"]


def test_only_state_maps_and_scratch_can_be_written(render: Render) -> None:
    manifests = render(EVERYTHING)
    writable = {
        name: mount["mountPath"] for name, mount in mounts(manifests).items() if not mount.get("readOnly")
    }
    assert writable == {
        "state": "/var/lib/zmban", "domains": "/var/lib/zmban-domains", "tmp": "/tmp"
    }  # fmt: skip
    assert volumes(manifests)["state"]["hostPath"] == {"path": "/var/lib/zmban", "type": "DirectoryOrCreate"}
    assert volumes(manifests)["tmp"]["emptyDir"]["medium"] == "Memory"


def test_a_pod_of_a_cluster_has_the_name_of_its_node_and_the_files_of_its_secret(render: Render) -> None:
    manifests = render(SETS["cluster"])
    given = {entry["name"]: entry for entry in container(manifests)["env"]}
    assert given["ZMBAN_CLUSTER_HOST"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    place = mounts(manifests)["cluster"]["mountPath"]
    variables = environment(manifests)
    assert variables["ZMBAN_CLUSTER_URL"] == "rediss://redis.mail:6379/0"
    for name, key in (("SHARED_KEY", "shared-key"), ("PASSWORD", "password"), ("CA", "ca.crt")):
        assert variables[f"ZMBAN_CLUSTER_{name}_FILE"] == f"{place}/{key}"
    assert volumes(manifests)["cluster"]["secret"] == {"secretName": "zmban-cluster", "defaultMode": 0o400}
    assert "cluster" not in volumes(render({}))


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
        assert (
            checking(manifests)["volumeMounts"] == container(manifests)["volumeMounts"]
            if values.get("check", {}).get("initContainer", True)
            else "initContainers" not in pod(manifests)
        )


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


def test_configuration_of_others_lies_beside_that_of_the_chart(render: Render) -> None:
    sources = volumes(render(SETS["existing"]))["config"]["projected"]["sources"]
    laid = {
        (kind, given["name"]): [item["path"] for item in given["items"]]
        for source in sources
        for kind, given in source.items()
    }
    assert laid == {
        ("configMap", "mail-jails"): ["jail.d/zimbra.local", "filter.d/own.conf"],
        ("secret", "mail-zmban"): ["zmban.toml"],
    }


def test_what_is_added_reaches_the_pods(render: Render) -> None:
    given, manifests = SETS["existing"], render(SETS["existing"])
    made = container(manifests)
    assert made["args"] == ["run", "--watch", *given["extraArgs"]]
    assert made["envFrom"] == given["extraEnvFrom"]
    assert mounts(manifests)["carbonio"] == given["extraVolumeMounts"][0]
    assert volumes(manifests)["carbonio"] == given["extraVolumes"][0]
    assert [one["name"] for one in pod(manifests)["initContainers"]] == ["wait", "check"]
    selinux = {"seLinuxOptions": {"type": "spc_t"}, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod(render(SETS["openshift"]))["securityContext"] == selinux


def template(manifests: list[Manifest]) -> str:
    """What must be equal for Kubernetes to leave the pods alone."""
    return json.dumps(daemon_set(manifests)["spec"]["template"], sort_keys=True)


@pytest.mark.parametrize(
    "change",
    [
        {"jails": {"zimbra.local": "[zimbra-smtp]\nmaxretry = 9\n"}},
        {"filters": {"own.conf": "[Definition]\nfailregex = ^<HOST>$\n"}},
        {"settings": {"trust": {"admins": ["198.51.100.0/24"]}}},
    ],
    ids=["jails", "filters", "settings"],
)
def test_a_change_of_the_configuration_has_configmaps_of_its_own_and_rolls_the_pods(
    render: Render, change: dict[str, Any]
) -> None:
    before, after = render(), render(change)
    assert template(before) == template(render())
    assert template(before) != template(after)
    names = [{m["metadata"]["name"] for m in made if m["kind"] == "ConfigMap"} for made in (before, after)]
    # What pods of the former revision need is not overwritten.
    assert names[1] - names[0]
    assert all(m["immutable"] for m in after if m["kind"] == "ConfigMap")


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
    outside = {"metrics": {"bind": "hostIP"}}
    for name, value in environment(render(outside)).items():
        monkeypatch.setenv(name, value)
    assert read([]).settings.serve.metrics == "192.0.2.5:9178"
    assert read([]).settings.serve.listen == "127.0.0.1:9177"
    assert environment(render(EVERYTHING))["ZMBAN_SERVE_METRICS"] == "192.0.2.5:19178"


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_nothing_listens_on_the_nodes_address_unless_it_is_asked_for(
    render: Render, values: dict[str, Any]
) -> None:
    manifests = render(values)
    asked = values.get("metrics", {}).get("bind") == "hostIP"
    assert ("ZMBAN_SERVE_METRICS" in environment(manifests)) is asked
    assert ([port["name"] for port in container(manifests)["ports"]] == ["http", "metrics"]) is asked
    assert bool([m for m in of_the_release(manifests) if m["kind"] == "Service"]) is asked


def test_tls_and_passwords_of_the_metrics_port_come_from_the_secret(render: Render) -> None:
    manifests = render(SETS["pod-monitor"])
    assert environment(manifests)["ZMBAN_SERVE_WEB_CONFIG"] == "/run/secrets/zmban-web/web-config.yml"
    assert mounts(manifests)["web"]["mountPath"] == "/run/secrets/zmban-web"
    assert volumes(manifests)["web"]["secret"] == {"secretName": "zmban-web", "defaultMode": 0o400}
    (endpoint,) = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["basicAuth"]["password"] == {"name": "zmban-scrape", "key": "password"}
    assert one(manifests, "PodMonitor")["spec"]["sampleLimit"] == 50000
    labels = daemon_set(manifests)["spec"]["template"]["metadata"]["labels"]
    assert one(manifests, "PodMonitor")["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_without_metrics_there_is_nothing_to_scrape(render: Render) -> None:
    manifests = render(SPARSE)
    assert "ZMBAN_SERVE_METRICS" not in environment(manifests)
    assert [port["name"] for port in container(manifests)["ports"]] == ["http"]
    assert not [manifest for manifest in of_the_release(manifests) if manifest["kind"] == "Service"]


def test_the_service_lists_every_node_and_the_monitor_finds_it(render: Render) -> None:
    manifests = render(EVERYTHING)
    service, monitor = one(of_the_release(manifests), "Service"), one(manifests, "ServiceMonitor")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = daemon_set(manifests)["spec"]["template"]["metadata"]["labels"]
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
    template = daemon_set(manifests)["spec"]["template"]["metadata"]
    assert EVERYTHING["podLabels"].items() <= template["labels"].items()
    assert EVERYTHING["podAnnotations"].items() <= template["annotations"].items()


def test_protection_is_the_last_that_a_full_node_evicts_unless_told_otherwise(render: Render) -> None:
    assert pod(render())["priorityClassName"] == "system-node-critical"
    assert "priorityClassName" not in pod(render(SPARSE))
