"""A database with any damage is opened in short time, and its readable bans are active.

`ZMBAN_DAMAGES`: number of random damages; `ZMBAN_SEED`: the printed seed repeats them.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import time
from pathlib import Path

import pytest

from sidecar.app.persist import recovery
from sidecar.bans.table import BanTable
from sidecar.model import Ban
from sidecar.store import migrations
from sidecar.store.database import FILE, DamagedError, LaterError
from tests.store.damaging import DAMAGES, PAGE, realistic

# Set by `make test-faults` for the long form.
_KILLS = int(os.environ.get("ZMBAN_KILLS", "0"))
MANY = int(os.environ.get("ZMBAN_DAMAGES", str(10 * _KILLS or 42)))
SEED = os.environ.get("ZMBAN_SEED", "13")
BANS = 3000
# Offset in the file header of the last byte of the schema version (PRAGMA user_version).
SCHEMA_VERSION = 63
# A start takes less than five seconds; the limit is higher for busy machines.
MOST_SECONDS = 20.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, set[Ban]]:
    """The content of a database of one or two megabytes, and its bans without evidence."""
    state = tmp_path_factory.mktemp("whole")
    bans = realistic(state, BANS)
    return (state / FILE).read_bytes(), {ban._replace(evidence=()) for ban in bans}


def started(state: Path) -> tuple[set[Ban], float]:
    """Open a database as the service does: the active bans, and the seconds it took."""
    begun = time.monotonic()
    store = recovery.opened(state)
    try:
        table = BanTable(store.database.active_bans())
        found = list(store.database.failures()), store.database.logins(), list(store.database.counts())
    except DamagedError as error:
        store.database.close()
        store = recovery.replaced(state, error)
        table = BanTable(store.database.active_bans())
        found = list(store.database.failures()), store.database.logins(), list(store.database.counts())
    del found
    took = time.monotonic() - begun
    assert store.failing is None
    for salvage in store.salvages:
        salvage.stop()
    store.database.write([Ban(next(iter(table)).network, "later", 1.0, None, "log")] if len(table) else [])
    store.database.check()
    store.database.close()
    return set(table), took


def test_a_database_with_any_damage_is_opened_in_little_time_and_can_be_written_to(
    whole: tuple[bytes, set[Ban]], tmp_path: Path
) -> None:
    content, bans = whole
    seconds, kept = [], []
    print(f"ZMBAN_SEED={SEED}")
    for number in range(MANY):
        by, damage = random.Random(f"{SEED} {number}"), DAMAGES[number % len(DAMAGES)]
        data = bytearray(content)
        damage(data, by)
        if number >= len(DAMAGES) and by.random() < 0.3:
            by.choice(DAMAGES[1:])(data, by) if len(data) > 4 * PAGE else None
        state = tmp_path / "state"
        state.mkdir()
        (state / FILE).write_bytes(data)
        told = f"{damage.__name__} {number} (ZMBAN_SEED={SEED})"
        found, took = started(state)
        assert took < MOST_SECONDS, told
        # Overwritten bytes of a ban may still be valid values; only a few bans may change that way.
        assert len(found - bans) <= 60, told
        seconds.append(took)
        kept.append(len(found & bans))
        shutil.rmtree(state)
    share = [f"{100 * k // BANS} %" for k in (min(kept), statistics.median(kept), max(kept))]
    print(f"{MANY} databases: slowest {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s")
    print(f"bans kept: least, median, most {', '.join(share)}; mean {100 * sum(kept) / BANS / MANY:.1f} %")


def test_of_a_halved_database_the_bans_of_every_page_that_is_left_stand(
    whole: tuple[bytes, set[Ban]], tmp_path: Path
) -> None:
    content, bans = whole
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    found, _ = started(tmp_path)
    assert found <= bans
    assert len(found) > BANS // 4


@pytest.mark.parametrize("value", [0, 3, 255])
def test_whatever_a_byte_of_the_header_says_the_database_can_be_written_to(
    tmp_path: Path, value: int
) -> None:
    (tmp_path / "whole").mkdir()
    bans = realistic(tmp_path / "whole", 20)
    content = (tmp_path / "whole" / FILE).read_bytes()
    for place in range(100):
        (tmp_path / FILE).write_bytes(content[:place] + bytes((value,)) + content[place + 1 :])
        if place == SCHEMA_VERSION and migrations.newest() < value < 100:
            # Not damage, but a plausible later version.
            with pytest.raises(LaterError):
                started(tmp_path)
        else:
            found, _ = started(tmp_path)
            assert found <= {ban._replace(evidence=()) for ban in bans}, place
        for path in tmp_path.glob(f"{FILE}*"):
            path.unlink()
