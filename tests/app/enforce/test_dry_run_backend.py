"""`[kernel] backend = "dry-run"` has the same effect as `zmban run --dry-run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.running import service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def test_the_dry_backend_records_bans_as_dry_and_leaves_the_kernel_alone(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path, settings='[kernel]\nbackend = "dry-run"\n') as running:
        running.attack(EVIL)
        until(lambda: running.metric('zmban_dry_bans_active{jail="smtp"}') == 1)
        assert running.ask("status")[0]["dry_run"]
        assert host.routes("2520") == []


def test_without_a_service_a_flush_takes_the_routes_of_an_earlier_backend(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        running.stop()
        (tmp_path / "config/zmban.toml").write_text('[kernel]\nbackend = "dry-run"\n', encoding="utf-8")
        places = ["--socket", str(running.socket), "--state", str(running.state)]
        done = zmban("--config", str(tmp_path / "config"), "flush", *places)
        assert (done.returncode, host.routes("2520")) == (0, [])
