"""A catastrophic regex affects only its own jail, end to end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def catastrophe(root: Path) -> str:
    """A jail on the same log whose regex never ends on one of the lines."""
    (root / "filter.d").mkdir()
    (root / "filter.d/bad.conf").write_text(
        "[Definition]\nfailregex = evil (?:a+)+$ from <HOST>\n", encoding="utf-8"
    )
    return f"[bad]\nenabled = true\nfilter = bad\nmaxretry = 1\nlogpath = {root}/logs/zimbra.log\n"


def poison(running: Running, times: int) -> None:
    now = time.strftime("%b %e %H:%M:%S")
    with running.log.open("a", encoding="utf-8") as file:
        file.write(f"{now} mail x: evil {'a' * 4000}! from 203.0.113.8\n" * times)


def test_a_catastrophic_regex_is_left_out_and_the_other_jails_ban_as_fast_as_ever(
    host: Namespace, tmp_path: Path
) -> None:
    running = Running(tmp_path, catastrophe(tmp_path))
    config = tmp_path / "config/filter.d"
    shipped = config.readlink()
    config.unlink()
    config.mkdir()
    for file in shipped.glob("*.conf"):
        (config / file.name).symlink_to(file)
    (config / "bad.conf").symlink_to(tmp_path / "filter.d/bad.conf")
    try:
        running.start()
        poison(running, 200)
        running.attack(EVIL)
        # Without a time budget, each of these lines takes longer than the age of the universe.
        until(lambda: blackholes(host) == {EVIL}, 20)
        assert running.metric('zmban_slow_regex_total{jail="bad"}') >= 3
        assert running.metric('zmban_refused_total{jail="bad",reason="slow-regex"}') >= 150
        (slow,) = running.ask("status")[0]["slow_regexes"]
        assert (slow["jail"], slow["regex"], slow["source"]) == ("bad", "failregex 1", str(running.log))
        assert slow["left_out_until"] > time.time()
        assert "is not used for" in running.said()
        assert running.get("/readyz")[0] == 200
        running.stop()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait(20)


def test_where_hyperscan_does_not_run_everything_works_and_says_so(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Makes the processor look old to the library in the started process.
    (tmp_path / "old").mkdir()
    (tmp_path / "old/sitecustomize.py").write_text(
        "import hyperscan\n\n\nclass Old(hyperscan.Database):\n"
        "    def compile(self, *_arguments, **_options):\n"
        "        raise hyperscan.ArchitectureError('error code -11')\n\n\n"
        "hyperscan.Database = Old\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "old"))
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        assert "SSSE3" in running.ask("status")[0]["prefilter"]
        assert "one by one" in running.said()
        running.stop()
