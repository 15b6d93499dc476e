"""Evidence of good: reads the logs for logins that succeeded and for mail servers that we deal with."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sidecar.app.protect.suspecting import RELAY
from sidecar.decide import known_good
from sidecar.decide.known_good import Note
from sidecar.detect import grammar
from sidecar.detect.grammar.login_lines import speaks
from sidecar.model import Instant, SourceError, counted
from sidecar.sources.files.disk import PATIENCE, Disk, open_regular
from sidecar.sources.files.packed import BROKEN, is_packed, unpacking
from sidecar.sources.files.rotation import listing
from sidecar.store.changes import Good

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

_CHUNK = 4 << 20
# Past logs are read before anything is decided on them; not for longer than this.
_PATIENCE_SECONDS = 20.0


class Goods:
    """Tells the judge who is known to be good."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reading = known_good.NoteReader(service.zone, service.trust)

    def restore(self) -> None:
        """What earlier runs learnt."""
        since = time.time() - self._service.settings.good.days * 86400
        for good in self._service.ledger.database.good():
            if good.at > since:
                self.learn(good)

    def learn(self, good: Good) -> bool:
        """What the database knew; whether it was not known here."""
        if good.account == RELAY:
            self._service.suspects.restore(good.network, good.at)
            return True
        return known_good.among(self._service.judge, good.account).login(good.network, good.account, good.at)

    def all(self) -> Iterator[Good]:
        """All that is known now."""
        for known in (self._service.judge.known, self._service.judge.peers):
            yield from (Good(*one) for one in known.all())
        yield from (Good(network, RELAY, at) for network, at in self._service.suspects.noted())

    def look(self, path: str, data: bytes, now: Instant) -> None:
        """Look through a block of a log that is followed."""
        self._take(self._reading.of(path, data, now))

    def forget(self, path: str) -> None:
        """This log is followed no more."""
        self._reading.forget(path)

    async def read_past(self, paths: Iterable[str]) -> None:
        """Where nothing is known yet, the logs tell who logged in before, packed ones too."""
        begun = time.monotonic()
        for path in paths:
            if speaks(grammar.of_log(path)):
                disk = Disk(path, _PATIENCE_SECONDS + PATIENCE)
                try:
                    self._take(await disk.ask(self._all_of, path, begun + _PATIENCE_SECONDS))
                except SourceError as error:
                    # To know who is good is worth no longer wait.
                    _log.warning("%s", error)
        judge = self._service.judge
        _log.info(
            "known from past logs: %s, %s",
            counted(len(judge.known), "address", "addresses"),
            counted(len(judge.peers), "mail server"),
        )

    def _all_of(self, path: str, until: float) -> list[Note]:
        latest: dict[Note, Instant] = {}
        for data in _chunks(path, until):
            for note in self._reading.of(path, data, time.time(), everything=True):
                alike = note._replace(at=0.0)
                latest[alike] = max(note.at, latest.get(alike, 0.0))
        return [alike._replace(at=at) for alike, at in latest.items()]

    def _take(self, found: Iterable[Note]) -> None:
        changes = []
        for note in found:
            self._service.suspects.login(note)
            if (network := known_good.take(self._service.judge, note)) is not None:
                changes.append(Good(network, note.account.casefold(), note.at))
        self._service.ledger.add(changes)


def _chunks(path: str, until: float) -> Iterator[bytes]:
    """All of a log, its older files first, as whole lines."""
    older: list[str] = []
    with contextlib.suppress(OSError):
        older = [found.path for found in listing(path).others if found.rotated and not found.below]
    for name in (*older, path):
        rest = b""
        with (
            contextlib.suppress(*BROKEN, SourceError),
            open_regular(name) as opened,
            unpacking(opened) if is_packed(name) else opened as file,
        ):
            while time.monotonic() < until and (data := file.read(_CHUNK)):
                whole, newline, behind = (rest + data).rpartition(b"\n")
                yield whole + newline
                rest = behind[-_CHUNK:]
            yield rest
