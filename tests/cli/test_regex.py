"""`zmban regex` prints the same report as Debian's fail2ban-regex, and its own additions."""

from __future__ import annotations

import ast
import gzip
import os
import random
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import records, zmban
from tests.conformance import package

SHIPPED = Path(__file__).parents[2] / "config"
# Own sample lines in the formats of the stock filters.
SSHD = (
    "Failed password for {user} from {host} port 22 ssh2",
    "Failed password for invalid user {user} from {host} port 22 ssh2",
    "Invalid user {user} from {host} port 22",
    "Accepted password for {user} from {host} port 22 ssh2",
    "Connection closed by {host} port 22",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={host}  user={user}",
    "Received disconnect from {host}: 11: Bye Bye",
    "Server listening on 0.0.0.0 port 22.",
)
POSTFIX = (
    "NOQUEUE: reject: RCPT from unknown[{host}]: 554 5.7.1 <{user}@example.com>: Relay access denied; from=<a@b> to=<c@d>",
    "warning: unknown[{host}]: SASL LOGIN authentication failed: authentication failure",
    "connect from unknown[{host}]",
    "improper command pipelining after EHLO from unknown[{host}]: x",
)


def log(path: Path, program: str, texts: tuple[str, ...], number: int = 400) -> Path:
    chance = random.Random(7)
    lines = []
    for index in range(number):
        text = chance.choice(texts).format(
            user=chance.choice(("bob", "root", "eve")),
            host=chance.choice(("198.51.100.7", "203.0.113.9", "2001:db8::5")),
        )
        # Within five minutes: Fail2Ban then forgets a session, by the system clock.
        stamp = f"Nov 24 10:{index // 2 // 60:02}:{index // 2 % 60:02}"
        lines.append(f"{stamp} host {program}[{chance.randrange(900, 990)}]: {text}")
    path.write_text("\n".join([*lines[:9], "# a comment", "", "no date at all", *lines[9:]]) + "\n")
    return path


def theirs(*arguments: object) -> str:
    return package.regex("-c", package.stock(), *arguments, zone="UTC").stdout


def ours(*arguments: object) -> str:
    done = zmban("--config", package.stock(), "regex", "--timezone", "UTC", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listing(report: str) -> list[str]:
    """The printed lines of each kind."""
    lines = [line.rstrip() for line in report.splitlines()]
    return lines[next(n for n, line in enumerate(lines) if line.startswith("[processed")) + 1 :]


def counts(report: str) -> dict[str, Any]:
    """The counts of a report."""
    sums = {
        w: int(n) for w, n in re.findall(r"^(Prefregex|Failregex|Ignoreregex): (\d+) total", report, re.M)
    }
    hits = re.findall(r"^\|\s+(\d+)\) \[(\d+)\] (.*)$", report, re.M)
    dates = re.findall(r"^\|  \[([1-9]\d*)\] ", report, re.M)
    lines = re.findall(r"^Lines: (\d+) lines, (\d+) ignored, (\d+) matched, (\d+) missed", report, re.M)
    return {"sums": sums, "hits": hits, "dates": dates, "lines": lines}


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("program", "texts", "filter_"),
    [
        ("sshd", SSHD, "sshd"),
        ("sshd", SSHD, "sshd[mode=aggressive]"),
        ("postfix/smtpd", POSTFIX, "postfix"),
        ("postfix/smtpd", POSTFIX, "postfix[mode=more]"),
        ("postfix/smtpd", POSTFIX, r"from unknown\[<HOST>\]"),
    ],
)
def test_the_report_counts_what_fail2ban_regex_counts(
    tmp_path: Path, program: str, texts: tuple[str, ...], filter_: str
) -> None:
    path = log(tmp_path / "x.log", program, texts)
    for options in ((), ("-v",), ("--no-check-all",)):
        assert counts(ours(*options, path, filter_)) == counts(theirs(*options, path, filter_))
    mine, real = counts(ours(path, filter_, "bob")), counts(theirs(path, filter_, "bob"))
    # zmban does not count lines for the prefregex that were ignored before it.
    mine["sums"].pop("Prefregex", None), real["sums"].pop("Prefregex", None)
    assert mine == real


SEVERAL = r"""[Definition]
failregex = bad from <ADDR>
            bad \S+ .*?<ADDR>
            ^ a=<F-ALT_USER>\S+</F-ALT_USER> u=<F-USER>\S*</F-USER> <ADDR>
            worse from <ADDR>
ignoreregex = friend
              pal
"""
# So many fewer than the failregexes that they are tried first.
IGNORED_FIRST = SEVERAL.replace("worse", "q1 <ADDR>\n            q2 <ADDR>\n            worse")
TOGETHER = """[Definition]
failregex = ^ start <HOST><SKIPLINES>^ end$
            ^ bad from <HOST>
maxlines = 3
"""
DAY = "2026-01-05 10:00:00"
LINES = f"""{DAY} bad from 203.0.113.7
{DAY} bad from 203.0.113.8 friend
{DAY} bad pal friend 203.0.113.8
{DAY} nobody's friend
{DAY} a=bob u= 203.0.113.7
{" "}
   # no comment
# a comment
Jan  5 10:00:00 worse from 203.0.113.9
{DAY} start 203.0.113.4
{DAY} between
{DAY} end
"""


@pytest.mark.conformance
@pytest.mark.parametrize("text", [SEVERAL, IGNORED_FIRST, TOGETHER])
def test_every_regex_that_hits_is_counted_as_there(tmp_path: Path, text: str) -> None:
    path, filter_ = tmp_path / "x.log", tmp_path / "filter.d/f.conf"
    filter_.parent.mkdir()
    filter_.write_text(text)
    path.write_text(LINES)
    for options in ((), ("--no-check-all",), ("--print-all-matched", "--print-all-missed")):
        mine, real = ours(*options, path, filter_), theirs(*options, path, filter_)
        assert counts(mine) == counts(real)
        assert listing(mine) == listing(real)


@pytest.mark.conformance
@pytest.mark.parametrize("number", [19, 20, 21])
def test_so_many_missed_lines_are_too_many_to_print_as_there(tmp_path: Path, number: int) -> None:
    path = tmp_path / "x.log"
    path.write_text("x\n" * number)
    assert ours(path, "q <HOST>").split("sec]")[1] == theirs(path, "q <HOST>").split("sec]")[1]


@pytest.mark.conformance
def test_the_hits_of_each_regex_are_listed_as_there(tmp_path: Path) -> None:
    path = log(tmp_path / "x.log", "sshd", SSHD, 60)
    path.write_text(path.read_text().replace("no date at all\n", ""))
    listed = [
        re.findall(r"^\|      \S+  \w{3} \w{3} \d\d .*$", f("-v", path, "sshd"), re.M) for f in (ours, theirs)
    ]
    assert listed[0] == listed[1] != []


@pytest.mark.conformance
def test_a_row_has_the_groups_that_it_has_there(tmp_path: Path) -> None:
    path = log(tmp_path / "x.log", "sshd", SSHD)
    rows = []
    for text in (ours("-o", "row", path, "sshd"), theirs("-o", "row", path, "sshd")):
        found = ast.literal_eval(f"[{text}]")
        rows.append([(host, at, {k: v for k, v in groups.items() if v}) for host, at, groups in found])
    assert rows[0] == rows[1]


def test_a_line_that_no_jail_reads_is_not_read_here_either(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("bad from 203.0.113.7 " + "a" * 1_000_000 + "\nbad from 203.0.113.8\n")
    report = zmban("regex", path, "bad from <HOST>").stdout
    assert "Lines: 2 lines, 0 ignored, 1 matched, 1 missed" in report
    assert "Too long: 1 line of" in report
    assert len(report) < 50_000


def test_a_pipe_is_a_log_too(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writing = threading.Thread(target=path.write_text, args=("bad from 203.0.113.7\n",))
    writing.start()
    assert zmban("regex", "-o", "ip", path, "bad from <HOST>").stdout == "203.0.113.7\n"
    writing.join()


@pytest.mark.parametrize("zone", ["+0200", "UTC+0200", "<+02>-2", "Africa/Cairo"])
def test_a_zone_is_named_by_offset_rule_or_place(zone: str) -> None:
    done = zmban("regex", "--TZ", zone, "-o", "time", f"{DAY} bad from 203.0.113.7", "bad from <HOST>")
    assert done.stdout == "1767600000.0\n"


@pytest.mark.conformance
@pytest.mark.parametrize("out", ["id", "ip", "user", "msg", "<ip> by <F-USER>", "<ip><br><msg>", "nothing"])
def test_one_thing_of_each_match_is_printed_alike(tmp_path: Path, out: str) -> None:
    path = log(tmp_path / "x.log", "sshd", SSHD)
    assert ours("-o", out, path, "sshd").splitlines() == theirs("-o", out, path, "sshd").splitlines()


@pytest.mark.conformance
def test_the_lines_of_each_kind_are_printed_alike(tmp_path: Path) -> None:
    path = log(tmp_path / "x.log", "sshd", SSHD, 60)
    for option in ("--print-all-matched", "--print-all-missed", "--print-all-ignored", "--print-no-missed"):
        ends = [
            text[text.index("[processed") :].split("\n", 1)[1]
            for text in (f(option, path, "sshd") for f in (ours, theirs))
        ]
        assert ends[0].strip() == ends[1].strip()


def test_a_packed_log_and_another_encoding_are_read(tmp_path: Path) -> None:
    line = "Nov 24 10:00:00 h d: Zürich bad from 198.51.100.7"
    packed = tmp_path / "x.log.gz"
    packed.write_bytes(gzip.compress(f"{line}\n".encode("latin-1")))
    done = zmban("regex", "-e", "latin-1", "-o", "ip", packed, "Zürich bad from <HOST>$")
    assert done.stdout == "198.51.100.7\n"


def test_options_stand_in_for_those_of_the_filter() -> None:
    done = zmban(
        "regex",
        "--jsonl",
        "-d",
        "%d.%m.%Y %H:%M",
        "--TZ",
        "UTC",
        "24.11.2026 10:00 x 198.51.100.7",
        "^ x <HOST>",
    )
    assert [(r["host"], r["time"]) for r in records(done)] == [("198.51.100.7", 1795514400.0)]
    done = zmban("regex", "--usedns", "yes", "-o", "id", "x a.example.com", "x <HOST>")
    assert done.stdout == "a.example.com\n"
    done = zmban("regex", "-L", "2", "-o", "ip", "one 198.51.100.7\ntwo", "one <HOST>$<SKIPLINES>^two")
    assert done.stdout == "198.51.100.7\n"


def test_a_jail_is_found_where_no_filter_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "jail.local").write_text(
        "[knock]\nfilter =\nfailregex = x <HOST>$\nlogpath = /x\nlogtimezone = +0100\n"
    )
    done = zmban("--config", tmp_path, "regex", "--jsonl", "2026-11-24 10:00:00 x 198.51.100.7", "knock")
    assert [r["time"] for r in records(done)] == [1795510800.0]
    done = zmban("--config", tmp_path, "regex", "--usedns", "no", "x 198.51.100.7", "knock")
    assert (done.returncode, "is a jail, which sets usedns itself" in done.stderr) == (78, True)


def test_the_ignoreregex_of_another_filter_is_taken(tmp_path: Path) -> None:
    (tmp_path / "filter.d").mkdir()
    (tmp_path / "filter.d/quiet.conf").write_text("[Definition]\nfailregex = y <HOST>\nignoreregex = x 198\n")
    done = zmban("regex", "-c", tmp_path, "--jsonl", "x 198.51.100.7", "x <HOST>", "quiet")
    assert [(r["matched"], r["ignored"]) for r in records(done)] == [(False, True)]


def test_a_framed_line_is_shown_with_its_own_client(tmp_path: Path) -> None:
    path = tmp_path / "mailbox.log"
    path.write_text(
        "2026-11-24 10:00:00,000 INFO  [qtp1-2:https://h/service/soap] [oip=203.0.113.7;ua=x;;ip=198.51.100.9;;;] "
        "SoapEngine - handler exception: authentication failed for [a], invalid password\n"
    )
    done = zmban("--config", SHIPPED, "regex", path, r";ip=<HOST>;.*authentication failed")
    assert "(client: 203.0.113.7)" in done.stdout
    assert "0 matched" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["/tmp", "x <HOST>"], 64, "directory"),
        (["x", "/no/such.conf"], 78, "no such filter file"),
        (["x", "zimbra-smpt"], 78, "did you mean zimbra-smtp"),
        (["systemd-journal[a=b]", "x <HOST>"], 64, "journalctl"),
        (["x", "x <HOST>", "--verbosity", "3"], 64, "No such option"),
        (["-e", "nonsense", "x", "x <HOST>"], 64, "utf-8"),
        (["-d", "%q", "x", "x <HOST>"], 78, "%q"),
        (["/no/such.log", "x <HOST>"], 64, "no such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(arguments: list[str], code: int, words: str) -> None:
    done = zmban("--config", SHIPPED, "regex", *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_a_regex_that_would_work_for_ever_is_broken_off_and_the_next_lines_are_matched(
    tmp_path: Path,
) -> None:
    log = tmp_path / "x.log"
    log.write_text(f"evil {'a' * 4000}! from 203.0.113.8\nevil b from 203.0.113.7\n", encoding="utf-8")
    done = zmban("regex", "--jsonl", "--undated", log, r"evil (?:(?:a+)+$|b) from <HOST>")
    assert done.returncode == 0, done.stderr
    assert [r["host"] for r in records(done)] == [None, "203.0.113.7"]
