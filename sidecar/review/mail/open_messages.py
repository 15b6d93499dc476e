"""What is known of messages in the queue, which later lines need: sender, size, and what is still unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.mail.mail_address import MailAddress

# Messages that are remembered; the oldest are forgotten.
_MOST = 100_000
# Those of them that are kept in the database between two runs.
_MOST_SAVED = 20_000
_NULL_SENDER = "from=<>"


def _oldest_dropped(table: dict[bytes, Any]) -> None:
    if len(table) > _MOST:
        for key in list(table)[: _MOST // 10]:
            del table[key]


class OpenMessages:
    """Queue IDs are used again: a message that arrives replaces another one with its ID.

    `sizes`: sender and bytes by queue ID. `received`: the domain that a message came from, "" for this host;
    None for a message that came back from a content filter. What a part of a log does not say, since it
    stands in the part before, is kept for `join`.
    """

    def __init__(self) -> None:
        self._sizes: dict[bytes, tuple[MailAddress, int]] = {}
        self._received: dict[bytes, str | None] = {}
        self._deferred: dict[bytes, str] = {}
        self._unknown_senders: dict[bytes, tuple[str, MailAddress, int]] = {}
        self._unknown_sizes: list[tuple[str, bytes, MailAddress]] = []
        # Messages that arrived in this part: what the part before says of their IDs is over.
        self._new: dict[bytes, None] = {}

    def arrived(self, queue: bytes, origin: str | None) -> None:
        """A message was received from this domain; None: from this host."""
        self._forget(queue)
        self._received[queue] = origin or ""
        _oldest_dropped(self._received)

    def came_back(self, queue: bytes) -> None:
        """A content filter handed a message back."""
        self._forget(queue)
        self._received[queue] = None
        _oldest_dropped(self._received)

    def _forget(self, queue: bytes) -> None:
        self._sizes.pop(queue, None)
        self._deferred.pop(queue, None)
        self._new[queue] = None
        _oldest_dropped(self._new)

    def sender(self, counts: DayCounts, day: str, queue: bytes, sender: MailAddress, size: int) -> None:
        """A message became active: the first time it counts, if it was received."""
        known = (sender, size)
        if self._sizes.get(queue) == known:
            return
        self._sizes[queue] = known
        _oldest_dropped(self._sizes)
        if queue in self._received:
            origin = self._received.pop(queue)
            if origin is not None:
                _count_sender(counts, sender, size, origin)
        elif queue not in self._new and len(self._unknown_senders) < _MOST:
            self._unknown_senders[queue] = (day, sender, size)

    def delivered(self, counts: DayCounts, day: str, queue: bytes, recipient: MailAddress) -> None:
        """A message was delivered to a recipient."""
        known = self._sizes.get(queue)
        size = known[1] if known else 0
        if known is None and len(self._unknown_sizes) < _MOST:
            self._unknown_sizes.append((day, queue, recipient))
        _count_recipient(counts, recipient, 1, size)

    def deferred(self, counts: DayCounts, day: str, queue: bytes) -> None:
        """A delivery was deferred: the message counts the first time."""
        if queue not in self._deferred:
            counts.totals["deferred"] += 1
            self._deferred[queue] = day
            _oldest_dropped(self._deferred)

    def join(self, later: OpenMessages, of: Callable[[str], DayCounts]) -> None:
        """Add the messages of the part of the log behind this one, and count what it could not."""
        for queue, (day, sender, size) in later._unknown_senders.items():
            origin = self._received.pop(queue, None)
            if origin is not None and self._sizes.get(queue) != (sender, size):
                _count_sender(of(day), sender, size, origin)
            elif queue not in self._sizes and len(self._unknown_senders) < _MOST:
                self._unknown_senders[queue] = (day, sender, size)
        for day, queue, recipient in later._unknown_sizes:
            if (known := self._sizes.get(queue)) is None:
                self._unknown_sizes.append((day, queue, recipient))
                continue
            _count_recipient(of(day), recipient, 0, known[1])
        for queue, day in later._deferred.items():
            if queue in self._deferred and queue not in later._new:
                of(day).totals["deferred"] -= 1
        self._take(later)

    def _take(self, later: OpenMessages) -> None:
        for queue in later._new:
            self._forget(queue)
            self._received.pop(queue, None)
        self._sizes |= later._sizes
        self._received |= later._received
        self._deferred |= later._deferred
        for table in (self._sizes, self._received, self._deferred):
            _oldest_dropped(table)

    def dumped(self) -> dict[str, Any]:
        """As JSON, for the next run; the newest messages only."""
        sizes, received = list(self._sizes.items()), list(self._received.items())
        deferred = list(self._deferred.items())
        return {
            "sizes": {key.decode("latin-1"): value for key, value in sizes[-_MOST_SAVED:]},
            "received": {key.decode("latin-1"): value for key, value in received[-_MOST_SAVED:]},
            "deferred": {key.decode("latin-1"): day for key, day in deferred[-_MOST_SAVED:]},
        }

    @classmethod
    def restored(cls, read: Any) -> OpenMessages:
        """The reverse of `dumped`; nothing is known if it is damaged."""
        try:
            return cls._loaded(read) if read else cls()
        except (KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def _loaded(cls, read: dict[str, Any]) -> OpenMessages:
        made = cls()
        made._sizes = {
            key.encode("latin-1"): (MailAddress(*who), int(n)) for key, (who, n) in read["sizes"].items()
        }
        made._received = {key.encode("latin-1"): value for key, value in read["received"].items()}
        made._deferred = {key.encode("latin-1"): str(day) for key, day in read["deferred"].items()}
        return made


def _count_sender(counts: DayCounts, sender: MailAddress, size: int, origin: str) -> None:
    """Count a received message by its sender, and by the sender's domain or the host it came from."""
    name = sender.text or _NULL_SENDER
    counts.tables["senders"].add(name, 1, size)
    counts.tables["sender_domains"].add(sender.domain or origin or name, 1, size)
    counts.totals["bytes_received"] += size


def _count_recipient(counts: DayCounts, recipient: MailAddress, number: int, size: int) -> None:
    """Count a delivery; with `number` 0 only its bytes, which became known later."""
    counts.tables["recipients"].add(recipient.text, number, size)
    counts.tables["recipient_domains"].add(recipient.domain or recipient.text, number, size)
    counts.totals["bytes_delivered"] += size
