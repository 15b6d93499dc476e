"""What the hooks run on a node, with the real service in a network namespace."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import ZMBAN
from tests.helm.conftest import Render, hook
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def started(render: Render, event: str, running: Running) -> subprocess.Popen[str]:
    """The command of the hook's init container, with the places of this service instead of those of a container."""
    (workers,) = hook(render({"uninstall": "flush"}), "DaemonSet", event)
    (worker,) = workers["spec"]["template"]["spec"]["initContainers"]
    places = {"ZMBAN_STATE": str(running.state), "ZMBAN_SOCKET": str(running.socket)}
    variables: dict[str, Any] = {one["name"]: one["value"] for one in worker["env"]}
    assert set(places) < set(variables)
    path = f"{ZMBAN.parent}:/usr/bin:/bin"
    command = [*worker["command"], *worker["args"]]
    return subprocess.Popen(
        command, env=variables | places | {"PATH": path, "ZMBAN_KERNEL_NAMESPACE": "own"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_test_succeeds_on_a_node_that_enforces_and_fails_on_one_that_does_not(
    host: Namespace, render: Render, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        said, _ = started(render, "test", running).communicate(timeout=60)
        assert "refused by the kernel after" in said
        assert running.ask("bans") == []
        host.ip("rule", "add", "preference", "100", "to", "198.51.100.253", "lookup", "100")
        host.ip("route", "add", "198.51.100.253", "dev", "lo", "table", "100")
        failing = started(render, "test", running)
        said, _ = failing.communicate(timeout=60)
        assert (failing.returncode, "the kernel does not refuse it" in said) == (69, True), said


def test_the_uninstallation_waits_for_the_service_to_stop_and_leaves_nothing(
    host: Namespace, render: Render, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        leaving = started(render, "post-delete", running)
        try:
            # It tries, and is refused, as long as the pod of the release runs.
            with pytest.raises(subprocess.TimeoutExpired):
                leaving.wait(3)
            assert blackholes(host) == {EVIL}
            running.stop()
            said, _ = leaving.communicate(timeout=60)
        finally:
            leaving.kill()
        assert (leaving.returncode, "stop" in said) == (0, True), said
        assert host.routes("2520") == []
        assert not (running.state / "suspended").exists()
