"""`table = "main"`: bans are in the main routing table, where `route -n` shows them, among the routes of the
host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.running import service, until
from tests.app.test_service import EVIL
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

FOREIGN = "203.0.113.99"


def ours(host: Namespace) -> set[str]:
    return {line.split()[1] for line in host.routes("main") if "proto 222" in line}


def test_bans_stand_in_table_main_and_go_from_it_and_what_others_put_there_stays(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "192.0.2.1/24")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    host.ip("route", "add", "blackhole", f"{FOREIGN}/32", "proto", "static")
    theirs = {line for line in host.routes("main") if "proto 222" not in line}
    with service(tmp_path, settings='[kernel]\ntable = "main"\n') as running:
        running.attack(EVIL)
        until(lambda: EVIL in ours(host))
        assert running.metric("zmban_enforced") == 1
        assert not [line for line in host.routes("main") if line.startswith("throw")]
        assert "2520" not in host.ip("rule")
        running.ask("ban", FOREIGN, "--reason", "x")
        until(lambda: running.metric("zmban_enforced") == 0)
        assert {r["network"]: r["enforced"] for r in running.ask("bans")} == {
            f"{EVIL}/32": True, f"{FOREIGN}/32": False,
        }  # fmt: skip
        running.ask("unban", FOREIGN)
        until(lambda: running.metric("zmban_enforced") == 1)
        running.ask("unban", EVIL)
        until(lambda: EVIL not in ours(host))
        running.ask("ban", EVIL, "--reason", "x")
        assert zmban("flush", "--socket", running.socket).returncode == 0
        assert ours(host) == set()
        assert theirs <= set(host.routes("main"))
