"""The size of the corpus of each known release of Fail2Ban, so that missing records are noticed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.conformance import package
from tests.conformance.corpus import Session


@dataclass(frozen=True, slots=True)
class Counts:
    """The size of a corpus. `samples`: distinct lines; `records`: lines times option sets."""

    filters: int
    sessions: int
    samples: int
    records: int
    match: int
    no_match: int
    files: int
    journal: int
    timed: int


KNOWN = {
    "1.0.2": Counts(91, 128, 1067, 1627, 1317, 310, 1382, 245, 1134),
    "1.1.0": Counts(94, 135, 1101, 1671, 1356, 315, 1421, 250, 1166),
    "1.1.1": Counts(98, 143, 1195, 1811, 1480, 331, 1560, 251, 1285),
}


def count(sessions: Iterable[Session]) -> Counts:
    """Count the content of these sessions."""
    every = list(sessions)
    pairs = [(session, record) for session in every for record in session.records]
    return Counts(
        filters=len({session.filter for session in every}),
        sessions=len(every),
        samples=len({(record.file, record.number) for _, record in pairs}),
        records=len(pairs),
        match=sum(record.match for _, record in pairs),
        no_match=sum(not record.match for _, record in pairs),
        files=sum(not session.journal for session, _ in pairs),
        journal=sum(session.journal for session, _ in pairs),
        timed=sum(record.match and record.time is not None for _, record in pairs),
    )


def shortfall(counted: Counts) -> str | None:
    """Why this is not the complete corpus of the installed release, or None. An unknown release must have at
    least as many records as the oldest known one."""
    release = package.version()
    expected = KNOWN.get(release)
    if expected is not None and counted != expected:
        return f"the corpus of {release} is {expected}, but {counted} was read"
    if expected is None and counted.records < KNOWN["1.0.2"].records:
        return f"the corpus of {release} has only {counted.records} records"
    return None
