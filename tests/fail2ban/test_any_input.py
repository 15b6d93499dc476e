"""Long files, deeply nested regexes and arbitrary log lines end soon, with a result or faults of one line.

`outcome.load` asserts the faults and the jails of each file.
"""

from __future__ import annotations

from datetime import UTC
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.detect.match.matcher import Matcher
from sidecar.fail2ban import filters
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from tests.conformance import package
from tests.fail2ban.outcome import load
from tests.fail2ban.test_hostile import FILTER, JAIL, LINES

MANY = 10_000
# Stock filters with sessions, maxlines, modes, or very general regexes.
STOCK = ("sshd", "postfix", "dovecot", "named-refused", "nginx-http-auth", "apache-auth", "recidive", "exim")


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
    found = load(
        jail=f"{text}\n[last]\nenabled = true\nlogpath = /x\nfilter = a\nmaxretry = 7\n", filter=FILTER
    )
    assert found.jails["last"].maxretry == 7


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
def test_a_filter_of_many_lines_is_used_or_stops_its_own_jail_only(text: str) -> None:
    found = load(jail=JAIL, filter=text)
    assert found.enabled == {"a", "b"}
    assert "b" in found.jails


@pytest.mark.parametrize(
    "regex",
    [
        "(" * 3000 + "<HOST>" + ")" * 3000,
        "(" * 300 + "<HOST>" + ")" * 300,
        "(?:" * 90 + "<HOST>" + ")" * 90,
        "(?:x|" * 3000 + "<HOST>" + ")" * 3000,
        "(?:x|" * 300 + "<HOST>" + ")" * 300,
        ".*" * 3000 + "<HOST>",
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
def test_a_regex_of_any_depth_is_compiled_or_stops_its_own_jail_only(regex: str) -> None:
    found = load(jail=JAIL, filter=f"[Definition]\nfailregex = {regex}\n")
    assert found.enabled == {"a", "b"}
    assert "b" in found.jails
    # Without its own failregex the jail uses that of its filter.
    assert load(jail=f"{JAIL}failregex = {regex}\n", filter=FILTER).jails.keys() == {"a", "b"}


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_option_of_a_jail_affects_its_own_jail_only(key: str, value: str) -> None:
    assert "b" in load(jail=f"{JAIL}{key} = {value}\n", filter=FILTER).jails


# Lines of sessions, of which the failure takes the client from another line.
SESSIONS = [
    "Jan  5 10:00:01 host sshd[7]: Connection from 203.0.113.7 port 4 on 192.0.2.1 port 22",
    "Jan  5 10:00:02 host sshd[7]: Failed password for invalid user bob from 203.0.113.7 port 4 ssh2",
    "Jan  5 10:00:03 host sshd[7]: Received disconnect from 203.0.113.7 port 4:11: Bye [preauth]",
    "Jan  5 10:00:03 host sshd[7]: Connection closed by 203.0.113.7 port 4 [preauth]",
]


@cache
def stock(name: str) -> FilterSpec:
    return filters.load(ConfigFiles([package.stock()]), name, {})[0]


@pytest.mark.conformance
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(STOCK), st.lists(st.text(max_size=80) | st.sampled_from([*LINES, *SESSIONS]), max_size=6)
)
def test_a_matcher_of_a_stock_filter_finds_in_any_lines_only_what_is_in_them(
    name: str, lines: list[str]
) -> None:
    matcher, read = Matcher(stock(name), UTC), list[str]()
    for line in lines:
        read.append(line.replace("\n", " "))
        outcome = matcher.match(read[-1], 1767700000.0)
        assert -1 <= outcome.regex < len(stock(name).failregex)
        assert outcome.matched <= (outcome.regex >= 0 and outcome.ignored < 0)
        # A session or maxlines may add earlier lines.
        assert set(outcome.lines) <= set(read), outcome
        assert outcome.host is None or any(outcome.host.partition("/")[0] in one for one in read), outcome
