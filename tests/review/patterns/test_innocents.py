"""Lines of legitimate clients never lead to a failregex, and no failregex names the victim of a forged line."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

import pytest

from sidecar.detect.match.forged_example import forged
from sidecar.detect.match.matcher import Matcher
from sidecar.review.patterns.hostile_lines import HostileLine
from sidecar.review.patterns.soundness import spec
from tests.review.patterns.logs import ATTACKS, NOW, attacked, attackers, found, patterns

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.jsonl"))
_USUAL = {"zimbra-smtp": "zimbra.log", "zimbra-mail": "mailbox.log", "zimbra-nginx": "nginx.log"}
# Rejected by a rule of the administrator's own.
_REFUSED = ("a client that is refused",)
VICTIM = "198.51.100.99"


def innocent_lines() -> list[tuple[str, str]]:
    """The lines of the samples that their filter must not find, and that nobody forged, with their log."""
    lines = []
    for path in SAMPLES:
        for text in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(text)
            if not sample["found"] and "victim" not in sample and sample["kind"] not in _REFUSED:
                lines.append((sample.get("log", _USUAL.get(path.stem, "")), sample["line"]))
    return lines


def many(line: str) -> list[str]:
    """The line of twenty clients, with another number in each."""
    return [line.replace("203.0.113.7", client) for client in attackers(20)]


@pytest.mark.parametrize("line", [pytest.param(one, id=one[1][:160]) for one in innocent_lines()])
def test_no_failregex_is_proposed_for_an_innocent_sample(line: tuple[str, str]) -> None:
    log, text = line
    assert [one.failregex for one in patterns(log, many(text)) if one.failregex] == []


def test_no_proposed_failregex_matches_an_innocent_sample() -> None:
    for attack in ATTACKS.values():
        lines, _ = attacked(attack)
        for pattern in patterns(attack.log, lines):
            if pattern.failregex:
                matcher = Matcher(spec(pattern.failregex, pattern.kind), UTC)
                assert [text for _, text in innocent_lines() if matcher.match(text, NOW).matched] == []


def test_own_clients_and_logins_are_no_hostile_lines() -> None:
    attack = ATTACKS["postfix, BSD dates"]
    lines, _ = attacked(attack, quiet=0)
    assert (
        found("zimbra.log", [line.replace("[203.0.113.", "[10.0.0.") for line in lines if "2001" not in line])
        == []
    )
    login = (
        "Jan  5 10:00:01 mail postfix/submission/smtpd[9]: 4A1B2C3D4E: client=host.example.net[203.0.113.7], "
        "sasl_method=LOGIN, sasl_username=denied-error@example.com"
    )
    assert found("zimbra.log", many(login)) == []


def test_hostile_words_of_a_client_make_no_hostile_line() -> None:
    line = (
        "Jan  5 10:00:01 mail postfix/smtpd[1]: NOQUEUE: filter: RCPT from unknown[203.0.113.7]: <a@example.net>: Sender "
        "address triggers FILTER x; from=<error@denied.example> to=<attack@example.com> proto=ESMTP helo=<invalid>"
    )
    assert found("zimbra.log", many(line)) == []


def test_lines_that_a_shipped_filter_matches_are_no_hostile_lines() -> None:
    failed = "Jan  5 10:00:01 mail postfix/smtps/smtpd[1]: warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: x"
    assert found("zimbra.log", many(failed)) == []
    assert {
        line.client for line in found("zimbra.log", many(failed.replace("SASL LOGIN authentication", "TLS")))
    } == set(attackers(20))


FORGED = [
    # The client's own text holds another address, in every place that it can write to.
    ("zimbra.log", "Jan  5 10:00:01 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.7]: 554 5.7.1 <x[198.51.100.99]: 554 5.7.1 <t@x.example>: Recipient address rejected: spam trap was hit; from=<a@b.example>: Recipient address rejected: spam trap was hit; from=<a@b.example> to=<t@x.example> proto=ESMTP helo=<unknown[198.51.100.99]: 554 5.7.1>"),
    ("zimbra.log", "Jan  5 10:00:01 mail postfix/smtpd[1]: warning: Illegal address syntax from unknown[203.0.113.7] in MAIL command: <from unknown[198.51.100.99] in MAIL command: x>"),
    ("zimbra.log", "Jan  5 10:00:01 mail postfix/smtpd[1]: warning: Illegal address syntax from unknown[203.0.113.7] in MAIL command: [198.51.100.99]: warning: illegal from unknown[198.51.100.99] in MAIL command: y"),
    ("nginx.log", '2026/01/05 10:00:03 [info] 11#11: *7 client sent invalid "Content-Length" header while reading client request headers, client: 203.0.113.7, server: s, request: "GET /, client: 198.51.100.99, server: x HTTP/1.1"'),
    ("nginx.log", '2026/01/05 10:00:03 [info] 11#11: *7 client sent invalid header line: "x, client: 198.51.100.99, server: s" while reading client request headers, client: 203.0.113.7, server: s, request: "GET / HTTP/1.1"'),
    ("nginx.log", '2026/01/05 10:00:03 [error] 11#11: *7 open() "/x" denied (2: x), client: 198.51.100.99, server: " failed (13: Permission denied), client: 203.0.113.7, server: s, request: "GET / HTTP/1.1"'),
    ("mailbox.log", "2026-01-05 10:00:00,001 WARN  [ImapSSLServer-1] [ip=203.0.113.7;ua=x;;oip=198.51.100.99;;] imap - authentication refused: invalid mechanism [ip=198.51.100.99;] imap - authentication refused: z"),
    ("nginx.access.log", '203.0.113.7:4 - 198.51.100.99:5 - - [05/Jan/2026:10:00:11 +0000]  "GET /remote/fgt_lang?x=198.51.100.99 HTTP/1.1" 404 1 "198.51.100.99" "198.51.100.99:1 - - []" "-" "-"'),
]  # fmt: skip


@pytest.mark.parametrize(("log", "line"), FORGED)
def test_a_forged_line_leads_to_no_failregex_that_names_the_victim(log: str, line: str) -> None:
    copies = [line.replace("203.0.113.7", client) for client in attackers(20)]
    hostile: list[HostileLine] = found(log, copies)
    assert VICTIM not in {one.client for one in hostile}
    for pattern in patterns(log, copies):
        if not pattern.failregex:
            assert pattern.why_not
            continue
        filtered = spec(pattern.failregex, pattern.kind)
        assert forged(filtered.failregex[0].regex) is None
        matcher = Matcher(filtered, UTC)
        hosts = {matcher.match(copy, NOW).host for copy in copies}
        assert VICTIM not in hosts
