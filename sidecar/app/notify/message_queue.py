"""Messages that wait to be sent: a bounded queue in the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from sidecar.app.notify.message import Message
from sidecar.app.persist.memos import Memos
from sidecar.model import Instant, Seconds, counted, printable

_log = logging.getLogger("zmban.notify")

_KIND = "message"
_MOST = 1000
# Events of a kind within this time make one message.
WINDOW: Seconds = 60.0
_EXPIRES: Seconds = 3 * 86400.0


class MessageQueue:
    """The messages by key, oldest first. `lost` is called with the result (`dropped`: the queue was full, or
    the target is gone; `expired`) and the targets that will not get a message.

    The courier sets `targets`, the names of those that exist (None: not known yet), and `failing`: why some
    do not get their messages.
    """

    def __init__(self, memos: Memos, lost: Callable[[str, tuple[str, ...]], None]) -> None:
        self._memos, self._lost = memos, lost
        self.targets: tuple[str, ...] | None = None
        self.failing: dict[str, str] = {}
        self._messages: dict[str, Message] = {}
        self._full = False
        for key, memo in sorted(memos.of(_KIND).items()):
            try:
                self._messages[key] = Message.loaded(memo.value or "")
            except (ValueError, TypeError, KeyError) as error:
                _log.error("a message that waited cannot be read: %s", printable(str(error))[:200])
                memos.drop(_KIND, key)
        # The message of each kind that further events still join.
        self._open: dict[str, str] = {}
        self._last = max((int(key) for key in self._messages if key.isdecimal()), default=0)

    def __len__(self) -> int:
        return len(self._messages)

    def doubts(self) -> Iterator[str]:
        """A sentence for each target that fails."""
        for target, why in self.failing.items():
            waiting = sum(target in message.to for message in self._messages.values())
            yield f"notifications: {target}: {why} ({counted(waiting, 'message')} waiting)"

    def add(self, message: Message) -> None:
        """Add a message, or its events to the message of its kind that is not due yet."""
        key = self._open.get(message.event, "")
        waiting = self._messages.get(key)
        if waiting is not None and message.at < waiting.at + WINDOW:
            self._put(key, waiting.joined(message))
            return
        while len(self._messages) >= _MOST:
            if not self._full:
                _log.error("%d messages wait to be sent: the oldest are dropped", _MOST)
            self._full = True
            oldest = next(iter(self._messages))
            self._lose(oldest, "dropped", self._messages[oldest].to)
        # In order as text, also if the clock is set back; unique, also if the database was lost.
        self._last = max(self._last + 1, time.time_ns())
        key = f"{self._last:020d}"
        self._open[message.event] = key
        self._put(key, message)

    def due(self, target: str, now: Instant) -> Iterator[tuple[str, Message]]:
        """The messages for a target that no further event joins, oldest first."""
        for key, message in list(self._messages.items()):
            still_open = self._open.get(message.event) == key
            # A message from the future: the clock was set back.
            if still_open and not message.at <= now < message.at + WINDOW:
                del self._open[message.event]
                still_open = False
            if not still_open and key in self._messages and target in self._messages[key].to:
                yield key, message

    def done(self, key: str, target: str) -> None:
        """This target has the message, or will never get it."""
        message = self._messages.get(key)
        if message is not None:
            self._put(key, replace(message, to=tuple(one for one in message.to if one != target)))

    def keep_for(self, targets: Collection[str]) -> None:
        """Drop what waits for other targets."""
        for key, message in list(self._messages.items()):
            if gone := tuple(one for one in message.to if one not in targets):
                self._lose(key, "dropped", gone)

    def expire(self, now: Instant) -> None:
        """Give up messages after three days."""
        for key, message in list(self._messages.items()):
            if message.at < now - _EXPIRES:
                self._lose(key, "expired", message.to)

    def _lose(self, key: str, result: str, targets: tuple[str, ...]) -> None:
        message = self._messages[key]
        self._lost(result, targets)
        self._put(key, replace(message, to=tuple(one for one in message.to if one not in targets)))

    def _put(self, key: str, message: Message) -> None:
        if message.to:
            self._messages[key] = message
            self._memos.put(_KIND, key, message.dumped())
            return
        self._messages.pop(key, None)
        self._memos.drop(_KIND, key)
        self._full = self._full and len(self._messages) >= _MOST // 2
