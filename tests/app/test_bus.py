"""The bus: whole batches, numbered, to every subscriber in the order of subscription."""

from __future__ import annotations

import pytest

from sidecar.app.bus import Bus
from sidecar.model import Ban, Batch, Failure, Refused, Unban
from sidecar.network import Network

WHO = Network.parse("203.0.113.7")
FAILURE = Failure("smtp", WHO, 1.0, "line")
UNBAN = Unban(WHO, "smtp", 2.0, "expired")
REFUSED = Refused("203.0.113.7", "smtp", 1.0, "ignored")


class Ear:
    """Records its name in a shared list, and the events that it received."""

    def __init__(
        self, name: str = "", order: list[str] | None = None, error: Exception | None = None
    ) -> None:
        self._name, self._order, self._error = name, order if order is not None else [], error
        self.heard: list[Batch] = []

    def handle(self, batch: Batch) -> None:
        self._order.append(self._name)
        self.heard.append(batch)
        if self._error:
            raise self._error


def test_subscribers_hear_a_batch_in_the_order_of_their_subscription() -> None:
    bus, order = Bus(), list[str]()
    bus.subscribe(Ear("first", order), Ear("second", order))
    bus.subscribe(Ear("third", order))
    bus.publish([FAILURE])
    assert order == ["first", "second", "third"]


def test_a_batch_carries_what_its_publisher_says() -> None:
    bus, ear = Bus(), Ear()
    bus.subscribe(ear)
    bus.publish([FAILURE], live=True, source="/x.log", read_at=5.0)
    bus.publish([UNBAN], restored=True)
    assert ear.heard == [
        Batch((FAILURE,), True, "/x.log", 1, 5.0, False),
        Batch((UNBAN,), False, "", 2, None, True),
    ]


def test_the_sequence_numbers_events_without_a_gap() -> None:
    bus, ear = Bus(), Ear()
    bus.subscribe(ear)
    for many in (1, 3, 2):
        bus.publish([FAILURE] * many)
    assert [(batch.sequence, len(batch.events)) for batch in ear.heard] == [(1, 1), (2, 3), (5, 2)]


def test_an_empty_batch_is_not_published_and_takes_no_number() -> None:
    bus, ear = Bus(), Ear()
    bus.subscribe(ear)
    bus.publish([])
    bus.publish(event for event in (FAILURE,))
    assert [batch.sequence for batch in ear.heard] == [1]


def test_a_subscriber_that_raises_keeps_the_batch_from_no_other_and_its_error_is_raised() -> None:
    bus, order = Bus(), list[str]()
    bus.subscribe(
        Ear("first", order),
        Ear("wrong", order, ValueError("first error")),
        Ear("also wrong", order, KeyError("second error")),
        Ear("last", order),
    )
    with pytest.raises(ValueError, match="first error"):
        bus.publish([FAILURE])
    assert order == ["first", "wrong", "also wrong", "last"]


def test_a_batch_after_one_that_failed_goes_on_with_the_numbers() -> None:
    bus, ear = Bus(), Ear(error=ValueError())
    bus.subscribe(ear)
    for _ in range(2):
        with pytest.raises(ValueError):
            bus.publish([FAILURE, REFUSED])
    assert [batch.sequence for batch in ear.heard] == [1, 3]


def test_the_events_of_a_kind_are_in_order_and_those_of_a_kind_that_is_not_there_none() -> None:
    batch = Batch((FAILURE, REFUSED, UNBAN, FAILURE._replace(at=2.0)))
    assert batch.of(Failure) == [FAILURE, FAILURE._replace(at=2.0)]
    assert batch.of(Refused) == [REFUSED]
    assert not batch.of(Ban)


def test_of_a_restored_batch_only_unbans_are_new() -> None:
    events = (FAILURE, UNBAN, REFUSED)
    assert list(Batch(events).new.events) == list(events)
    assert list(Batch(events, restored=True).new.events) == [UNBAN]
