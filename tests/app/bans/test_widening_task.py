"""Whole prefixes are banned, let go and held while the service runs, and after a restart."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.app.bans import widening_task
from sidecar.app.bans.widening_task import WideningTask
from sidecar.bans.packing import is_widened
from sidecar.kernel.backend import Entry
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.changes import Memo
from tests.app.running import InProcess, in_process, service, until
from tests.netns import Namespace

OPTION = "zmban.widen = 24:3:7d\n"
WHOLE, NEIGHBOUR = Network.parse("203.0.113.0/24"), Network.parse("203.0.113.9")


@pytest.fixture
async def one(host: Namespace, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path, OPTION) as running:
        yield running


async def attacked(one: InProcess, *last: int) -> None:
    """Bans of these units, as the log makes them, and a look."""
    now = time.time()
    one.ban(*(Ban(Network.parse(f"203.0.113.{n}"), "smtp", now, None, "log") for n in last))
    await one.parts.expiry.look()
    await one.parts.widening.look()
    await one.settled()


def whole(one: InProcess) -> list[Network]:
    return [ban.network for ban in one.table if is_widened(ban)]


async def test_the_kernel_refuses_the_prefix_as_long_as_its_reasons_stand(one: InProcess) -> None:
    await attacked(one, 1, 2)
    assert whole(one) == []
    await attacked(one, 3)
    assert one.present()[WHOLE] is Entry.BAN
    assert (await one.tell("status"))["widened"] == 1
    await one.tell("unban", networks=["203.0.113.1"])
    assert whole(one) == []
    assert WHOLE not in one.present()
    assert Network.parse("203.0.113.2") in one.present()


async def test_an_allowed_network_inside_is_reachable_at_once_and_lifts_the_prefix(one: InProcess) -> None:
    await attacked(one, 1, 2, 3)
    await one.tell("allow", networks=[str(NEIGHBOUR)], reason="customer")
    assert one.present()[NEIGHBOUR] is Entry.EXEMPT
    await one.parts.widening.look()
    await one.settled()
    assert WHOLE not in one.present()
    assert one.metric("refused_total", jail="smtp", reason="widen-protected") == 1


async def test_a_good_login_from_inside_lifts_the_prefix_at_the_next_look(one: InProcess) -> None:
    await attacked(one, 1, 2, 3)
    one.parts.memory.known_good.learn(NEIGHBOUR, "bob@example.com", time.time())
    await one.parts.widening.look()
    assert whole(one) == []
    assert len(one.table) == 3


async def test_who_was_let_in_is_not_banned_by_the_next_neighbours_for_the_time_of_the_rule(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attacked(one, 1, 2, 3)
    (answer,) = await one.tell("unban", networks=[str(NEIGHBOUR)], by="alice")
    assert answer == {"network": f"{NEIGHBOUR}", "result": "unbanned", "still_covered_by": []}
    (ended,) = one.commit_queue.database.history([(WHOLE, "smtp")])[WHOLE, "smtp"]
    assert ended.why == "manual"
    await attacked(one, 4, 5)
    assert whole(one) == []
    assert one.metric("refused_total", jail="smtp", reason="widen-held") == 1
    # The time of the rule later these bans are too old; the hold is forgotten.
    later = time.time() + 8 * 86400
    monkeypatch.setattr(widening_task, "time", SimpleNamespace(time=lambda: later))
    await one.parts.widening.look()
    assert whole(one) == []
    assert one.parts.memos.of("widen-hold") == {}


async def test_an_unban_of_one_jail_lets_in_only_what_that_jail_banned(one: InProcess) -> None:
    await attacked(one, 1, 2, 3)
    (answer,) = await one.tell("unban", networks=[str(NEIGHBOUR)], jail="other")
    assert answer["still_covered_by"] == [str(WHOLE)]
    assert one.parts.memos.of("widen-hold") == {}
    (answer,) = await one.tell("unban", networks=[str(NEIGHBOUR)], jail="smtp")
    assert answer["still_covered_by"] == []
    assert list(one.parts.memos.of("widen-hold")) == [str(WHOLE)]


async def test_a_hold_that_is_salvaged_later_counts_and_a_set_clock_moves_it(one: InProcess) -> None:
    now, memos = time.time(), one.parts.memos
    broken = [Memo("widen-hold", "203.0.113.0/2x", "1", now), Memo("widen-hold", "198.51.100.0/24", "x", now)]
    memos.restore([Memo("widen-hold", str(WHOLE), repr(now + 100.0), now), *broken])
    WideningTask(one.engine, memos, one.bus).shift(50.0)
    await one.parts.widening.look()
    assert one.engine.widening.objections.held == {WHOLE: now + 150.0}
    await attacked(one, 1, 2, 3)
    assert whole(one) == []


def test_a_kill_and_a_stop_leave_the_prefix_banned_and_a_hold_in_force(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path, OPTION) as zmban_:
        for last in (1, 2, 3):
            zmban_.attack(f"203.0.113.{last}")
        until(lambda: str(WHOLE) in zmban_.banned())
        assert "[smtp] 203.0.113.0/24: widened: 3 units banned in 7d" in zmban_.said()
        zmban_.stop(signal.SIGKILL)
        zmban_.start()
        assert str(WHOLE) in zmban_.banned()
        (record,) = [r for r in zmban_.ask("bans", "--contains", str(NEIGHBOUR.address)) if r["enforced"]]
        # The bans of one second are in any order.
        for last, line in enumerate(sorted(record["evidence"]), start=1):
            assert line.startswith(f"203.0.113.{last}/32 smtp: ")
            assert line.endswith(f"unknown[203.0.113.{last}]: SASL LOGIN authentication failed: x")
        zmban_.ask("unban", NEIGHBOUR.address)
        assert zmban_.banned() == {f"203.0.113.{last}/32" for last in (1, 2, 3)}
        assert zmban_.stop() == 0
        zmban_.start()
        for last in (4, 5, 6):
            zmban_.attack(f"203.0.113.{last}")
        until(lambda: len(zmban_.banned()) == 6)
        until(lambda: zmban_.metric('zmban_refused_total{jail="smtp",reason="widen-held"}') == 1.0)
        assert str(WHOLE) not in zmban_.banned()
        # Without the option the prefixes of before are let go.
        config = tmp_path / "config/jail.d/test.conf"
        config.write_text(config.read_text().replace(OPTION, ""), encoding="utf-8")
        zmban_.ask("reload")
        assert len(zmban_.banned()) == 6
