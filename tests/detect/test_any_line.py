"""What is true of every log line, whatever it contains: nothing is read from it that is not in it."""

from __future__ import annotations

import re
from datetime import UTC
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.detect.grammar import GRAMMARS, LOGS, Trust
from sidecar.detect.grammar.addresses import address
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban import jails
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import Match, Refused
from sidecar.network import Network
from tests.steps import steps

CONFIG = Path(__file__).parents[2] / "config"
NOW = 1767700000.0
A = "203.0.113.7"
TRUST = Trust([Network.parse("10.0.0.9")])
SMTPD = " mail postfix/submission/smtpd[4711]: "
# Pieces of the lines of all logs, so that arbitrary text gets beyond their beginnings.
PIECES = st.sampled_from(
    [A, "2001:db8:0::5", "[2001:db8::5]:40001", f"{A}:40001", "10.0.0.9", "127.0.0.1", "192.168.20.50", "unknown[", "]", "[", "][", "] [",
     ";", ";;", "oip=", "ip=", "via=", "name=", "ua=", ", ", " - ", "-", '"', "\\\\", '"GET / HTTP/1.1" 401 5 ', " [] ", "user ",
     "cmd=Auth; ", "account=bob; ", "error=authentication failed for [bob], invalid password;", " authenticated, mechanism=x",
     " INFO  [qtp1:https://m/x] [", "security - ", "client: ", ", server: ", "PROXY TCP4 ", ": SASL LOGIN ", "host x[1]: ",
     "authentication failed: ", "sasl_username=", "disconnect from ", "Passed CLEAN ", "\n", "\0", "|"]
)  # fmt: skip
TEXT = st.lists(PIECES | st.text(max_size=8), max_size=14).map("".join)
# Lines of each grammar, with arbitrary text in two places.
FORMS = [
    ("", "", ""),
    (f" INFO  [qtp1:https://m/x] [oip={A};ua=", ";] security - cmd=Auth; account=", "; protocol=soap;"),
    (" WARN  [ImapServer-1] [ip=192.168.20.50;oip=", ";] imap - authentication failed for [", "]"),
    (" DEBUG [qtp1:http://m/", "][oip=10.0.0.9;Cmd=Sync;] sync - ", ""),
    (" INFO  [qtp1:https://m/x] [ua=", ";] security - cmd=Auth; account=", ";"),
    (f"{SMTPD}warning: unknown[{A}]: SASL LOGIN authentication failed: ", ", sasl_username=", ""),
    (f"{SMTPD}NOQUEUE: reject: RCPT from unknown[", f"[{A}]: 554 5.7.1 <", ">: Relay access denied"),
    (" mail amavis[1]: (1-02) Passed CLEAN {RelayedInbound}, [", f"]:48460 [{A}] <", "> -> <b@y>"),
    (
        f" [info] 1#1: *5 client sent invalid method while reading client request line, client: {A}, server: ",
        ', "',
        '"',
    ),
    (f"{A}:40001 - ", ' [] "GET / HTTP/1.1" 401 5 "-" "', '" "10.0.0.9:8443" "10.0.0.9:443"'),
    ('192.168.20.50 - - [] "', '" 401 5 "-" "x" xff=', ""),
]


def addresses(text: str) -> set[str]:
    """Every part of a text that may be read as an address, in canonical form."""
    words = re.findall(r"[0-9A-Fa-f:.]+", text)
    parts = {part for word in words for part in (word, word.strip(":."), word.rpartition(":")[0])}
    return {found.address for part in parts if (found := address(part))}


@pytest.mark.parametrize("name", GRAMMARS)
@settings(deadline=None)
@given(form=st.sampled_from(FORMS), one=TEXT, other=TEXT)
def test_what_a_grammar_reads_from_any_text_is_in_it(
    name: str, form: tuple[str, str, str], one: str, other: str
) -> None:
    line = form[0] + one + form[1] + other + form[2]
    with steps(20_000):
        facts = GRAMMARS[name].read(line, TRUST)
    if facts is None:
        return
    there = addresses(line)
    for who in (facts.client, facts.masked, facts.relay, facts.named, facts.peer):
        assert not who or who in line or who in there, (who, line)
    # One answer: a client, or a suspected proxy with the client that it names, or only trusted proxies, or nobody.
    assert [facts.client, facts.relay, facts.masked].count(None) >= 2, facts
    assert facts.relay or not facts.named, facts
    assert not (facts.good and facts.excused), facts
    plain = line.replace(";;", ";")
    for value in (facts.account, *facts.fields.values()):
        assert value in line or value in plain, (value, line)


@cache
def every_jail() -> tuple[jails.JailSpec, ...]:
    """All shipped jails, enabled or not."""
    files = ConfigFiles([CONFIG])
    found = (jails.one(files, name)[0] for name in files.jails().sections)
    return tuple(jail for jail in found if jail is not None)


@cache
def scanner(log: str) -> Scanner:
    """All shipped jails over one log."""
    return Scanner(f"/{log}", every_jail(), UTC, TRUST)


# Lines that shipped jails match, with the log that they are in.
SAMPLES = {
    "zimbra.log": f"Jan  5 10:00:01{SMTPD}warning: unknown[{A}]: SASL LOGIN authentication failed: x",
    "mailbox.log": f"2026-01-05 10:00:01,041 INFO  [qtp1:https://m/x] [oip={A};] SoapEngine - handler exception: "
    "authentication failed for [bob], invalid password",
    "nginx.log": "2026/01/05 10:00:03 [info] 1#1: *5 client sent invalid method while reading client request line, "
    f"client: {A}, server: x",
}  # fmt: skip
BYTES = st.one_of(
    st.sampled_from([f"{line}\n".encode() for line in SAMPLES.values()]),
    # Longer than a line may be, and with all that a filter looks for.
    st.sampled_from([f"{line}{'x' * LONGEST_LINE}\n".encode() for line in SAMPLES.values()]),
    st.sampled_from(
        [b"\n", b"\r\n", b"\n\n", b"\0", b"\xff\xfe", b"x" * (LONGEST_LINE + 1), b"[198.51.100.99]"]
    ),
    st.binary(max_size=30),
    TEXT.map(lambda text: text.encode("utf-8", "replace")),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LOGS)), st.lists(BYTES, max_size=20).map(b"".join))
@example("zimbra.log", b"".join(f"{line}\n".encode() for line in SAMPLES.values()))
def test_of_any_block_each_byte_and_line_counts_once_and_no_address_is_blamed_that_is_not_in_it(
    log: str, data: bytes
) -> None:
    data += b"\n" * (not data.endswith(b"\n"))
    one = scanner(log)
    before = one.tally.lines, one.tally.bytes, one.tally.candidates
    events = one.scan(data, NOW)
    lines = [line.rstrip("\r") for line in data.decode("utf-8", "replace").split("\n")[:-1]]
    grown = [
        now - then
        for now, then in zip((one.tally.lines, one.tally.bytes, one.tally.candidates), before, strict=True)
    ]
    assert grown[:2] == [data.count(b"\n"), len(data)]
    assert grown[2] <= len(lines)
    assert len(events) <= grown[2] * len(every_jail())
    for event in events:
        assert isinstance(event, Match | Refused), event
        assert event.jail in one.jails
        if isinstance(event, Refused) and event.reason == "line-too-long":
            assert event.line is None or len(event.line) <= LONGEST_LINE
            assert any(len(line.encode()) > LONGEST_LINE for line in lines)
            continue
        evidence = event.line or ""
        assert all(len(line) <= LONGEST_LINE for line in evidence.split("\n"))
        host = event.host or ""
        assert host in evidence or host in addresses(evidence), event
        if isinstance(event, Match):
            assert any(line in lines for line in evidence.split("\n")) or "[cut]" in evidence, event


@pytest.mark.parametrize("log", SAMPLES)
def test_each_of_these_lines_is_a_match_in_its_log(log: str) -> None:
    found = scanner(log).scan(f"{SAMPLES[log]}\n".encode(), NOW)
    assert {event.host for event in found if isinstance(event, Match)} == {A}
