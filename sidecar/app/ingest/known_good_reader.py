"""Reads logins and delivered mail from the logs, to learn known-good clients and mail servers."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator

from sidecar.app.active import ActiveConfiguration
from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.protection import Protection
from sidecar.decide.known_good import KnownGood
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect import grammar
from sidecar.detect.login_notes import Note, NoteReader
from sidecar.model import Instant, SourceError, counted
from sidecar.sources.files.disk import PATIENCE, Disk
from sidecar.sources.files.rotation import listing
from sidecar.sources.kinds import file_path
from sidecar.sources.plain_blocks import plain_blocks
from sidecar.sources.whole_lines import whole_lines
from sidecar.store.changes import Login

_log = logging.getLogger("zmban")

# Maximum time for reading past logs at the start, before anything is decided.
_PATIENCE_SECONDS = 20.0


class KnownGoodReader:
    """Passes logins on to KnownGood and SuspectedProxies, and saves them."""

    def __init__(
        self,
        active: ActiveConfiguration,
        known_good: KnownGood,
        suspects: SuspectedProxies,
        protection: Protection,
        commit_queue: CommitQueue,
    ) -> None:
        self._known_good, self._suspects = known_good, suspects
        self._protection, self._commit_queue = protection, commit_queue
        self._reader = NoteReader(active.zone, suspects.trust)

    def look(self, log: FollowedLog, data: bytes, now: Instant) -> None:
        """Read a block of a followed log."""
        self._take(self._reader.of(log.path, data, now, log.scanner.log))

    def forget(self, path: str) -> None:
        """Drop the state of a log that is no longer followed."""
        self._reader.forget(path)

    async def read_past(self, logs: Iterable[tuple[str, str]]) -> None:
        """Read logins from complete logs, including compressed files: each path with the name that selects
        its grammar."""
        begun = time.monotonic()
        for path, name in logs:
            if grammar.shows_logins(name):
                disk = Disk(path, _PATIENCE_SECONDS + PATIENCE)
                try:
                    self._take(await disk.ask(self._all_of, path, name, begun + _PATIENCE_SECONDS))
                except SourceError as error:
                    # Known-good clients are not worth a longer wait.
                    _log.warning("%s", error)
        _log.info(
            "known from past logs: %s, %s",
            counted(len(self._known_good.clients), "address", "addresses"),
            counted(len(self._known_good.mail_servers), "mail server"),
        )

    def _all_of(self, path: str, name: str, until: float) -> list[Note]:
        latest: dict[Note, Instant] = {}
        for data in plain_blocks(path, _chunks(file_path(path), until)):
            for note in self._reader.of(path, data, time.time(), name, everything=True):
                alike = note._replace(at=0.0)
                latest[alike] = max(note.at, latest.get(alike, 0.0))
        return [alike._replace(at=at) for alike, at in latest.items()]

    def _take(self, found: Iterable[Note]) -> None:
        changes = []
        for note in found:
            self._suspects.login(note)
            if (network := self._known_good.take(note, self._protection.guard)) is not None:
                changes.append(Login(network, note.account.casefold(), note.at))
        self._commit_queue.add(changes)


def _chunks(path: str, until: float) -> Iterator[bytes]:
    """The whole log in blocks of complete lines, older files first."""
    older: list[str] = []
    with contextlib.suppress(OSError):
        older = [found.path for found in listing(path).others if found.rotated and not found.below]
    for name in (*older, path):
        with contextlib.suppress(SourceError):
            for data in whole_lines(name):
                if time.monotonic() >= until:
                    return
                yield data
