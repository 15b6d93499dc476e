"""The report as text and as a page: whatever a stranger wrote is shown as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.review.mail.day_counts import SEPARATOR, DayCounts
from sidecar.review.report import day_report, html_report, mail_section, text_report
from sidecar.review.report.charts import bars

HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[2J",
    "\u202ekcatta",
    "a\nb: c",
    '=HYPERLINK("x")',
    "</style>",
    '" onload="x',
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))


def filled(text: str) -> dict[str, Any]:
    """A report with this text in every field."""
    key, counts = text.replace(SEPARATOR, "") or "x", DayCounts()
    parts = {"rejects": 3, "reject_warnings": 3, "holds": 3, "discards": 3, "bounces": 2, "deferrals": 2, "warnings": 2,
             "fatals": 2, "panics": 2, "delivery_failures": 2, "login_clients": 2, "rejected_domains": 2}  # fmt: skip
    for name, table in counts.tables.items():
        table.add(SEPARATOR.join([key] * parts.get(name, 1)), 12, 5000)
    counts.hours[3][0] = 7
    jail = {"matches": 1, "failures": 2, "bans": 3, "dry_bans": 4, "unbans": 5, "refused": {text: 1}}
    ban = {
        "network": text,
        "jail": text,
        "at": 1.0,
        "until": None,
        "reason": text,
        "evidence": [text],
        "dry": True,
    }
    decisions = {
        "jails": {text: jail}, "bans": [ban], "near_misses": [{"network": text, "jail": text, "failures": 1, "maxretry": 2}],
        "accounts": [{"account": text, "failures": 1, "from": 5, "networks": [text], "distributed": True}],
        "good_users": [{"network": text, "jail": text, "failures": 1, "accounts": 1, "banned": True}],
        "framed": [{"jail": text, "named": text, "client": text, "line": text}],
    }  # fmt: skip
    trial = {"hits": 1, "clients": 1, "bans": 1, "banned": [text], "known_good_hits": 1, "complete": False,
             "known_good": [{"client": text, "hits": 1, "accounts": [text]}]}  # fmt: skip
    pattern = {"id": "x", "log": text, "template": text, "count": 1, "clients": 1, "first": 1.0, "last": 2.0,
               "samples": [{"line": text, "client": text}], "failregex": text or "x", "why_not": None, "trial": trial}  # fmt: skip
    more = {
        "proposals": [{"network": text, "banned": 1, "addresses": 256}], "masked": [{"proxy": text, "lines": 1, "cure": text}],
        "silent_jails": [text], "health": [text], "sources": [{"source": text, "lines": 1}], "faults": [text],
    }  # fmt: skip
    return day_report.record(
        text, 1.0, text, counts, decisions, [pattern, {**pattern, "failregex": None, "why_not": text}], more
    )


class Page(HTMLParser):
    """The tags and attributes of a page; fails for one that is not known."""

    TAGS = frozenset("html head meta title style body main h1 h2 p span section div table thead tbody tr th td pre svg line "
                     "text rect".split())  # fmt: skip

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in self.TAGS, tag
        assert not [
            name for name, _ in attributes if name.startswith("on") or name in ("style", "href", "src")
        ], attributes


@given(TEXTS)
def test_no_text_becomes_markup_or_a_formula(text: str) -> None:
    page = "".join(html_report.rendered(filled(text), lambda at: str(at)))
    Page().feed(page)
    assert not re.search("[\x1b\u202e]", page)
    assert not re.search(r"<td[^>]*>[=+@-]", page)
    assert page.count("</style>") == 1


@given(TEXTS)
def test_no_text_drives_a_terminal_or_breaks_a_line(text: str) -> None:
    plain, lines = list(text_report.rendered(filled("x"), str)), list(text_report.rendered(filled(text), str))
    assert len(lines) == len(plain)
    assert all(line.isprintable() for line in lines)


def test_a_chart_shows_its_numbers_and_none_without_any() -> None:
    drawn = "".join(bars("Messages", [("received", "first", [0] * 23 + [12_345])]))
    assert "23:00 received 12,345" in drawn and "20,000" in drawn
    assert "<rect" not in "".join(bars("Messages", [("received", "first", [0] * 24)]))


@pytest.mark.parametrize("kind", ["html", "text"])
def test_an_empty_day_is_a_short_report(kind: str) -> None:
    report = day_report.record("2026-11-26", 1.0, "mail", DayCounts(), {}, [], {})
    page = (
        "".join(html_report.rendered(report, str))
        if kind == "html"
        else "\n".join(text_report.rendered(report, str))
    )
    assert "Messages" in page and "Senders" not in page


def test_the_summary_names_what_matters() -> None:
    lines = day_report.summary(filled("x"))
    assert lines[0].startswith("mail: 0 received")
    assert any("good users banned: x" in line for line in lines)
    assert mail_section.MOST >= 50
