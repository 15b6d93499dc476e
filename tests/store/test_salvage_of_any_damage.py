"""From a file with any damage only what was written is salvaged, and the work is bounded by the number of pages."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.model import Ban, Failure, Position
from sidecar.store.changes import Allowed, Change, EvidenceLines, HistoryEntry, Login, Zone
from sidecar.store.database import FILE
from sidecar.store.repair.salvage import Salvage
from tests.store.damaging import DAMAGES, PAGE, overwritten, realistic, swapped

PATIENCE = 60.0
# Measured: up to 21 reads of each page, most of them while tables without a root are looked for.
READS = 60


class Whole:
    """The content of an undamaged database, and what is salvaged from it; without a repr of megabytes."""

    def __init__(self, content: bytes, written: set[Change]) -> None:
        self.content, self.written = content, written


def salvaged(file: Path) -> tuple[list[Change], Salvage]:
    """Everything that is found in a file."""
    salvage = Salvage(file)
    found = salvage.first(PATIENCE)
    assert salvage.over
    return found, salvage


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A database of fifty pages."""
    state = tmp_path_factory.mktemp("whole")
    realistic(state, 300)
    found, salvage = salvaged(state / FILE)
    assert salvage.found.broken == {}
    kinds = {Ban, Failure, Position, Allowed, EvidenceLines, HistoryEntry, Login, Zone}
    assert {type(one) for one in found} == kinds
    return Whole((state / FILE).read_bytes(), set(found))


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3), st.integers(0, 2**32))
def test_what_is_salvaged_was_written_once_and_each_page_is_read_a_few_times(
    whole: Whole,
    tmp_path_factory: pytest.TempPathFactory,
    damages: list[object],
    seed: int,
) -> None:
    data, by = bytearray(whole.content), random.Random(seed)
    for damage in damages:
        if len(data) > 4 * PAGE:
            damage(data, by)  # type: ignore[operator]
    file = tmp_path_factory.mktemp("damaged") / FILE
    file.write_bytes(data)
    found, salvage = salvaged(file)
    progress = salvage.progress()
    assert progress["pages_read"] <= READS * max(10, progress["pages"])
    # Overwritten bytes of a row may still be valid values.
    strange = [one for one in found if one not in whole.written]
    assert len(strange) <= (60 * damages.count(overwritten) if overwritten in damages else 0), strange[:3]
    assert sum(salvage.found.taken.values()) == len(found)
    # What is missing is reported. A root that was swapped with a page below it looks like a small whole table.
    if not {overwritten, swapped} & set(damages):
        assert len(set(found)) == len(found)
        assert set(found) == whole.written or salvage.found.broken, progress
