"""Reads from logs who logged in and which mail servers are dealt with; and which peers speak for others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from itertools import islice
from typing import NamedTuple

from sidecar.detect import grammar
from sidecar.detect.grammar import Trust, login_lines
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.model import Instant, LineFacts


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

    def of(
        self, path: str, data: bytes, now: Instant, log: str = "", *, everything: bool = False
    ) -> Iterator[Note]:
        """The notes of a block of whole lines of a log; of a long block only those of its beginning, unless
        `everything`. `log` is the file name by which its grammar is chosen, "" for that of `path`."""
        name = grammar.of_log(log or path)
        if name is None:
            return
        markers = grammar.GRAMMARS[name]
        if everything:
            left = self._left.get(path, self._relays)
            lines = list(islice(login_lines.lines_with(data, markers.relays), left))
            self._left[path] = left - len(lines)
            for facts, at in self._read(path, log, lines, now):
                if facts.relay:
                    yield Note(facts.named, "", at, facts.relay)
        for facts, at in self._read(
            path, log, login_lines.candidates(data, markers.logins, everything=everything), now
        ):
            if (note := _note(facts, at)) is not None:
                yield note

    def _read(
        self, path: str, log: str, lines: Iterable[bytes], now: Instant
    ) -> Iterator[tuple[LineFacts, Instant]]:
        """What the grammar of a log makes of lines of it, and when each was written."""
        dates = self._dates.setdefault(path, LineDates(self._zone, ()))
        blame = grammar.chosen("log", log or path)
        for raw in lines:
            at, text = dates.of(raw.decode("utf-8", "replace"), now)
            facts = blame(text, self._trust) if blame else None
            if facts is not None:
                yield facts, min(now, at or now)


def _note(facts: LineFacts, at: Instant) -> Note | None:
    if facts.good and facts.account and (facts.client or facts.relay):
        return Note(facts.client or facts.named, facts.account, at, facts.relay or "")
    return Note(facts.peer, "", at) if facts.peer is not None else None
