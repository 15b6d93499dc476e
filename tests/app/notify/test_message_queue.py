"""The queue is bounded, and outlives the process."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import pytest

from sidecar.app.notify import message_queue
from sidecar.app.notify.message import Message
from sidecar.app.notify.message_queue import MessageQueue
from sidecar.app.persist.memos import Memos
from sidecar.store.changes import Memo

HOOK, MAIL = "webhook hooks.example.com", "mail"
LATER = 2e9


class Kept:
    """Stands for the commit queue: what would be in the database."""

    def __init__(self) -> None:
        self.memos: dict[str, Memo] = {}

    def add(self, changes: Iterable[Memo]) -> None:
        for one in changes:
            self.memos.pop(one.key, None)
            if one.value is not None:
                self.memos[one.key] = one


class Queue:
    def __init__(self, kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.lost: list[tuple[str, tuple[str, ...]]] = []
        memos = Memos(self.kept.memos.values(), self.kept)  # type: ignore[arg-type]
        self.queue = MessageQueue(memos, lambda result, targets: self.lost.append((result, targets)))

    def due(self, target: str = HOOK, now: float = LATER) -> list[float]:
        return [message.at for _, message in self.queue.due(target, now)]

    def add(self, at: float, event: str = "brake", to: tuple[str, ...] = (HOOK, MAIL)) -> None:
        self.queue.add(Message(event, at, "title", to=to))


def test_each_target_gets_a_message_once_and_in_order_also_after_a_restart() -> None:
    one = Queue()
    one.add(1000.0)
    one.add(2000.0)
    first = next(key for key, _ in one.queue.due(HOOK, LATER))
    one.queue.done(first, HOOK)
    again = Queue(one.kept)
    assert (again.due(HOOK), again.due(MAIL)) == ([2000.0], [1000.0, 2000.0])
    for key, _ in list(again.queue.due(MAIL, LATER)):
        again.queue.done(key, MAIL)
        again.queue.done(key, HOOK)
    assert len(again.queue) == 0 and again.kept.memos == {}


def test_further_events_join_a_message_for_a_minute_and_none_that_was_begun() -> None:
    one = Queue()
    one.add(1000.0)
    one.add(1059.0)
    one.add(1059.0, "masked")
    assert one.due(now=1059.5) == []
    assert [(m.event, m.number) for _, m in one.queue.due(HOOK, 1060.0)] == [("brake", 2)]
    # It may be on its way.
    one.add(1059.9)
    assert len(one.queue) == 3


def test_a_clock_that_was_set_back_holds_up_no_message() -> None:
    one = Queue()
    one.add(5000.0)
    assert one.due(now=100.0) == [5000.0]


def test_after_a_restart_nothing_is_waited_for() -> None:
    one = Queue()
    one.add(1000.0)
    assert Queue(one.kept).due(now=1001.0) == [1000.0]


def test_of_too_many_the_oldest_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(message_queue, "_MOST", 10)
    one = Queue()
    for number in range(25):
        one.add(1000.0 * (1 + number))
    assert one.due() == [1000.0 * number for number in range(16, 26)]
    assert one.lost == [("dropped", (HOOK, MAIL))] * 15
    assert len(one.kept.memos) == 10
    assert caplog.text.count("oldest are dropped") == 1


def test_a_message_is_given_up_after_three_days() -> None:
    one = Queue()
    one.add(1000.0)
    one.queue.expire(1000.0 + 3 * 86400 - 1)
    assert len(one.queue) == 1
    one.queue.expire(1000.0 + 3 * 86400 + 1)
    assert (len(one.queue), one.lost, one.kept.memos) == (0, [("expired", (HOOK, MAIL))], {})


def test_what_waits_for_a_target_that_is_gone_is_dropped() -> None:
    one = Queue()
    one.add(1000.0)
    one.queue.keep_for([MAIL])
    assert (one.due(HOOK), one.due(MAIL), one.lost) == ([], [1000.0], [("dropped", (HOOK,))])


@pytest.mark.parametrize("value", ["", "{", "[]", '{"event": "x"}', "null"])
def test_a_damaged_message_is_left_out(value: str, caplog: pytest.LogCaptureFixture) -> None:
    one = Queue()
    one.add(1000.0)
    one.kept.add([Memo("message", "000000000002", value, 1.0)])
    again = Queue(one.kept)
    assert again.due() == [1000.0] and len(again.kept.memos) == 1
    assert "cannot be read" in caplog.text


def test_keys_go_on_after_a_restart() -> None:
    one = Queue()
    one.add(1000.0)
    again = Queue(one.kept)
    again.add(900.0)
    assert again.due() == [1000.0, 900.0]


def test_keys_of_a_lost_database_are_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Queue(), Queue()
    one.add(1000.0)
    other.add(1000.0)
    assert one.kept.memos.keys().isdisjoint(other.kept.memos)
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    one.add(2000.0)
    assert one.due() == [1000.0, 2000.0]


def test_a_message_without_targets_is_not_kept() -> None:
    one = Queue()
    one.add(1000.0, to=())
    assert len(one.queue) == 0


def test_a_failing_target_is_told_with_what_waits() -> None:
    one = Queue()
    one.add(1000.0)
    one.queue.failing = {HOOK: "HTTP 500", "[notify] webhooks_file": "gone"}
    assert list(one.queue.doubts()) == [
        f"notifications: {HOOK}: HTTP 500 (1 message waiting)",
        "notifications: [notify] webhooks_file: gone (0 messages waiting)",
    ]
    message = replace(Message("brake", 1.0, "x"), to=(HOOK,))
    assert Message.loaded(message.dumped()) == message
