"""The answer of `zmban status`, and its cost."""

import time
from pathlib import Path

from sidecar.app import doors
from sidecar.app.report.build_status import StatusBuilder
from sidecar.cli.online.watch.status import _some
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import InProcess, in_process
from tests.netns import Namespace


def status_of(one: InProcess) -> StatusBuilder:
    found = doors.commands(one.parts)["status"].__self__._status  # type: ignore[attr-defined]
    assert isinstance(found, StatusBuilder)
    return found


def put(one: InProcess, number: int, at: float) -> None:
    network = Network.of(4, (45 << 24 | number).to_bytes(4, "big"), 32)
    one.register.table.ban(Ban(network, "smtp", at, None, "log", "why"))


async def test_the_bans_that_began_last_are_told_whatever_their_order(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path) as one:
        for number in range(600):
            # Those of a log that is read late began before others.
            put(one, number, 1000.0 + (number * 7919) % 600)
        told = (await one.tell("status"))["last_bans"]
        assert [ban["at"] for ban in told] == [1599.0 - place for place in range(12)]


async def test_it_costs_no_more_where_a_hundred_times_as_many_are_banned(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        for number in range(200_000):
            put(one, number, 1000.0 + number)
        status = status_of(one)
        begun = time.thread_time()
        for _ in range(100):
            status._last_bans()
        assert time.thread_time() - begun < 5, "to sort them took a second each"


async def test_proposals_are_counted_while_others_are_banned(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        for number in range(256):
            put(one, number, 1000.0)
        proposed = (await one.tell("status"))["proposals"]
        assert [(p["network"], p["banned"], p["bans"]) for p in proposed] == [("45.0.0.0/24", 256, 256)]


def test_a_jail_of_hundreds_of_logs_names_some_and_counts_the_rest() -> None:
    assert _some([]) == "none yet"
    assert _some(["/a", "/b"]) == "/a, /b"
    assert _some([f"/{number}" for number in range(500)]) == "/0, /1, /2 and 497 more"
