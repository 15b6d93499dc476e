"""The running service imports bans of other programs: at once, only once, and never of protected networks."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.cli.running import records, zmban
from tests.netns import Namespace
from tests.store.written import SCHEMA_4, made

pytestmark = pytest.mark.kernel
NOW = time.time()


def at(running: Running, *arguments: object) -> Any:
    places = ("--socket", running.socket, "--state", running.state, "--jsonl")
    done = zmban("--config", running.root / "config", "import", *arguments, *places)
    assert "Traceback" not in done.stderr
    return done.returncode, records(done)


def bips(path: Path, *rows: tuple[str, str, int]) -> Path:
    """A database of Fail2Ban: network, jail and the length of a ban that began a moment ago."""
    values = [(ip, jail, int(NOW), length, 3, json.dumps({"matches": ["x"]})) for ip, jail, length in rows]
    return made(path, SCHEMA_4, bips=values)


def test_a_running_service_refuses_at_once_whom_fail2ban_had_banned(host: Namespace, tmp_path: Path) -> None:
    path = bips(tmp_path / "f2b", (EVIL, "smtp", -1), ("2001:db8::7", "gone", 9999), (OTHER, "smtp", 0))
    with service(tmp_path) as running:
        code, (summary,) = at(running, path)
        assert (code, summary["banned"], summary["history"]) == (0, 2, 1)
        assert blackholes(host) == {EVIL, "2001:db8::7"}
        one, two = sorted(running.ask("bans"), key=lambda record: str(record["jail"]), reverse=True)
        assert (one["jail"], one["until"], one["count"], one["origin"]) == ("smtp", None, 3, "import")
        assert (two["jail"], two["until"], two["evidence"]) == ("gone", int(NOW) + 9999, ["x"])
        before = running.ask("bans")
        assert at(running, path)[1][0]["unchanged"] == 3
        assert running.ask("bans") == before
        running.stop()
        running.start()
        assert running.ask("bans") == before
        assert blackholes(host) == {EVIL, "2001:db8::7"}


def test_who_is_unbanned_by_a_person_is_not_brought_back_by_the_same_import(
    host: Namespace, tmp_path: Path
) -> None:
    path = bips(tmp_path / "f2b", (EVIL, "smtp", -1), (OTHER, "smtp", -1))
    (tmp_path / "list").write_text("203.0.113.7\n", encoding="utf-8")
    with service(tmp_path) as running:
        at(running, path)
        at(running, tmp_path / "list")
        running.ask("unban", EVIL, "203.0.113.7")
        for file in (path, tmp_path / "list"):
            code, (told, summary) = at(running, file)
            assert (code, told["event"], summary["lifted"]) == (0, "lifted", 1)
        until(lambda: blackholes(host) == {OTHER})


def test_what_must_never_be_cut_off_is_refused_with_the_reason_and_the_rest_goes_on(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "10.20.0.5/24")
    host.ip("route", "add", "default", "via", "10.20.0.1")
    jail = (
        f"[ignoring]\nenabled=true\nfilter=zimbra-smtp\nignoreip=203.0.113.0/24\nlogpath={tmp_path}/x.log\n"
    )
    rows = [("10.20.0.1", "smtp", -1), ("10.20.0.5", "smtp", -1), ("10.20.0.0/24", "smtp", -1)]
    rows += [("203.0.113.7", "ignoring", -1), ("203.0.113.7", "smtp", -1), ("10.20.0.9", "smtp", -1)]
    (tmp_path / "x.log").touch()
    with service(tmp_path, jail) as running:
        code, (*told, summary) = at(running, bips(tmp_path / "f2b", *rows))
        assert code == 65
        assert [(one["network"], one["reason"]) for one in told] == [
            ("10.20.0.1/32", "gateway"),
            ("10.20.0.5/32", "own-address"),
            ("10.20.0.0/24", "kept-reachable"),
            ("203.0.113.7/32", "ignored"),
        ]
        assert (summary["refused"], summary["banned"]) == (4, 2)
        assert blackholes(host) == {"203.0.113.7", "10.20.0.9"}


def test_growing_ban_times_know_at_once_how_often_fail2ban_had_banned(
    host: Namespace, tmp_path: Path
) -> None:
    jail = f"[grow]\nenabled=true\nfilter=zimbra-smtp\nmaxretry=1\nbantime=1h\nbantime.increment=true\nlogpath={tmp_path}/grow.log\n"
    (tmp_path / "grow.log").touch()
    rows = [("grow", EVIL, int(NOW) - 9999, 60, 3, None)]
    with service(tmp_path, jail) as running:
        assert at(running, made(tmp_path / "f2b", SCHEMA_4, bans=rows))[1][0]["history"] == 1
        running.attack(EVIL, times=1, log=tmp_path / "grow.log")
        until(lambda: blackholes(host) == {EVIL})
        (record,) = running.ask("bans")
        assert (record["count"], record["until"] - record["since"]) == (4, 8 * 3600)


def test_bans_taken_without_a_service_stand_when_it_starts_but_for_its_own(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "10.20.0.5/24")
    running = Running(tmp_path)
    try:
        assert at(running, bips(tmp_path / "f2b", (EVIL, "smtp", -1), ("10.20.0.5", "smtp", -1)))[0] == 0
        running.start()
        assert blackholes(host) == {EVIL}
        assert running.banned() == {f"{EVIL}/32"}
    finally:
        if running.process:
            running.stop()


def test_the_service_goes_on_answering_and_banning_while_many_are_taken_over(
    host: Namespace, tmp_path: Path
) -> None:
    many = [(f"10.64.{n // 250}.{n % 250}", "smtp", -1) for n in range(10_000)]
    path = bips(tmp_path / "f2b", *many)
    with service(tmp_path) as running:
        taking = threading.Thread(target=at, args=(running, path))
        with host.inside():
            taking.start()
        longest = 0.0
        while taking.is_alive():
            begun = time.monotonic()
            assert running.get("/healthz")[0] == 200
            longest = max(longest, time.monotonic() - begun)
        running.attack(EVIL)
        until(lambda: EVIL in blackholes(host))
        assert longest < 2
        assert len(blackholes(host)) == len(many) + 1
        assert running.metric('zmban_bans_total{jail="smtp",origin="import"}') == len(many)
