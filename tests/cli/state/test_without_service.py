"""`zmban backup` and `zmban compact` without a running service."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.model import Ban, Unban
from sidecar.network import Network
from sidecar.store.database import FILE, Database
from sidecar.store.state_lock import claimed
from tests.cli.running import ZMBAN, on_terminal, records, zmban
from tests.store.damaging import LINE

BANS = [Ban(Network(4, n, 32), "a", 1.0, None, "log", "why", 2, (LINE,) * 3) for n in range(2000)]


@pytest.fixture
def places(tmp_path: Path) -> tuple[object, ...]:
    """The options of a state directory with bans."""
    with contextlib.closing(Database(tmp_path / "state")) as database:
        database.write(BANS)
        database.write([Unban(ban.network, "a", 2.0, "expired") for ban in BANS[::2]])
    return ("--state", tmp_path / "state", "--socket", tmp_path / "none.sock")


def test_a_backup_is_written_from_the_state_directory(tmp_path: Path, places: tuple[object, ...]) -> None:
    done = subprocess.run(
        [ZMBAN, "backup", "here", *map(str, places)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file = tmp_path / "here"
    assert done.stdout == f"{file}: 1000 bans, 1000 ended bans, {file.stat().st_size:,} bytes\n"
    (again,) = records(zmban("backup", file, "--force", *places, "--jsonl"))
    assert (again["file"], again["bans"], again["warnings"]) == (str(file), 1000, [])
    shutil.copy(file, tmp_path / "state" / FILE)
    with contextlib.closing(Database(tmp_path / "state")) as restored:
        assert restored.bans() == BANS[1::2]


def test_a_backup_goes_to_standard_output_alone(tmp_path: Path, places: tuple[object, ...]) -> None:
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([ZMBAN, "backup", "-", *map(str, places)], stdout=out, check=True)
    with contextlib.closing(Database(tmp_path, name="out")) as copy:
        assert copy.bans() == BANS[1::2]
    assert all(path.name.startswith(FILE) for path in (tmp_path / "state").iterdir())
    assert zmban("backup", "-", "--json", *places).returncode == 64
    code, said = on_terminal(80, "backup", "-", *places)
    assert (code, "must be a file or a pipe" in said) == (64, True)


def test_a_backup_that_is_refused_gives_the_reason_and_writes_nothing(
    tmp_path: Path, places: tuple[object, ...]
) -> None:
    (tmp_path / "mine").write_text("mine")
    for target, options, why in (
        (tmp_path / "mine", (), "already exists; --force overwrites it"),
        (tmp_path / "state" / FILE, ("--force",), "belongs to the database in use"),
        ("/dev/null", ("--force",), "is not a regular file"),
        (tmp_path / "none/x", (), "is not a directory"),
    ):
        done = zmban("backup", target, *options, *places)
        assert (done.returncode, done.stdout) == (65, "")
        assert why in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_without_a_database_and_a_service_there_is_nothing_to_back_up_or_compact(tmp_path: Path) -> None:
    places = ("--state", tmp_path / "state", "--socket", tmp_path / "none.sock")
    for command in (("backup", tmp_path / "x"), ("backup", "-"), ("compact",)):
        done = zmban(*command, *places)
        assert (done.returncode, "Traceback" in done.stderr) == (69, False)
        assert f"there is no database in {tmp_path / 'state'}" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_database_is_compacted_unless_a_service_uses_it(tmp_path: Path, places: tuple[object, ...]) -> None:
    before = (tmp_path / "state" / FILE).stat().st_size
    with claimed(tmp_path / "state"):
        assert zmban("compact", *places).returncode == 78
    (answer,) = records(zmban("compact", *places, "--jsonl"))
    assert before == answer["before"] > answer["after"] == (tmp_path / "state" / FILE).stat().st_size
    assert zmban("compact", *places).stdout.startswith("database compacted: ")
    with contextlib.closing(Database(tmp_path / "state")) as database:
        assert database.bans() == BANS[1::2]


def test_a_damaged_database_is_neither_backed_up_nor_compacted(
    tmp_path: Path, places: tuple[object, ...]
) -> None:
    file = tmp_path / "state" / FILE
    content = bytearray(file.read_bytes())
    content[10 * 4096 : 60 * 4096] = bytes(50 * 4096)
    file.write_bytes(content)
    done = zmban("backup", tmp_path / "x", *places)
    assert (done.returncode, (tmp_path / "x").exists()) == (65, False)
    assert "damaged" in done.stderr or "malformed" in done.stderr
    assert zmban("compact", *places).returncode == 65
    assert file.read_bytes() == content
