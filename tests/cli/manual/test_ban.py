"""`zmban ban` with a running service: networks from files, confirmations, long lists."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import on_terminal, records, zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


@pytest.fixture
def running(host: Namespace, tmp_path: Path) -> Iterator[Running]:
    with service(tmp_path) as started:
        yield started


def banning(running: Running, *arguments: object) -> tuple[object, ...]:
    return ("ban", *arguments, "--reason", "x", "--socket", running.socket)


def test_the_networks_of_files_and_of_standard_input_are_banned_and_a_bad_line_is_named(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("# mine\n198.51.100.9\nmail.example.com\n127.0.0.1 # local\n203.0.113.9/24\n")
    done = zmban(
        *banning(running, "198.51.100.7", "--file", bad, "--file", "-"), stdin="2001:db8::/48 spam\r\n"
    )
    assert done.returncode == 65
    assert blackholes(host) == {"198.51.100.7", "198.51.100.9", "2001:db8::/48"}
    assert done.stderr.splitlines() == [
        f"{bad}:3: mail.example.com: refused (not-a-network)",
        f"{bad}:4: 127.0.0.1/32: refused (reserved)",
        f"{bad}:5: 203.0.113.9/24: refused (not-a-network); the network is 203.0.113.0/24",
    ]
    told = records(zmban(*banning(running, "--file", bad, "--jsonl")))
    assert [(one["place"], one["result"]) for one in told] == [
        (f"{bad}:{line}", result)
        for line, result in ((2, "standing"), (3, "refused"), (4, "refused"), (5, "refused"))
    ]


def test_what_must_be_confirmed_is_refused_without_a_terminal_and_banned_with_yes(
    host: Namespace, running: Running
) -> None:
    done = zmban(*banning(running, "203.0.112.0/20", "198.51.100.7"))
    assert (done.returncode, blackholes(host)) == (65, {"198.51.100.7"})
    assert done.stderr == (
        "203.0.112.0/20: refused (needs-confirmation): it is wider than /24; 4,096 addresses, 0 active bans; "
        "--yes bans it\n"
    )
    (told,) = records(zmban(*banning(running, "203.0.112.0/20", "--jsonl")))
    assert (told["reason"], told["why"]) == ("needs-confirmation", ["it is wider than /24"])
    assert told["covers"]["addresses"] == 4096
    assert zmban(*banning(running, "203.0.112.0/20", "--yes")).returncode == 0
    assert blackholes(host) == {"198.51.100.7", "203.0.112.0/20"}


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 65), (b"\n", 65)])
def test_on_a_terminal_one_question_is_asked_for_all(
    host: Namespace, running: Running, typed: bytes, code: int
) -> None:
    arguments = banning(running, "203.0.112.0/20", "198.51.100.7", "198.18.0.0/16")
    done, text = on_terminal(200, *arguments, typed=typed)
    assert done == code
    assert text.count("Ban these 2 networks? [y/N]:") == 1
    assert "203.0.112.0/20: it is wider than /24; 4,096 addresses, 0 active bans\n" in text
    asked = {"203.0.112.0/20", "198.18.0.0/16"} if code == 0 else set()
    assert blackholes(host) == {"198.51.100.7"} | asked


def test_programs_on_a_terminal_are_not_asked(host: Namespace, running: Running) -> None:
    code, text = on_terminal(200, *banning(running, "203.0.112.0/20", "--jsonl"))
    assert code == 65
    assert "[y/N]" not in text


def test_a_long_list_is_summed_up_with_its_refused_lines_and_all_of_it_is_told_to_programs(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    file = tmp_path / "list"
    lines = [f"10.{n >> 8 & 255}.{n & 255}.7" for n in range(1200)] + ["127.0.0.1"] * 25
    file.write_text("\n".join(lines))
    done = zmban(*banning(running, "--file", file))
    assert done.returncode == 65
    assert done.stdout == "1,225 networks: 1,200 banned, 25 refused\n"
    told = done.stderr.splitlines()
    assert told[0] == f"{file}:1201: 127.0.0.1/32: refused (reserved)"
    assert (len(told), told[-1]) == (21, "and 5 more refused; --jsonl lists all")
    assert len(blackholes(host)) == 1200
    again = records(zmban(*banning(running, "--file", file, "--jsonl")))
    assert [one["place"] for one in again] == [f"{file}:{n}" for n in range(1, 1226)]


def test_the_service_bans_attackers_while_a_long_list_is_banned(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    file = tmp_path / "list"
    file.write_text("".join(f"10.{n >> 8 & 255}.{n & 255}.7\n" for n in range(40_000)))
    with host.inside():
        banned = threading.Thread(target=zmban, args=banning(running, "--file", file))
        banned.start()
    until(lambda: len(blackholes(host)) > 500)
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    assert banned.is_alive()
    banned.join()
    assert len(blackholes(host)) == 40_001


@pytest.mark.parametrize("arguments", [[], ["--file", "-", "--evidence", "-"], ["--file", "/no/such"]])
def test_nothing_to_ban_and_standard_input_for_two_things_are_matters_of_usage(arguments: list[str]) -> None:
    assert zmban("ban", *arguments, "--reason", "x", "--socket", "/no/such").returncode == 64


def test_a_list_without_networks_bans_nothing(running: Running, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# nothing today\n")
    assert zmban(*banning(running, "--file", tmp_path / "list")).returncode == 0
    assert running.banned() == set()
