"""Small facts that survive a restart, by kind and key: switches, unsent messages, counts of a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.store.changes import Memo


class Memos:
    """The single owner of all memos. Each kind is read and written by one component only."""

    def __init__(self, known: Iterable[Memo], commit_queue: CommitQueue) -> None:
        self._known = {(one.kind, one.key): one for one in known}
        self._commit_queue = commit_queue
        self._restored: list[Callable[[], None]] = []

    def on_restored(self, then: Callable[[], None]) -> None:
        """Call this function whenever salvaged memos were added."""
        self._restored.append(then)

    def __iter__(self) -> Iterator[Memo]:
        return iter(self._known.values())

    def of(self, kind: str) -> dict[str, Memo]:
        """The memos of a kind by key."""
        return {key: memo for (known, key), memo in self._known.items() if known == kind}

    def put(self, kind: str, key: str, value: str) -> None:
        """Set a memo, and save it."""
        memo = Memo(kind, key, value, time.time())
        self._known[kind, key] = memo
        self._commit_queue.add([memo])

    def drop(self, kind: str, key: str) -> None:
        """Delete a memo."""
        if self._known.pop((kind, key), None) is not None:
            self._commit_queue.add([Memo(kind, key, None, time.time())])

    def restore(self, memos: Iterable[Memo]) -> None:
        """Add memos that were salvaged from a damaged database, unless something newer is known."""
        new = [one for one in memos if (one.kind, one.key) not in self._known]
        self._known |= {(one.kind, one.key): one for one in new}
        self._commit_queue.add(new)
        if new:
            for then in self._restored:
                then()
