"""Detection of a network in which bans have no effect, and the setting that accepts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.host import namespace_check as looked
from sidecar.host.namespace_check import check_namespace
from sidecar.settings import read
from sidecar.sources.docker.docker_engine import describe
from tests.app.running import service, until
from tests.netns import Namespace
from tests.sources.test_docker import NETWORKS, container


@pytest.mark.kernel
def test_in_a_network_of_its_own_nothing_is_enforced_unless_that_is_meant(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZMBAN_KERNEL_NAMESPACE")
    host.wire("mail0", "192.0.2.1/24")
    with service(tmp_path) as running:
        state = running.ask("status")[0]
        told = [*state["not_enforced_because"], *state["doubts"]]
        assert any('set [kernel] namespace = "own"' in reason for reason in told)
        assert state["enforced"] is not bool(state["not_enforced_because"])
        running.stop()
        monkeypatch.setenv("ZMBAN_KERNEL_NAMESPACE", "own")
        running.start()
        until(lambda: running.metric("zmban_enforced") == 1)


@pytest.mark.parametrize(
    ("same", "rootless", "missing", "doubts"),
    [
        (True, False, "", ""),
        (False, False, "network_mode: host", ""),
        (None, False, "", "cannot determine"),
        (None, True, "rootless", ""),
    ],
)
def test_each_kind_of_network_has_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    same: bool | None,
    rootless: bool,
    missing: str,
    doubts: str,
) -> None:
    monkeypatch.setattr(looked, "same_network_namespace_as_host", lambda: same)
    monkeypatch.setattr(looked, "in_user_namespace", lambda: rootless)
    with monkeypatch.context() as patch:
        patch.delenv("ZMBAN_KERNEL_NAMESPACE")
        found = check_namespace(read([]).settings, [], tmp_path)
    assert (missing in "".join(found.missing)) and bool(found.missing) is bool(missing)
    assert (doubts in "".join(found.doubts)) and bool(found.doubts) is bool(doubts)
    assert check_namespace(read([]).settings, [], tmp_path) == looked.NamespaceCheck()


@pytest.mark.parametrize(
    ("driver", "options", "past"),
    [
        ("bridge", None, False),
        ("macvlan", {"parent": "eth0"}, True),
        ("ipvlan", {"ipvlan_mode": "l2"}, True),
        ("ipvlan", {"ipvlan_mode": "l3s"}, False),
    ],
)
def test_a_container_whose_packets_pass_the_host_by_is_no_success(
    tmp_path: Path, driver: str, options: dict[str, str] | None, past: bool
) -> None:
    network = {"n1": {**NETWORKS["n1"], "Driver": driver, "Options": options}}
    found = check_namespace(read([]).settings, [describe(container(), network)], tmp_path)
    assert bool(found.missing) is past
    assert not past or found.missing[0].startswith(f"mail is on mail_default ({driver})")


def test_cilium_is_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "cilium_host").mkdir()
    (told,) = check_namespace(read([]).settings, [], tmp_path).doubts
    assert told.startswith("Cilium is on this host")
