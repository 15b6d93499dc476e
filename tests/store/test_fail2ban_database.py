"""Fail2Ban databases of every schema, written by Fail2Ban itself; and files that only look like one."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.model import StoreError
from sidecar.network import Network
from sidecar.store.imports import fail2ban_database as reader
from sidecar.store.imports import incoming
from sidecar.store.imports.entry import ListedBan, Skipped
from tests.netns import program
from tests.store.written import SCHEMA_2, SCHEMA_3, SCHEMA_4, fail2ban, made, old_database, write_all

HOUR = 3600.0
AT = 1_790_000_000


def read(path: Path, bantime: float | None = HOUR) -> list[ListedBan | Skipped]:
    return list(reader.read(path, str(path), lambda _: bantime))


def entries(path: Path) -> list[ListedBan]:
    return [one for one in read(path) if isinstance(one, ListedBan)]


def short(entry: ListedBan) -> tuple[str, str, float | None, int, bool]:
    ban = entry.ban
    return str(ban.network), ban.jail, ban.until and ban.until - ban.at, ban.times, entry.current


def row(ip: Any, length: Any = 600, count: Any = 1, data: Any = None, at: Any = AT) -> tuple[Any, ...]:
    return ip, "mail", at, length, count, data


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("fail2ban"))


@pytest.mark.conformance
def test_what_fail2ban_wrote_is_read_with_its_counts_ends_and_lines(real: Path) -> None:
    found = read(real)
    assert {short(one) for one in found if isinstance(one, ListedBan)} == {
        ("198.51.100.7/32", "mail", HOUR, 1, True),
        ("2001:db8::7/128", "mail", HOUR, 1, True),
        ("203.0.113.64/26", "mail", HOUR, 1, True),
        ("198.51.100.9/32", "grow", 2 * HOUR, 2, True),
        ("198.51.100.9/32", "grow", 3.0, 1, False),
    }
    assert [one for one in found if isinstance(one, Skipped)] == [
        Skipped("bob", "jail users", "not-a-network")
    ]
    ban = next(one.ban for one in entries(real) if one.ban.network == Network.parse("198.51.100.7"))
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ban.at))
    assert ban.evidence == (f"{stamp} bad login from 198.51.100.7",) * 2
    assert (ban.failures, ban.origin, ban.reason) == (2, "import", "imported from Fail2Ban")


@pytest.mark.conformance
def test_the_first_schema_knows_no_length_and_the_jail_s_is_taken() -> None:
    (one,) = entries(old_database(1))
    assert short(one) == ("127.0.0.1/32", "DummyJail #29162448 with 0 tickets", HOUR, 1, True)
    assert (one.ban.at, one.ban.evidence) == (1388009242.259323, ("abc",))


@pytest.mark.conformance
def test_the_second_schema_knows_no_length_and_the_jail_s_is_taken() -> None:
    found = entries(old_database(2))
    assert [short(one)[1:] for one in found] == [("pam-generic", HOUR, 1, True)] * 2
    assert [len(one.ban.evidence) for one in found] == [3, 3]
    assert next(reader.read(old_database(2), "v2", lambda _: None)).ban.until is None  # type: ignore[union-attr]


@pytest.mark.conformance
@pytest.mark.parametrize("version", [1, 2])
def test_a_length_that_an_upgrade_of_fail2ban_left_unknown_is_the_jail_s(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "fail2ban.sqlite3"
    shutil.copyfile(old_database(version), path)
    database = sqlite3.connect(path)
    database.execute("UPDATE bans SET timeofban=?", (int(time.time()),))
    database.commit()
    database.close()
    with fail2ban(tmp_path):
        pass
    assert {short(one)[2:] for one in entries(path)} == {(HOUR, 1, True)}
    assert {short(one)[0] for one in entries(path)} == {
        short(one)[0] for one in entries(old_database(version))
    }


def test_before_there_was_a_table_of_them_the_last_ban_of_a_jail_stands(tmp_path: Path) -> None:
    bans = [("mail", "198.51.100.7", AT + n, b"{}") for n in (2, 0, 1)] + [("web", "198.51.100.7", AT, None)]
    found = entries(made(tmp_path / "db", SCHEMA_2, bans=bans))
    assert sorted((e.ban.jail, e.ban.at - AT, e.ban.times, e.current) for e in found) == [
        ("mail", 0, 1, False),
        ("mail", 1, 2, False),
        ("mail", 2, 3, True),
        ("web", 0, 1, True),
    ]


def test_the_third_schema_has_lengths_and_counts(tmp_path: Path) -> None:
    bans = [("mail", "198.51.100.7", AT, 60, 4, None), ("mail", "198.51.100.7", AT + 99, -1, 5, None)]
    found = entries(made(tmp_path / "db", SCHEMA_3, bans=bans))
    assert [short(one)[2:] for one in found] == [(60.0, 4, False), (None, 5, True)]


@pytest.mark.parametrize(
    ("stored", "length"),
    [(600, 600.0), (-1, None), (-2, HOUR), (-7, HOUR), ("x", HOUR), (0, 0.0), (10**15, None), (1.5, 1.5)],
)
def test_a_length_is_seconds_or_for_ever_or_the_jail_s(
    tmp_path: Path, stored: Any, length: float | None
) -> None:
    (one,) = entries(made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7", stored)]))
    assert one.ban.until == (None if length is None else AT + length)


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("198.51.100.7", "198.51.100.7/32"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("2001:db8::7/48", "2001:db8::/48"),
        ("::ffff:198.51.100.7", "198.51.100.7/32"),
    ],
)
def test_an_address_stays_one_and_host_bits_do_not_count(tmp_path: Path, ip: str, network: str) -> None:
    (one,) = entries(made(tmp_path / "db", SCHEMA_4, bips=[row(ip)]))
    assert str(one.ban.network) == network


@pytest.mark.parametrize(
    "ip", ["bob", "", "mail.example.com", "999.1.1.1", "198.51.100.7/33", b"\xff", "7", "\0"]
)
def test_an_id_that_is_no_network_is_skipped_and_the_rest_is_read(tmp_path: Path, ip: Any) -> None:
    found = read(made(tmp_path / "db", SCHEMA_4, bips=[row(ip), row("198.51.100.7")]))
    assert [type(one) for one in found] == [Skipped, ListedBan]
    assert isinstance(found[0], Skipped) and found[0].reason == "not-a-network"


@pytest.mark.parametrize("at", ["soon", -1, 2**40, 1e300, b"x"])
def test_a_row_without_a_time_is_skipped_as_unreadable(tmp_path: Path, at: Any) -> None:
    found = read(made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7", at=at), row("198.51.100.8")]))
    assert isinstance(found[0], Skipped) and (found[0].place, found[0].reason) == ("jail mail", "unreadable")
    assert isinstance(found[1], ListedBan)


def test_a_name_of_a_jail_that_could_drive_a_terminal_is_not_taken(tmp_path: Path) -> None:
    bips = [("198.51.100.7", name, AT, 600, 1, None) for name in ("\x1b[31m", "", "a\nb", "x" * 300)]
    assert {type(one) for one in read(made(tmp_path / "db", SCHEMA_4, bips=bips))} == {Skipped}


@pytest.mark.parametrize(
    ("data", "failures", "evidence"),
    [
        (None, 0, ()),
        ("", 0, ()),
        (b"null", 0, ()),
        (b"{}", 0, ()),
        (b'{"failures": 7}', 7, ()),
        (b'{"matches": ["a\\n", ["b ", "date", " c"], 5, [1, "d"]]}', 4, ("a", "b date c", "", "d")),
        ('{"matches": ["text"], "failures": -1}', 1, ("text",)),
        (b'{"matches": "none", "failures": 1e999}', 0, ()),
        (b'{"matches": ["\\udce9"], "failures": 1}', 1, ("?",)),
        (b"no json \xff", 0, ("no json \ufffd",)),
        (b"[" * 100_000, 0, ("[" * 16384,)),
        (b'{"failures": 99999999999999999999}', 0, ()),
    ],
)
def test_lines_are_kept_whatever_the_data_hold(
    tmp_path: Path, data: Any, failures: int, evidence: tuple[str, ...]
) -> None:
    (one,) = entries(made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7", data=data)]))
    assert (one.ban.failures, one.ban.evidence) == (failures, evidence)


def test_no_ban_keeps_more_lines_than_a_person_would_read(tmp_path: Path) -> None:
    data = json.dumps({"matches": ["x" * 20_000 + str(n) for n in range(200)]})
    (one,) = entries(made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7", data=data)]))
    assert (one.ban.failures, len(one.ban.evidence), len(one.ban.evidence[0])) == (200, 100, 16384)


@pytest.mark.parametrize("count", [0, -3, "many", 2**40, None])
def test_a_count_that_is_none_is_the_first_ban(tmp_path: Path, count: Any) -> None:
    schema = SCHEMA_4.replace("bancount INTEGER NOT NULL", "bancount INTEGER")
    (one,) = entries(made(tmp_path / "db", schema, bips=[row("198.51.100.7", count=count)]))
    assert one.ban.times == 1


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("CREATE TABLE people(name TEXT)", "is not a Fail2Ban database"),
        (SCHEMA_4.replace("(4)", "(5)"), "unknown Fail2Ban schema 5; 1 to 4"),
        (SCHEMA_4.replace("(4)", "(0)"), "schema 0"),
        (SCHEMA_4.replace("(4)", "('x')"), "schema 'x'"),
        ("CREATE TABLE fail2banDb(version INTEGER)", "schema None"),
        ("CREATE TABLE fail2banDb(v INTEGER)", "damaged"),
        ("CREATE TABLE fail2banDb(version); INSERT INTO fail2banDb VALUES(4)", "no table bans"),
        (
            "CREATE TABLE fail2banDb(version); INSERT INTO fail2banDb VALUES(4); CREATE TABLE bans(jail)",
            "lacks a column",
        ),
        (
            "CREATE TABLE fail2banDb(version); INSERT INTO fail2banDb VALUES(4); CREATE VIEW bans AS"
            " WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT * FROM n",
            "no table bans",
        ),
    ],
)
def test_a_database_of_another_program_or_version_is_refused_in_one_sentence(
    tmp_path: Path, schema: str, words: str
) -> None:
    path = made(tmp_path / "db", schema)
    with pytest.raises(StoreError, match=words) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_on_a_read_only_mount_is_read_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = made(tmp_path / "in/db", SCHEMA_4 + "PRAGMA journal_mode=WAL;", bips=[row("198.51.100.7")])
    before = path.read_bytes()
    code = "import sys; from pathlib import Path; from sidecar.store.imports import fail2ban_database\n"
    code += "print(len(list(fail2ban_database.read(Path(sys.argv[1]), sys.argv[1], float))))"
    mount = f"mount --bind {path.parent} {path.parent} && mount -o remount,ro,bind {path.parent}"
    command = [program("unshare", "util-linux"), "-m", "sh", "-c", f'{mount} && "$@"', "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert len(read(path)) == 1
    assert [p.name for p in path.parent.iterdir()] == ["db"]
    assert path.read_bytes() == before


def test_a_database_whose_newest_bans_lie_in_another_file_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = made(tmp_path / "db", SCHEMA_4 + "PRAGMA journal_mode=WAL;")
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO bips VALUES ('198.51.100.7', 'mail', 1, -1, 1, NULL)")
    writer.commit()
    with pytest.raises(StoreError, match=r"db-wal holds changes.*stop Fail2Ban"):
        read(path)
    writer.close()
    assert len(read(path)) == 1


def test_a_journal_that_is_done_with_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7")])
    (tmp_path / "db-journal").write_bytes(bytes(512))
    assert len(read(path)) == 1
    (tmp_path / "db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
    with pytest.raises(StoreError, match="db-journal"):
        read(path)


def test_a_name_with_signs_of_an_address_in_it_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a?b#c %41").mkdir()
    path = made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7")])
    assert len(read(path.rename(tmp_path / "a?b#c %41/d?mode=rwc"))) == 1


def test_a_database_that_fail2ban_goes_on_writing_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "db", SCHEMA_4, bips=[row("198.51.100.7")])
    left = [2]

    def busy(path_: Path, name: str, bantime: Any) -> Any:
        yield from ORIGINAL(path_, name, bantime)
        if left[0]:
            left[0] -= 1
            path_.touch()

    ORIGINAL = reader.read  # noqa: N806 - read once, before it is replaced
    monkeypatch.setattr(reader, "read", busy)
    with incoming.read(path, 0.0, float, tmp_path) as found:
        assert [len(chunk.bans) for chunk in found.chunks()] == [1]
    left[0] = 99
    with (
        pytest.raises(StoreError, match="systemctl stop fail2ban"),
        incoming.read(path, 0.0, float, tmp_path),
    ):
        pass
