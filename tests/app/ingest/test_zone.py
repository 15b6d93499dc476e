"""A log whose dates are in another time zone than the host, without naming it."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.app.running import Running, service, until
from tests.app.test_service import blackholes
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
KOLKATA = timezone(timedelta(hours=5, minutes=30))
JAIL = """
[door]
enabled = true
filter =
failregex = ^ door: knock from <HOST>$
maxretry = 3
findtime = 600
bantime = 1d
logpath = {log}
"""


def knock(log: Path, who: str, ago: float = 0.0) -> None:
    stamp = (datetime.now(UTC) - timedelta(seconds=ago)).astimezone(KOLKATA).strftime("%b %d %H:%M:%S")
    with log.open("a") as file:
        file.write(f"{stamp} door: knock from {who}\n")


def zone(zmban_: Running, log: Path) -> tuple[str, bool]:
    (source,) = (s for s in zmban_.ask("status")[0]["sources"] if s["source"] == str(log))
    return source["zone"], source["zone_learnt"]


def test_the_zone_is_learnt_while_live_and_nothing_is_lost_over_a_restart(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "door.log"
    log.touch()
    with service(tmp_path, JAIL.format(log=log)) as zmban_:
        assert not zone(zmban_, log)[1]

        def learnt() -> bool:
            knock(log, "203.0.113.1")
            return zone(zmban_, log)[1]

        until(learnt)
        assert zone(zmban_, log) == ("UTC+05:30", True)
        # One failure, and two more while the log is not read: all three lie within ten minutes.
        knock(log, "198.51.100.7", ago=6)
        until(lambda: zmban_.metric('zmban_failures_total{jail="door"}') >= 4)
        zmban_.stop()
        for _ in range(2):
            knock(log, "198.51.100.7")
        # And one whose failures are older than that by the log's own clock.
        for _ in range(3):
            knock(log, "198.51.100.8", ago=1200)
        zmban_.start()
        until(lambda: "198.51.100.7" in blackholes(host))
        assert zone(zmban_, log) == ("UTC+05:30", True)
        assert "198.51.100.8" not in blackholes(host)


def test_a_log_that_was_just_written_tells_its_zone_before_it_is_read_at_first(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "door.log"
    for ago in (1300, 1200, 1100, 30, 20, 0):
        knock(log, "198.51.100.8" if ago > 600 else "198.51.100.7", ago)
    with service(tmp_path, JAIL.format(log=log)) as zmban_:
        assert zone(zmban_, log) == ("UTC+05:30", True)
        until(lambda: blackholes(host) == {"198.51.100.7"})
