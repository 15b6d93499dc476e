"""The mail log is counted as pflogsumm counts it, in parts as well as at once, in bounded memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.review.mail_log import MailLog, bsd, iso
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.mail.mail_counter import MailCounter
from sidecar.review.mail.open_messages import OpenMessages
from sidecar.review.report import mail_section
from tests.review.pflogsumm import summary

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
WORDS = {
    "received": "received", "delivered": "delivered", "forwarded": "forwarded", "deferred": "deferred",
    "bounced": "bounced", "rejected": "rejected", "reject warnings": "reject_warnings", "held": "held",
    "discarded": "discarded",
}  # fmt: skip


def counted(text: str, now: float = NOW) -> MailCounter:
    counter = MailCounter(now)
    counter.read(text.encode())
    return counter


def whole(counter: MailCounter) -> dict[str, Any]:
    return mail_section.record(mail_section.of_days(counter.days.values()))


def totals(text: str) -> dict[str, int]:
    return {word: n for word, n in whole(counted(text))["totals"].items() if n}


def by(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row[key]] = found.get(row[key], 0) + row["count"]
    return found


@pytest.mark.parametrize("stamp", [bsd, iso])
@pytest.mark.parametrize("long_ids", [True, False])
def test_the_counts_are_those_of_pflogsumm(tmp_path: Path, stamp: Any, long_ids: bool) -> None:
    log = MailLog(7, stamp, long_ids=long_ids, users=20)
    text = "".join(f"{line}\n" for line in log.lines(30_000))
    (tmp_path / "log").write_text(text, encoding="utf-8")
    theirs, ours = summary(tmp_path / "log"), whole(counted(text))
    assert {name: theirs.totals[name] for name in WORDS} == {n: ours["totals"][w] for n, w in WORDS.items()}
    assert theirs.deferrals == ours["totals"]["deferrals"]
    assert theirs.hours == [list(row.values()) for row in ours["hours"]]
    for name, word in (("bytes received", "bytes_received"), ("bytes delivered", "bytes_delivered")):
        # pflogsumm prints MiB.
        assert theirs.totals[name] == ours["totals"][word] >> 20 << 20
    distinct = [
        theirs.totals[n]
        for n in ("senders", "sending hosts/domains", "recipients", "recipient hosts/domains")
    ]
    assert distinct == list(ours["distinct"].values())
    for title, table in (
        ("Senders by message count", "senders"), ("Recipients by message count", "recipients"),
        ("Messages Received ", "sender_domains"),
    ):  # fmt: skip
        found = {row["name"]: row["count"] for row in ours[table]}
        assert found
        assert found.items() <= theirs.tables[title].items()
    delivered = {row["name"]: row["count"] for row in ours["recipient_domains"]}
    assert delivered == theirs.tables["Message Delivery "]
    for title, table, key in (
        ("Warnings", "warnings", "program"), ("Fatal Errors", "fatals", "program"),
        ("message bounce detail (by relay)", "bounces", "relay"), ("message deferral detail", "deferrals", "program"),
    ):  # fmt: skip
        assert by(ours[table], key) == dict(theirs.details[title])
    for title, table in (
        ("message reject detail", "rejects"), ("message reject warning detail", "reject_warnings"),
        ("message hold detail", "holds"), ("message discard detail", "discards"),
    ):  # fmt: skip
        stages = {("content" if key == "cleanup" else key): n for key, n in theirs.details[title].items()}
        assert by(ours[table], "stage") == stages


@given(st.integers(0, 50), st.lists(st.integers(0, 400), max_size=4))
def test_parts_that_are_joined_give_the_same_as_the_whole(seed: int, cuts: list[int]) -> None:
    lines = [f"{line}\n" for line in MailLog(seed, long_ids=bool(seed % 2)).lines(400)]
    parts = [counted("".join(lines[a:b])) for a, b in pairwise([0, *sorted(cuts), len(lines)])]
    first = parts[0]
    for later in parts[1:]:
        for day, counts in later.days.items():
            first.of(day).join(counts)
        first.messages.join(later.messages, first.of)
    assert whole(first) == whole(counted("".join(lines)))


@given(st.integers(0, 50), st.integers(0, 300))
def test_what_is_saved_between_two_runs_gives_the_same_as_one_run(seed: int, cut: int) -> None:
    lines = [f"{line}\n" for line in MailLog(seed).lines(300)]
    first = counted("".join(lines[:cut]))
    saved = json.loads(json.dumps(first.messages.dumped()))
    second = MailCounter(NOW, OpenMessages.restored(saved))
    second.read("".join(lines[cut:]).encode())
    days = [DayCounts.loaded(json.loads(json.dumps(one.dumped()))) for one in first.days.values()]
    together = mail_section.of_days([*days, *second.days.values()])
    assert mail_section.record(together) == whole(counted("".join(lines)))


def test_days_are_those_that_the_log_wrote_and_lines_out_of_order_count_for_theirs() -> None:
    lines = [
        "Dec 31 23:59:59 mail postfix/smtpd[1]: A1B2C3: client=a.example[198.51.100.1]",
        "Jan  1 00:00:01 mail postfix/smtpd[1]: A1B2C4: client=a.example[198.51.100.1]",
        "2026-01-01T00:00:02.5+01:00 mail postfix/smtpd[1]: A1B2C5: client=a.example[198.51.100.1]",
        "Dec 31 08:00:00 mail postfix/smtpd[1]: A1B2C6: client=a.example[198.51.100.1]",
        "Feb 29 08:00:00 mail postfix/smtpd[1]: A1B2C7: client=a.example[198.51.100.1]",
        "Feb 30 08:00:00 mail postfix/smtpd[1]: A1B2C8: client=a.example[198.51.100.1]",
    ]
    now = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    found = counted("\n".join(lines) + "\n", now)
    received = {day: counts.totals["received"] for day, counts in found.days.items()}
    assert received == {"2025-12-31": 2, "2026-01-01": 2, "2024-02-29": 1}
    assert [found.days["2025-12-31"].hours[hour][0] for hour in (8, 23)] == [1, 1]


def test_a_queue_id_that_is_used_again_is_another_message() -> None:
    line = "Nov 26 09:00:00 mail postfix"
    text = "".join(
        f"{line}/smtpd[1]: A1B2C3: client=a.example[198.51.100.1]\n"
        f"{line}/qmgr[2]: A1B2C3: from=<a{size}@a.example>, size={size}, nrcpt=1 (queue active)\n"
        f"{line}/lmtp[3]: A1B2C3: to=<b@example.com>, relay=x[192.0.2.1]:7025, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (ok)\n"
        for size in (100, 20_000)
    )
    assert totals(text) == {
        "received": 2,
        "delivered": 2,
        "bytes_received": 20_100,
        "bytes_delivered": 20_100,
    }


def test_nothing_is_counted_in_an_empty_log_or_in_other_lines() -> None:
    assert totals("") == {}
    others = (
        "bob: status=sent",
        "Nov 26 09:00:00 mail sshd[1]: reject: RCPT from x",
        ">, size=",
        "\0\0: warning: \n",
    )
    assert totals("\n".join(others) + "\n") == {}


def test_logins_are_counted_with_the_number_of_addresses() -> None:
    text = "".join(
        f"Nov 26 09:00:0{n} mail postfix/submission/smtpd[1]: AB{n}: client=x[198.51.100.{n}], sasl_method=PLAIN, "
        f"sasl_username=Bob@example.com\n" for n in range(5)
    )  # fmt: skip
    assert whole(counted(text))["logins"] == [{"account": "bob@example.com", "count": 5, "addresses": 5}]


def test_a_reject_names_stage_reason_and_host_whatever_the_client_wrote() -> None:
    line = (
        "Nov 26 09:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 "
        "<x: y; z>: z; >: Relay access denied; from=<a@evil.example> to=<x: y; z> proto=ESMTP helo=<h>\n"
    )
    [row] = whole(counted(line * 12))["rejects"]
    assert (row["stage"], row["count"], row["hosts"][0]["host"]) == ("RCPT", 12, "unknown[198.51.100.7]")
    assert whole(counted(line * 12))["domains"] == [{"domain": "evil.example", "count": 12, "hosts": 1}]


def test_a_million_senders_take_bounded_memory_and_the_totals_stay_exact() -> None:
    counter = MailCounter(NOW)
    for part in range(20):
        lines = []
        for n in range(part * 5000, (part + 1) * 5000):
            lines.append(f"Nov 26 09:00:00 mail postfix/smtpd[1]: Q{n}: client=h{n}.example[198.51.100.1]\n")
            lines.append(
                f"Nov 26 09:00:00 mail postfix/qmgr[1]: Q{n}: from=<u{n}@d{n}.example>, size=10, nrcpt=1\n"
            )
        counter.read("".join(lines).encode())
    counts = counter.days["2026-11-26"]
    assert counts.totals["received"] == 100_000
    assert counts.tables["senders"].total() == 100_000
    assert len(counts.tables["senders"]) <= 40_000
    assert len(counts.tables["sender_domains"]) <= 10_000
    assert whole(counter)["incomplete"]["senders"] == counts.tables["senders"].dropped > 0


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n"), max_size=80), max_size=6))
def test_text_of_strangers_is_counted_without_a_fault(texts: list[str]) -> None:
    lines = []
    for text in texts:
        lines += [
            f"Nov 26 09:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from {text}: {text}",
            f"Nov 26 09:00:00 mail postfix/qmgr[1]: {text}: from=<{text}>, size=5, nrcpt=1",
            f"Nov 26 09:00:00 mail postfix/smtp[1]: AB: to=<{text}>, relay={text}, delay=1, status=bounced ({text})",
            f"Nov 26 09:00:00 mail postfix/smtpd[1]: AB: client={text}[1.2.3.4], sasl_username={text}",
            text,
        ]
    record = whole(counted("\n".join(lines) + "\n"))
    assert json.loads(json.dumps(record)) == record
