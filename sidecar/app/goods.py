"""Evidence of good: reads the logs for logins that succeeded and for mail servers that we deal with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sidecar.bans.known import Known
from sidecar.detect import grammar
from sidecar.detect.goods import candidates, speaks
from sidecar.fail2ban.dates import LineDates
from sidecar.model import Instant, Said
from sidecar.network import Network
from sidecar.sources.content import BROKEN, siblings
from sidecar.store.changes import Good

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

_CHUNK = 4 << 20
# Past logs are read before anything is decided on them; not for longer than this.
_PATIENCE_SECONDS = 20.0
# A line of one who logged in, or delivered mail: whose, which account ("" for a mail server), when.
_Note = tuple[str, str, Instant]


class Goods:
    """Tells the judge who is known to be good. Each log has its own dates."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._dates: dict[str, LineDates] = {}

    def restore(self) -> None:
        """What earlier runs learnt."""
        since = time.time() - self._service.settings.good.days * 86400
        for good in self._service.ledger.database.good():
            if good.at > since:
                self._known(good.account).login(good.network, good.account, good.at)

    def all(self) -> Iterator[Good]:
        """All that is known now."""
        for known in (self._service.judge.known, self._service.judge.peers):
            yield from (Good(*one) for one in known.all())

    def look(self, path: str, data: bytes, now: Instant) -> None:
        """Look through a block of a log that is followed."""
        name = grammar.of_log(path)
        if name is not None and speaks(name):
            self._note(self._notes(path, candidates(data, name), now))

    async def read_past(self, paths: Iterable[str]) -> None:
        """Where nothing is known yet, the logs tell who logged in before, packed ones too."""
        begun = time.monotonic()
        for path in paths:
            name = grammar.of_log(path)
            if name is not None and speaks(name):
                self._note(await asyncio.to_thread(self._all_of, path, name, begun + _PATIENCE_SECONDS))
        judge = self._service.judge
        _log.info(
            "%d addresses and %d mail servers are known from past logs", len(judge.known), len(judge.peers)
        )

    def _all_of(self, path: str, name: str, until: float) -> list[_Note]:
        notes: dict[tuple[str, str], Instant] = {}
        for data in _chunks(path, until):
            for client, account, at in self._notes(
                path, candidates(data, name, everything=True), time.time()
            ):
                notes[client, account] = max(at, notes.get((client, account), 0.0))
        return [(client, account, at) for (client, account), at in notes.items()]

    def _notes(self, path: str, lines: Iterable[bytes], now: Instant) -> Iterator[_Note]:
        dates = self._dates.setdefault(path, LineDates(self._service.zone, ()))
        read = grammar.chosen(None, path)
        for raw in lines:
            at, text = dates.of(raw.decode("utf-8", "replace"), now)
            said = read(text, self._service.trust) if read is not None else None
            if said is not None and (note := _note(said, min(now, at or now))) is not None:
                yield note

    def _note(self, notes: Iterable[_Note]) -> None:
        judge, changes = self._service.judge, []
        for client, account, at in notes:
            with contextlib.suppress(ValueError):
                network = Network.parse(client).unit()
                if not judge.guard.refuse(network) and self._known(account).login(network, account, at):
                    changes.append(Good(network, account.casefold(), at))
        self._service.ledger.add(changes)

    def _known(self, account: str) -> Known:
        judge = self._service.judge
        return judge.known if account else judge.peers


def _note(said: Said, at: Instant) -> _Note | None:
    if said.good and said.client is not None and said.account:
        return said.client, said.account, at
    return (said.peer, "", at) if said.peer is not None else None


def _chunks(path: str, until: float) -> Iterator[bytes]:
    """All of a log, its older files first, as whole lines."""
    opening: list[Callable[[], IO[bytes]]] = [sibling.open for sibling in siblings(path)]
    opening.append(lambda: Path(path).open("rb"))  # noqa: SIM115 - closed below
    for opened in opening:
        rest = b""
        with contextlib.suppress(*BROKEN), opened() as file:
            while time.monotonic() < until and (data := file.read(_CHUNK)):
                whole, newline, behind = (rest + data).rpartition(b"\n")
                yield whole + newline
                rest = behind[-_CHUNK:]
            yield rest
