"""Logs in the chart: each place is mounted read-only, and the shipped jails read there what the values name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.configuration import loading
from tests.helm.conftest import ROOT, Manifest, Render, mounts, one, volumes
from tests.helm.values import EVERYTHING, SETS

PODS = "/var/lib/kubelet/pods"


def logs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """What is mounted for logs: volume by mount path."""
    kinds = ("log-", "kubelet-pods", "container-logs", "pod-logs", "docker-logs")
    found = {name: mount for name, mount in mounts(manifests).items() if name.startswith(kinds)}
    assert all(mount["readOnly"] for mount in found.values())
    return {mount["mountPath"]: volumes(manifests)[name] for name, mount in found.items()}


def read_by_jails(render: Render, values: dict[str, Any], directory: Path) -> dict[str, set[str]]:
    """The logpath of each shipped jail under the jail file that the chart generates."""
    (made,) = (m for m in render(values) if m["kind"] == "ConfigMap" and "-jails-" in m["metadata"]["name"])
    (directory / "jail.d").mkdir(parents=True)
    for name, text in made["data"].items():
        (directory / "jail.d" / name).write_text(text, encoding="utf-8")
    loaded = loading.load((str(ROOT / "config"), str(directory)))
    return {name: {path.glob for path in jail.logpath} for name, jail in loaded.jails.jails.items()}


def test_directories_of_the_node_are_mounted_where_the_jails_name_them(render: Render) -> None:
    found = logs(render(EVERYTHING))
    assert {path: volume["hostPath"] for path, volume in found.items()} == {
        "/opt/zimbra/log": {"path": "/opt/zimbra/log", "type": "Directory"},
        "/var/log": {"path": "/srv/zimbra/syslog", "type": "Directory"},
        "/logs/b": {"path": "/srv/b", "type": "Directory"},
    }


def test_what_the_node_mounts_later_is_seen_in_the_pod(render: Render) -> None:
    for values in (EVERYTHING, SETS["container-logs"], SETS["kubelet-volumes"]):
        for name, mount in mounts(render(values)).items():
            if "hostPath" in volumes(render(values))[name] and "log" in name:
                assert mount["mountPropagation"] == "HostToContainer"
                # The API server refuses both together.
                assert "recursiveReadOnly" not in mount


def test_a_claim_is_mounted_without_the_right_to_write(render: Render) -> None:
    found = logs(render(SETS["claims"]))
    assert found["/logs/zimbra"]["persistentVolumeClaim"] == {"claimName": "zimbra-logs", "readOnly": True}
    assert list(found) == ["/logs/zimbra"]


def test_what_containers_write_is_mounted_with_the_targets_of_its_links(render: Render) -> None:
    found = logs(render(SETS["container-logs"]))
    paths = {"/var/log/containers", "/var/log/pods", "/var/lib/docker/containers"}
    assert {volume["hostPath"]["path"] for volume in found.values()} == set(found) == paths


def test_volumes_of_pods_are_mounted_once_for_all_logs(render: Render) -> None:
    assert list(logs(render(SETS["kubelet-volumes"]))) == [PODS]


def test_the_shipped_jails_read_the_volumes_of_pods(render: Render, tmp_path: Path) -> None:
    jails = read_by_jails(render, SETS["kubelet-volumes"], tmp_path)
    assert jails["zimbra-smtp"] == {f"{PODS}/*/volumes/kubernetes.io~empty-dir/zimbra-syslog/zimbra.log"}
    mounted = f"{PODS}/*/volumes/kubernetes.io~csi/*/mount/log"
    assert jails["zimbra-mail"] == {f"{mounted}/mailbox.log", f"{mounted}/audit.log"}


def test_the_shipped_jails_read_a_claim(render: Render, tmp_path: Path) -> None:
    assert read_by_jails(render, SETS["claims"], tmp_path)["zimbra-smtp"] == {"/logs/zimbra/zimbra.log"}


def test_one_option_may_have_several_places(render: Render, tmp_path: Path) -> None:
    two = {
        name: {
            "hostPath": f"/srv/{name}",
            "mountPath": f"/logs/{name}",
            "options": {"zimbra_log": "zimbra.log"},
        }
        for name in ("a", "b")
    }
    jails = read_by_jails(render, {"logs": two}, tmp_path)
    assert jails["zimbra-smtp"] == {"/logs/a/zimbra.log", "/logs/b/zimbra.log"}


def test_container_logs_are_named_as_such_for_the_jails(render: Render) -> None:
    manifests = render(SETS["container-logs"])
    (made,) = (m for m in manifests if m["kind"] == "ConfigMap" and "-jails-" in m["metadata"]["name"])
    assert made["data"]["00-chart-logs.conf"].splitlines()[1:] == [
        "[DEFAULT]",
        "zimbra_log = cri:/var/log/containers/zimbra-mta-*_mail_mta-*.log",
        "zimbra_mailbox_log = cri:/var/log/containers/zimbra-mailbox-*_mail_mailbox-*.log",
    ]


def test_without_options_the_chart_writes_no_jail_file(render: Render) -> None:
    kinds = [m["metadata"]["name"] for m in render() if m["kind"] == "ConfigMap"]
    assert [name for name in kinds if "-jails-" in name] == []
    assert one(render(), "ConfigMap")["data"] == {"zmban.toml": ""}
