"""Changes that later ones undo can be left out: the database is the same without them."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import Ban, Extended, Failure, FailuresCleared, Unban
from sidecar.network import Network
from sidecar.store.changes import Change, Forgotten, lasting
from sidecar.store.database import Database

NETWORKS = st.sampled_from([Network.parse(text) for text in ("203.0.113.1", "203.0.113.2", "203.0.113.0/24")])
JAILS = st.sampled_from(["smtp", "imap"])
TIMES = st.integers(1, 50).map(float)
BANS = st.builds(
    lambda network, jail, at, dry: Ban(network, jail, at, None, "log", "why", 2, ("a line",), 1, dry),
    NETWORKS, JAILS, TIMES, st.booleans(),
)  # fmt: skip
CHANGES = st.lists(
    st.one_of(
        st.builds(Failure, JAILS, NETWORKS, TIMES, st.text("ab", max_size=3)),
        st.builds(FailuresCleared, JAILS, NETWORKS),
        BANS,
        st.builds(Extended, BANS),
        st.builds(Unban, NETWORKS, JAILS, TIMES, st.just("expired")),
        st.builds(Forgotten, NETWORKS, st.none() | JAILS),
    ),
    max_size=30,
)


def written(changes: list[Change], parts: int) -> tuple[list[object], ...]:
    """The bans and failures of a new database behind these changes, written in several transactions."""
    with tempfile.TemporaryDirectory() as directory, closing(Database(Path(directory))) as database:
        for begin in range(0, len(changes), parts):
            database.write(changes[begin : begin + parts])
        return sorted(database.bans(), key=repr), sorted(database.failures(), key=repr)


@given(CHANGES)
def test_the_database_is_the_same_without_what_later_changes_undo(changes: list[Change]) -> None:
    few = lasting(changes)
    assert len(few) <= len(changes)
    assert written(few, 100) == written(changes, 100)


def test_failures_that_no_longer_count_are_left_out() -> None:
    one, other = Network.parse("203.0.113.1"), Network.parse("203.0.113.2")
    last = Failure("smtp", one, 3.0, "c")
    cleared = FailuresCleared("smtp", one)
    changes: list[Change] = [
        Failure("smtp", one, 1.0, "a"),
        cleared,
        Failure("imap", one, 1.0, "b"),
        cleared,
        last,
    ]
    assert lasting(changes) == [changes[2], cleared, last]
    kept: list[Change] = [Failure("smtp", other, 1.0, "a"), Forgotten(one, None)]
    assert lasting(kept) == kept
