"""`zmban import` without a running service."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ZMBAN, records, zmban
from tests.store.written import SCHEMA_3, SCHEMA_4, made, write_all

NOW = int(time.time())


def call(tmp_path: Path, file: object, *options: str) -> subprocess.CompletedProcess[str]:
    return zmban("import", file, *options, "--state", tmp_path / "state", "--socket", tmp_path / "none.sock")


def bans(tmp_path: Path) -> list[dict[str, Any]]:
    places = ("--state", tmp_path / "state", "--socket", tmp_path / "none.sock")
    return sorted(records(zmban("bans", "--jsonl", *places)), key=lambda r: (r["network"], r["jail"]))


def content(tmp_path: Path) -> bytes:
    return (tmp_path / "state/zmban.sqlite3").read_bytes()


@pytest.mark.conformance
def test_a_database_that_fail2ban_wrote_is_taken_over_and_again_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "f2b").mkdir()
    file = write_all(tmp_path / "f2b")
    before = file.read_bytes(), sorted(path.name for path in file.parent.iterdir())
    done = call(tmp_path, file)
    assert done.returncode == 0, done.stderr
    assert f"{file}: 4 banned, 1 added to the history, 1 skipped" in done.stdout
    assert "bob" in done.stdout
    found = bans(tmp_path)
    assert [(r["network"], r["jail"], r["count"], r["origin"]) for r in found] == [
        ("198.51.100.7/32", "mail", 1, "import"),
        ("198.51.100.9/32", "grow", 2, "import"),
        ("2001:db8::7/128", "mail", 1, "import"),
        ("203.0.113.64/26", "mail", 1, "import"),
    ]
    assert found[1]["until"] - found[1]["since"] == 7200
    assert [line.split(" ", 2)[2] for line in found[0]["evidence"]] == ["bad login from 198.51.100.7"] * 2
    assert call(tmp_path, file).returncode == 0
    assert bans(tmp_path) == found
    assert (file.read_bytes(), sorted(path.name for path in file.parent.iterdir())) == before


def test_programs_get_an_object_for_each_that_was_not_taken_and_a_summary(tmp_path: Path) -> None:
    rows = [("bob", "users", NOW, -1, 1, None), ("127.0.0.1", "mail", NOW, -1, 1, None)]
    rows += [("203.0.113.7", "mail", NOW, -1, 1, None), ("203.0.113.8", "mail", NOW - 99, 9, 1, None)]
    file = made(tmp_path / "f2b", SCHEMA_4, bips=rows)
    done = call(tmp_path, file, "--jsonl")
    assert done.returncode == 65
    assert records(done) == [
        {"event": "skipped", "text": "bob", "place": "jail users", "reason": "not-a-network"},
        {"event": "refused", "network": "127.0.0.1/32", "jail": "mail", "reason": "reserved"},
        {"event": "summary", "file": str(file), "kind": "fail2ban", "banned": 1, "extended": 0, "history": 1}
        | {"unchanged": 0, "lifted": 0, "refused": 1, "skipped": 1},
    ]
    assert json.loads(call(tmp_path, file, "--json").stdout)[-1]["unchanged"] == 2


def test_a_ban_of_unknown_length_is_as_long_as_its_jail_s_or_fail2ban_s_default(tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "filter.d").mkdir(parents=True)
    (config / "filter.d/f.conf").write_text("[Definition]\nfailregex = ^ bad thing from <HOST>$\n")
    jails = "[mail]\nenabled=1\nfilter=f\nlogpath=/x.log\nbantime=1h\n"
    (config / "jail.local").write_text(jails + jails.replace("[mail]", "[off]").replace("=1\n", "=0\n"))
    # Ten minutes from now, however long the tests before this one took.
    now = int(time.time())
    rows = [(jail, "203.0.113.7", now, -2, 1, None) for jail in ("mail", "off", "none")]
    file = made(tmp_path / "f2b", SCHEMA_3, bans=rows)
    places = ("--state", tmp_path / "state", "--socket", tmp_path / "none.sock")
    assert zmban("--config", config, "import", file, *places).returncode == 0
    assert {r["jail"]: r["until"] - r["since"] for r in bans(tmp_path)} == {
        "mail": 3600,
        "off": 600,
        "none": 600,
    }


def test_a_list_is_taken_over_and_its_bad_lines_are_named(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(
        "# mine\n203.0.113.0/24 spam\nmail.example.com\n\n2001:db8::7\n0.0.0.0/0\n", encoding="utf-8"
    )
    done = call(tmp_path, file)
    assert done.returncode == 65
    assert "line 3" in done.stdout and "too-wide" in done.stdout
    assert f"{file}: 2 banned, 1 refused, 1 skipped" in done.stdout
    assert [(r["network"], r["jail"], r["until"], r["reason"]) for r in bans(tmp_path)] == [
        ("2001:db8::7/128", "import", None, "imported from list.txt"),
        ("203.0.113.0/24", "import", None, "spam"),
    ]
    file.write_text("203.0.113.0/24 another reason\n2001:db8::7\n", encoding="utf-8")
    before = bans(tmp_path)
    done = call(tmp_path, file)
    assert (done.returncode, bans(tmp_path)) == (0, before)
    assert "2 already known" in done.stdout


def test_a_list_may_come_through_a_pipe(tmp_path: Path) -> None:
    packed = tmp_path / "list.gz"
    packed.write_bytes(gzip.compress(b"203.0.113.7\n" * 3))
    done = call(tmp_path, packed)
    assert done.returncode == 65 and "zcat FILE | zmban import /dev/stdin" in done.stderr
    places = ["--state", str(tmp_path / "state"), "--socket", str(tmp_path / "none.sock")]
    command = [str(ZMBAN), "import", "/dev/stdin", *places]
    unpacked = subprocess.run(
        command, input=gzip.decompress(packed.read_bytes()), capture_output=True, check=True
    )
    assert b"1 banned, 2 already known" in unpacked.stdout


def test_a_database_may_come_through_a_pipe_as_into_a_container(tmp_path: Path) -> None:
    file = made(tmp_path / "f2b", SCHEMA_4, bips=[("203.0.113.7", "mail", NOW, -1, 1, None)])
    places = ["--state", str(tmp_path / "state"), "--socket", str(tmp_path / "none.sock")]
    command = [str(ZMBAN), "import", "/dev/stdin", *places]
    done = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=False)
    assert b"/dev/stdin: 1 banned" in done.stdout, done.stderr
    done = subprocess.run(command, input=file.read_bytes()[:5000], capture_output=True, check=False)
    assert done.returncode == 65 and done.stderr.startswith(b"zmban: /dev/stdin: the database is damaged")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["zmban.sqlite3"]


def test_a_service_that_ends_meanwhile_is_told_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("".join(f"198.51.100.{n}\n" for n in range(256)) * 4, encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "none.sock"))
        server.listen()

        def answer_once() -> None:
            with server.accept()[0] as client:
                client.makefile("rb").readline()
                (tmp_path / "none.sock").unlink()
                client.sendall(b'{"result": {"counts": {"banned": 500}, "told": []}}\n')

        answering = threading.Thread(target=answer_once)
        answering.start()
        done = call(tmp_path, tmp_path / "list")
        answering.join()
    assert done.returncode == 69
    assert "run the import again" in done.stderr
    assert not (tmp_path / "state").exists()


def test_more_than_a_screen_of_them_is_counted(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("203.0.113.7\n" + "nobody\n" * 30, encoding="utf-8")
    done = call(tmp_path, tmp_path / "list")
    assert "and 10 more; --jsonl lists all" in done.stdout
    assert len(records(call(tmp_path, tmp_path / "list", "--jsonl"))) == 31


@pytest.mark.parametrize(
    ("content_", "words"),
    [
        (b"", "is empty"),
        (b"SQLite format 3\0" + b"x" * 200, "file is not a database"),
        (b"\x7fELF\0\0\0", "is not text"),
        (b"<html>\nnot found\n", "none of the 2 lines"),
    ],
)
def test_a_foreign_file_is_one_sentence_and_changes_nothing(
    tmp_path: Path, content_: bytes, words: str
) -> None:
    (tmp_path / "list").write_text("203.0.113.7\n", encoding="utf-8")
    call(tmp_path, tmp_path / "list")
    before = content(tmp_path)
    (tmp_path / "foreign").write_bytes(content_)
    done = call(tmp_path, tmp_path / "foreign")
    assert (done.returncode, done.stdout) == (65, "")
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert content(tmp_path) == before


def test_our_own_database_is_not_fail2ban_s(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("203.0.113.7\n", encoding="utf-8")
    call(tmp_path, tmp_path / "list")
    done = call(tmp_path, tmp_path / "state/zmban.sqlite3")
    assert done.returncode == 65 and "is not a Fail2Ban database" in done.stderr


@pytest.mark.parametrize("file", ["nothing-there", "."])
def test_a_file_that_is_not_there_is_a_matter_of_usage(tmp_path: Path, file: str) -> None:
    assert call(tmp_path, tmp_path / file).returncode == 64
    assert not (tmp_path / "state").exists()
