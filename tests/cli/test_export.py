"""`zmban export`: what it writes, `zmban import` and `zmban ban --file` read."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cli import zmban as zmban_group
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Database
from tests.app.running import service
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import ZMBAN, records, zmban
from tests.netns import Namespace
from tests.store.test_exported import PRINTABLE, any_ban

FORMS = ("--json", "--jsonl", "--text")
LATER = time.time() + 9e8


def filled(state: Path, bans: Iterable[Ban]) -> Path:
    database = Database(state)
    database.write(bans)
    database.close()
    return state


def call(state: Path, *arguments: object) -> str:
    """A command in this process, with a state and without a service."""
    command = [*map(str, arguments), "--state", str(state), "--socket", "/no/such"]
    done = CliRunner().invoke(zmban_group, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


# A ban that is over, or that would be refused or merged with another, is another matter.
STANDING = st.lists(
    any_ban(PRINTABLE).map(lambda ban: ban._replace(until=None if ban.until is None else LATER + ban.until)),
    min_size=1,
    max_size=6,
    unique_by=lambda ban: (ban.network, ban.jail),
)


@pytest.mark.parametrize("form", FORMS)
@given(STANDING)
@settings(max_examples=20, deadline=None)
def test_an_export_imported_elsewhere_is_the_same_export(form: str, bans: list[Ban]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        first = call(filled(root / "one", bans), "export", form)
        (root / "file").write_text(first, encoding="utf-8")
        if form == "--text" and all(ban.dry for ban in bans):
            return
        call(root / "two", "import", root / "file")
        second = call(root / "two", "export", form)
        again = call(root / "two", "import", root / "file")
    if form == "--text":
        # A list has no dry-run bans.
        first = "".join(line for line in first.splitlines(True) if not line.startswith("#"))
        assert len(first.splitlines()) == sum(not ban.dry for ban in bans)
    assert sorted(second.splitlines()) == sorted(first.splitlines())
    assert f"{len(first.splitlines()) if form != '--json' else len(bans)} already known" in again


def test_an_export_has_everything_of_a_ban_but_the_state_of_the_kernel(tmp_path: Path) -> None:
    ban = Ban(Network.parse(EVIL), "smtp", 5.0, LATER, "log", "why", 7, ("a", "b"), 3, by="bob")
    (one,) = json.loads(call(filled(tmp_path, [ban]), "export", "--json"))
    assert one == {
        "network": f"{EVIL}/32", "jail": "smtp", "since": 5.0, "until": LATER, "count": 3, "origin": "log",
        "reason": "why", "by": "bob", "dry": False, "failures": 7, "evidence": ["a", "b"],
    }  # fmt: skip


def test_a_text_is_one_network_a_line(tmp_path: Path) -> None:
    bans = [
        Ban(Network.parse(EVIL), "smtp", 1767607200.0, 1799143200.25, "log", 'why "x"'),
        Ban(Network.parse("203.0.113.0/24"), "manual", 1767607200.0, None, "manual", "spam"),
        Ban(Network.parse("2001:db8::7"), "smtp", 1767607200.0, None, "log", "y", dry=True),
    ]
    assert call(filled(tmp_path, bans), "export").splitlines() == [
        f'{EVIL}/32 # jail="smtp" since=2026-01-05T10:00:00Z until=2027-01-05T10:00:00.250000Z reason="why \\"x\\""',
        '203.0.113.0/24 # jail="manual" since=2026-01-05T10:00:00Z until=never reason="spam"',
        '# dry run: 2001:db8::7/128 # jail="smtp" since=2026-01-05T10:00:00Z until=never reason="y"',
    ]


@pytest.mark.kernel
def test_a_service_takes_over_the_bans_of_another_with_their_origin_and_counts_none_of_them(
    host: Namespace, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    lines = tmp_path / "lines"
    lines.write_text("".join(f"line {n}\n" for n in range(300)))
    with service(tmp_path / "one") as running:
        running.attack(EVIL)
        running.ask("ban", "203.0.113.0/24", "--reason", "# x", "--for", "1d", "--evidence", str(lines))
        for form in FORMS:
            done = zmban("export", tmp_path / form[2:], form, "--socket", running.socket)
            assert (done.returncode, done.stdout) == (0, ""), done.stderr
            assert done.stderr == f"{tmp_path / form[2:]}: 2 bans\n"
        running.ask("unban", EVIL, "203.0.113.0/24")
        running.stop()
    assert blackholes(host) == set()
    assert (tmp_path / "json").stat().st_mode & 0o777 == 0o600
    with service(tmp_path / "two") as running:
        for form in ("json", "jsonl"):
            running.ask("import", str(tmp_path / form))
            again = zmban("export", "--json", "--socket", running.socket).stdout
            assert again == (tmp_path / "json").read_text()
        assert blackholes(host) == {EVIL, "203.0.113.0/24"}
        assert running.metric('zmban_bans_total{jail="smtp",origin="log"}') == 0
        assert len(running.ask("bans", "--contains", "203.0.113.9")[0]["evidence"]) == 300
        running.ask("unban", EVIL, "203.0.113.0/24")
        text = str(tmp_path / "text")
        running.ask("ban", "--file", text, "--reason", "from another host")
        assert blackholes(host) == {EVIL, "203.0.113.0/24"}


def test_a_damaged_export_changes_nothing(tmp_path: Path) -> None:
    bans = [Ban(Network.parse(f"203.0.113.{n}"), "smtp", 1.0, None, "log") for n in range(200)]
    text = call(filled(tmp_path / "one", bans), "export", "--json")
    (tmp_path / "cut").write_text(text[: len(text) // 2])
    done = zmban("import", tmp_path / "cut", "--state", tmp_path / "two", "--socket", "/no/such")
    assert done.returncode == 65
    assert "nothing was imported; export it again" in done.stderr
    assert not (tmp_path / "two").exists()


def test_a_record_that_is_no_ban_is_named_and_the_rest_is_imported(tmp_path: Path) -> None:
    (tmp_path / "list").write_text('[{"network": "203.0.113.7"}, {"network": "mail"}]')
    done = zmban("import", tmp_path / "list", "--state", tmp_path, "--socket", "/no/such", "--jsonl")
    skipped, summary = records(done)
    assert (done.returncode, summary["kind"], summary["banned"], summary["skipped"]) == (65, "export", 1, 1)
    assert skipped == {"event": "skipped", "text": "mail", "place": "record 2", "reason": "not-a-network"}


def test_an_export_that_fails_leaves_the_file_before_it_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    done = zmban("export", file, "--state", tmp_path / "none", "--socket", "/no/such")
    assert (done.returncode, file.read_text()) == (69, "before")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    state = filled(tmp_path / "state", [Ban(Network.parse(EVIL), "smtp", 1.0, None, "log")])
    for place in (tmp_path / "none/file", "/dev/full"):
        done = zmban("export", place, "--state", state, "--socket", "/no/such")
        assert done.returncode == 65
        assert f"{place} cannot be written: " in done.stderr and done.stderr.count("\n") == 1


def test_an_export_goes_through_a_link_and_a_pipe(tmp_path: Path) -> None:
    state = filled(tmp_path / "state", [Ban(Network.parse(EVIL), "smtp", 1.0, None, "log")])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert call(state, "export", tmp_path / "link") == ""
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as cat:
        call(state, "export", tmp_path / "pipe")
        assert cat.communicate()[0].decode() == (tmp_path / "real").read_text()


def test_two_forms_at_once_are_a_matter_of_usage() -> None:
    assert zmban("export", "--json", "--text", "--socket", "/no/such").returncode == 64


@pytest.mark.parametrize("form", ["--text", "--json"])
def test_many_bans_are_exported_and_imported_with_little_memory(tmp_path: Path, form: str) -> None:
    networks = (Network(4, (10 << 24) + n, 32) for n in range(8_000))
    lines = ("x" * 2000,) * 5
    bans = (Ban(network, "smtp", 1.0, None, "log", "why", 5, lines) for network in networks)
    state, file = filled(tmp_path / "state", bans), tmp_path / "file"

    def limited() -> None:
        # Half of it is for libraries and what is kept in memory of a file; all records take 80 MiB more.
        resource.setrlimit(resource.RLIMIT_DATA, (128 << 20, 128 << 20))

    for command in (f"export {file} {form} --state {state}", f"import {file} --state {tmp_path}/two"):
        done = subprocess.run(
            [ZMBAN, *command.split(), "--socket", "/no/such"],
            preexec_fn=limited,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
