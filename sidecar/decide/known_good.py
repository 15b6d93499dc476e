"""Notes from logs of who is good: logins that succeeded, mail that was delivered or found clean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sidecar.decide.engine import DecisionEngine
from sidecar.decide.recent_logins import RecentLogins
from sidecar.detect import grammar
from sidecar.detect.grammar import Trust, login_lines
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.model import Instant, LineFacts
from sidecar.network import Network

# Of a longer log a sample says enough: so much, and then so much is passed over.
_WHOLE = 16 << 20
_SAMPLE, _STEP = 64 << 10, 4 << 20


class Note(NamedTuple):
    """A line of one who logged in, or delivered mail: whose, which account ("" for a mail server), when.

    `through`: the suspected proxy that says so of the client ("" where it names none), of a login or (account
    "") of anything else; nothing of it is believed.
    """

    client: str
    account: str
    at: Instant
    through: str = ""


class NoteReader:
    """Reads lines that speak for somebody, and so many of each log by which a peer may speak for others. Each
    log has its own dates."""

    def __init__(self, zone: tzinfo, trust: Trust, relays: int = 2000) -> None:
        self._zone, self._trust, self._relays = zone, trust, relays
        self._left: dict[str, int] = {}
        self._dates: dict[str, LineDates] = {}

    def forget(self, path: str) -> None:
        """This log is gone."""
        self._dates.pop(path, None)

    def of(self, path: str, data: bytes, now: Instant, *, everything: bool = False) -> Iterator[Note]:
        """The notes of a block of whole lines of a log; of a long block only those of its beginning, but for
        `everything`."""
        name = grammar.of_log(path)
        if name is None:
            return
        if everything:
            left = self._left.get(path, self._relays)
            lines = list(islice(login_lines.lines_with(data, login_lines.RELAYING.get(name, ())), left))
            self._left[path] = left - len(lines)
            for said, at in self._read(path, lines, now):
                if said.relay:
                    yield Note(said.named, "", at, said.relay)
        for said, at in self._read(path, login_lines.candidates(data, name, everything=everything), now):
            if (note := _note(said, at)) is not None:
                yield note

    def _read(self, path: str, lines: Iterable[bytes], now: Instant) -> Iterator[tuple[LineFacts, Instant]]:
        """What the grammar of a log makes of lines of it, and when each was written."""
        dates = self._dates.setdefault(path, LineDates(self._zone, ()))
        blame = grammar.chosen("log", path)
        for raw in lines:
            at, text = dates.of(raw.decode("utf-8", "replace"), now)
            said = blame(text, self._trust) if blame else None
            if said is not None:
                yield said, min(now, at or now)


def take(judge: DecisionEngine, note: Note) -> Network | None:
    """Tell the judge. The network if that is worth writing down."""
    if note.through:
        return None
    client, account, at, _ = note
    try:
        network = Network.parse(client).unit()
    except ValueError:
        return None
    known = among(judge, account)
    return network if not judge.guard.refuse(network) and known.login(network, account, at) else None


def among(judge: DecisionEngine, account: str) -> RecentLogins:
    """Among whom a note counts: clients, or (account "") mail servers."""
    return judge.known if account else judge.peers


def samples(path: str) -> Iterator[bytes]:
    """A log in blocks of whole lines: all of a short one, of a longer one a part here and there. The same of
    the same file."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            step, length = (_STEP, _SAMPLE) if size > _WHOLE else (_WHOLE, _WHOLE)
            for start in range(0, size, step):
                file.seek(start)
                data = file.read(length)
                # The line that was begun before is left out, and the one that ends behind.
                begin = data.find(b"\n") + 1 if start else 0
                end = len(data) if start + len(data) == size else data.rfind(b"\n") + 1
                yield data[begin:end]
    except OSError:
        return


def _note(said: LineFacts, at: Instant) -> Note | None:
    if said.good and said.account and (said.client or said.relay):
        return Note(said.client or said.named, said.account, at, said.relay or "")
    return Note(said.peer, "", at) if said.peer is not None else None
