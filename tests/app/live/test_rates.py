"""Bans and failures by minute: of the last hour and day, also over a restart."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecar.app.background import BackgroundTasks
from sidecar.app.live.rates import Rates
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.memos import Memos
from sidecar.app.persist.recovery import Store
from sidecar.model import Ban, Batch, Failure, Unban
from sidecar.network import Network
from sidecar.store.changes import Memo
from sidecar.store.database import Database

WHO = Network.parse("203.0.113.7")
BAN, FAILURE = Ban(WHO, "a", 1.0, None, "log"), Failure("a", WHO, 1.0, "x")


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def test_minutes_survive_a_restart_for_a_day(tmp_path: Path) -> None:
    database, clock = Database(tmp_path), Clock(1_800_000_000.0)
    queue = CommitQueue(Store(database), BackgroundTasks())
    rates = Rates(Memos((), queue), clock)
    rates.handle(Batch((BAN, FAILURE, FAILURE)))
    clock.now += 3600
    rates.handle(Batch((FAILURE,)))
    await rates.save()
    await queue.commit()
    again = Rates(Memos(database.memos(), queue), clock)
    assert again.curves() == rates.curves()
    assert (again.bans, again.failures) == (0, 0)
    assert sum(span["failures"] for span in again.curves()["hour"]) == 1
    assert sum(span["failures"] for span in again.curves()["day"]) == 3
    clock.now += 86400 + 60
    await again.save()
    await queue.commit()
    assert database.memos() == []
    assert sum(span["failures"] for span in again.curves()["day"]) == 0
    database.close()


def test_what_is_restored_is_not_counted_again_and_a_broken_memo_costs_itself_only(tmp_path: Path) -> None:
    database = Database(tmp_path)
    memos = [Memo("rate", "x", "1 2", 0.0), Memo("rate", "5", "", 0.0), Memo("rate", "6", "1 a", 0.0)]
    rates = Rates(Memos(memos, CommitQueue(Store(database), BackgroundTasks())), Clock(600.0))
    rates.handle(Batch((BAN, FAILURE), restored=True))
    rates.handle(Batch((Unban(WHO, "a", 1.0, "expired"),)))
    assert rates.failures == rates.bans == 0
    database.close()


@given(st.lists(st.floats(0, 86400 * 2), max_size=30), st.floats(86400 * 2, 86400 * 3))
def test_every_event_of_the_last_day_is_in_one_span(times: list[float], now: float) -> None:
    clock = Clock(0.0)
    rates = Rates(Memos((), None), clock)  # type: ignore[arg-type]  # nothing is saved
    for at in sorted(times):
        clock.now = at
        rates.handle(Batch((FAILURE,)))
    clock.now = now
    curves = rates.curves()
    for spans, length in ((curves["hour"], 60), (curves["day"], 900)):
        assert [one["at"] for one in spans] == [spans[0]["at"] + n * length for n in range(len(spans))]
        assert spans[-1]["at"] <= now < spans[-1]["at"] + length
        assert sum(one["failures"] for one in spans) == sum(at >= spans[0]["at"] for at in times)
