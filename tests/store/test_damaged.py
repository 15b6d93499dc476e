"""Damaged Fail2Ban databases: StoreError, and nothing is imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.model import Ban, StoreError
from sidecar.offline.import_state import into_state
from sidecar.store.database import Database
from sidecar.store.imports import fail2ban_database, incoming
from tests.store.written import SCHEMA_4, made

AT = 1_790_000_000
ROWS = [
    (f"198.51.100.{n}", "mail", AT + n, -1, 1, json.dumps({"matches": ["line " * 40] * 3, "failures": 3}))
    for n in range(250)
]


WRITTEN = {(f"{ip}/32", float(at)) for ip, _, at, *_ in ROWS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of many pages."""
    path = tmp_path_factory.mktemp("whole") / "db"
    history = [(jail, ip, at - 9999, 60, 1, data) for ip, jail, at, _, _, data in ROWS]
    return made(path, SCHEMA_4, bips=ROWS, bans=history)


def imported(path: Path, state: Path) -> None:
    with incoming.read(path, 0.0, lambda _: 3600.0, state) as found:
        into_state(state, {}, (chunk.bans for chunk in found.chunks()))


def content(state: Path) -> tuple[list[Ban], Any]:
    database = Database(state)
    try:
        return list(database.bans()), database._db.execute("SELECT * FROM history").fetchall()
    finally:
        database.close()


@settings(max_examples=150, deadline=None)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=40),
    # The header and the first page, where every byte has a meaning.
    early=st.lists(st.tuples(st.integers(0, 2047), st.integers(1, 255)), max_size=3),
    length=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_damaged_file_is_our_own_error_and_changes_nothing_or_is_read_whole(
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    flips: list[tuple[float, int]],
    early: list[tuple[int, int]],
    length: float,
) -> None:
    root = tmp_path_factory.mktemp("damaged")
    data = bytearray(whole.read_bytes())
    for place, change in [*((int(where * len(data)), change) for where, change in flips), *early]:
        data[place] ^= change
    (root / "db").write_bytes(data[: int(length * len(data))])
    Database(root / "state").close()
    said = None
    try:
        imported(root / "db", root / "state")
    except StoreError as error:
        said = str(error)
    bans, history = content(root / "state")
    if said is not None:
        assert "db" in said and said.isprintable() and len(said) < 1000
        assert (bans, history) == ([], [])
    else:
        # No row is lost or added. Only values in which a byte was changed may differ, or are no valid ban any more.
        changed = len(flips) + len(early)
        assert length == 1.0 or int(length * len(data)) == len(data)
        assert len(ROWS) - changed <= len(bans) <= len(ROWS)
        assert len({(str(ban.network), ban.at) for ban in bans} - WRITTEN) <= changed
        assert all(len(ban.evidence) <= 3 and ban.origin == "import" for ban in bans)
    shutil.rmtree(root)


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_and_nothing_of_it_is_imported(
    whole: Path, tmp_path: Path, part: float
) -> None:
    data = whole.read_bytes()
    (tmp_path / "db").write_bytes(data[: int(part * len(data))])
    with pytest.raises(StoreError):
        imported(tmp_path / "db", tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_page_that_is_overwritten_is_found_before_anything_is_imported(whole: Path, tmp_path: Path) -> None:
    pages = whole.stat().st_size // 4096
    for page in range(1, pages):
        data = bytearray(whole.read_bytes())
        data[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
        (tmp_path / "db").write_bytes(data)
        with pytest.raises(StoreError, match="damaged"):
            list(fail2ban_database.read(tmp_path / "db", "db", float))
