"""Long files, deep regexes and any line of a log: each ends soon, with a fault of one line or an answer.

Nothing here measures time: what takes too long or too much memory never ends.
"""

from __future__ import annotations

from datetime import UTC
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.detect.match.matcher import Matcher
from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from tests.conformance import package
from tests.fail2ban.test_hostile import FILTER, JAIL, LINES, load

MANY = 20_000
# Those with sessions, with several lines at a time, with modes, and with regexes of great freedom.
STOCK = ("sshd", "postfix", "dovecot", "named-refused", "nginx-http-auth", "apache-auth", "recidive", "exim")


def one_line_each(found: jails.Configuration) -> None:
    """Every fault is one line for whoever reads it, and no wall of text."""
    for fault in found.faults:
        assert len(str(fault).splitlines()) == 1, fault
        assert str(fault).isprintable(), fault
        assert len(fault.message) < 1000, fault


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n" * MANY,
        "[a]\nx = 1\n" + "x = 1\n" * MANY,
        "[a]\n" * MANY,
        "[a]\n" + "nothing\n" * MANY,
        "\n".join(f"[jail{n}]" for n in range(MANY)),
        "[DEFAULT]\n" + "\n".join(f"bantim{n} = {n}" for n in range(MANY)) + "\n" + JAIL,
        JAIL + "\n".join(f"maxretr{n} = {n}" for n in range(MANY)),
        JAIL + "action = route\n" + " mail\n" * MANY,
        JAIL + "logpath = /x\n" + " relative\n" * MANY,
        JAIL + "ignoreip = 203.0.113.7\n" + " 999.999.999.999\n" * MANY,
        JAIL + "# \u2013 a comment\n" * MANY,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_a_jail_file_of_many_lines_is_read_to_its_end(text: str) -> None:
    one_line_each(load(jail=text, filter=FILTER))


@pytest.mark.parametrize(
    "text",
    [
        "[Definition]\nfailregex = \n" + "".join(f"  ^ {n} <HOST>$\n" for n in range(MANY)),
        "[Definition]\nfailregex = \n" + "  ^ the same <HOST>$\n" * MANY,
        "[Definition]\nfailregex = \n" + "  (\n" * MANY,
        "[Definition]\nfailregex = \n" + "  ^ nobody \u2013 &lt;HOST&gt;\n" * MANY,
        "[Definition]\nfailregex = ^ <HOST>$\ndatepattern = \n" + "  %%Y\n" * MANY,
        "[Definition]\nfailregex = ^ <HOST>$\ndatepattern = \n" + "".join(f"  {n}%%Y\n" for n in range(MANY)),
        FILTER + "".join(f"x{n} = %(x{n + 1})s\n" for n in range(MANY)),
        "failregex = ^ <HOST>$\n" * MANY,
    ],
    ids=lambda text: repr(text[:40]),
)
def test_a_filter_of_many_lines_is_read_to_its_end(text: str) -> None:
    one_line_each(load(jail=JAIL, filter=text))


@pytest.mark.parametrize(
    "regex",
    [
        "(" * 3000 + "<HOST>" + ")" * 3000,
        "(" * 300 + "<HOST>" + ")" * 300,
        "(?:" * 90 + "<HOST>" + ")" * 90,
        "(?:x|" * 3000 + "<HOST>" + ")" * 3000,
        "[" * 3000 + "<HOST>" + "]" * 3000,
        "<" * 3000 + "HOST" + ">" * 3000,
        "<F-A>" * 3000 + "<HOST>" + "</F-A>" * 3000,
        "<HOST>" * 3000,
        "(?:a{1,1000}){1,1000}{1,1000} <HOST>",
        "(?:(?:a{1000}){1000}){1000} <HOST>",
        "a|" * 20_000 + "<HOST>",
    ],
    ids=lambda regex: repr(regex[:20]),
)
def test_a_regex_of_any_depth_is_compiled_or_refused(regex: str) -> None:
    one_line_each(load(jail=JAIL, filter=f"[Definition]\nfailregex = {regex}\n"))
    one_line_each(load(jail=f"{JAIL}failregex = {regex}\n", filter=FILTER))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_option_of_a_jail_gives_faults_of_one_line(key: str, value: str) -> None:
    one_line_each(load(jail=f"{JAIL}{key} = {value}\n", filter=FILTER))


@cache
def stock(name: str) -> FilterSpec:
    return filters.load(ConfigFiles([package.stock()]), name, {})[0]


@pytest.mark.conformance
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STOCK), st.lists(st.text(max_size=80) | st.sampled_from(LINES), max_size=4))
def test_no_line_breaks_a_matcher_of_a_stock_filter(name: str, lines: list[str]) -> None:
    matcher = Matcher(stock(name), UTC)
    for line in lines:
        outcome = matcher.match(line.replace("\n", " "), 1767700000.0)
        assert outcome.regex >= 0 or not outcome.matched
