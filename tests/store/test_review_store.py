"""The database of the review: counts and positions in one transaction, and a damaged file costs only time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.model import Position, StoreError
from sidecar.store.review_store import FILE, CountedLog, ReviewStore


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    log = CountedLog((Position("/x", 5, 9, b"\0he", b"ta\xff", 2),), {"a": [1]}, ((1, 2, 3, 4),))
    store = ReviewStore(tmp_path)
    with store.writing():
        store.put_day("2026-11-26", "mail", {"n": 1})
        store.put_day("2026-11-26", "mail", {"n": 2})
        store.put_log("/x", log)
    store.close()
    again = ReviewStore(tmp_path)
    assert again.day("2026-11-26", "mail") == {"n": 2}
    assert (again.log("/x"), again.log("/y"), again.days()) == (log, CountedLog(), ["2026-11-26"])
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path)

    def step() -> None:
        with store.writing():
            store.put_day("2026-11-26", "mail", {"n": 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        step()
    assert store.day("2026-11-26", "mail") == {}


def test_old_days_are_forgotten(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path)
    with store.writing():
        for year in range(1900, 2000):
            store.put_day(f"{year}-01-01", "mail", {})
        store.prune()
    assert (len(store.days()), store.days()[-1]) == (62, "1999-01-01")


def test_a_damaged_file_is_moved_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    store = ReviewStore(tmp_path)
    assert "damaged" in store.lost
    assert store.days() == []
    assert (tmp_path / f"{FILE}.damaged").exists()


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        ReviewStore(tmp_path / "gone")
