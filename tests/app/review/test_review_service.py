"""A running service counts its logs beside the bans, and answers `zmban report`."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.review.mail_log import MailLog, iso
from sidecar.store.review_store import ReviewStore
from tests.app.running import Running, service
from tests.cli.running import zmban
from tests.netns import Namespace


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone where it is noon, so that no test is on two days."""
    with monkeypatch.context() as at_noon:
        at_noon.setenv("TZ", f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def running(host: Namespace, tmp_path: Path) -> Iterator[Running]:
    with service(tmp_path) as found:
        yield found


def mail(lines: int, seed: int = 1) -> str:
    """Mail of the last minutes of today."""
    begin = datetime.now().astimezone().replace(hour=0, minute=0, second=1)
    return "".join(f"{line}\n" for line in MailLog(seed, iso, begin=begin, step=0.001).lines(lines))


def report(one: Running, *arguments: str) -> dict[str, Any]:
    done = zmban("report", "--socket", one.socket, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_report_has_mail_decisions_and_health(running: Running) -> None:
    with running.log.open("a") as log:
        log.write(mail(2000))
    running.attack("203.0.113.9", 2)
    first = report(running)
    assert first["report"] == date.today().isoformat()
    assert first["totals"]["received"] > 50
    assert "203.0.113.9/32" in [one["network"] for one in first["decisions"]["bans"]]
    assert first["sources"][0]["source"] == str(running.log)
    assert report(running)["totals"] == first["totals"]
    assert (running.state / f"reports/{date.today()}.html").exists()


def test_lines_count_once_over_kills_and_rotations(running: Running) -> None:
    lines = mail(3000).splitlines(keepends=True)
    parts = ["".join(lines[i : i + 500]) for i in range(0, len(lines), 500)]
    for number, part in enumerate(parts):
        with running.log.open("a") as log:
            log.write(part)
        if number % 2:
            report(running)
        if number == 2:
            running.stop(signal.SIGKILL)
            running.start()
        if number == 3:
            running.log.rename(running.log.with_name("zimbra.log.1"))
            running.log.touch()
    found = report(running)["totals"]
    alone = zmban("report", "--log", running.log.with_name("zimbra.log.1"), "--log", running.log, "--json")
    assert found == json.loads(alone.stdout)["totals"]
    assert found["received"] > 100


def test_a_damaged_database_of_counts_harms_no_ban_and_is_told(running: Running) -> None:
    report(running)
    running.stop()
    (running.state / "review.sqlite3").write_bytes(b"broken" * 5000)
    running.start()
    running.attack("203.0.113.9", 2)
    found = report(running)
    assert any("damaged" in fault for fault in found["faults"])
    assert "203.0.113.9/32" in running.banned()
    assert ReviewStore(running.state).days() == [date.today().isoformat()]


def test_a_day_that_nobody_saw_is_empty_and_a_wrong_one_is_refused(running: Running) -> None:
    assert set(report(running, "--day", "2020-02-29")["totals"].values()) == {0}
    done = zmban("report", "--socket", running.socket, "--day", "2026-02-30")
    assert (done.returncode, "YYYY-MM-DD" in done.stderr) == (64, True)
