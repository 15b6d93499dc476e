"""Lines joined by the identifier of a session."""

from datetime import UTC
from pathlib import Path

import pytest

from sidecar.detect.match.matcher import Matcher, Outcome
from sidecar.fail2ban import filters
from sidecar.fail2ban.syntax.files import ConfigFiles

FILTER = r"""
[Definition]
prefregex = ^ \w+ d\[<F-MLFID>\d+</F-MLFID>\]: <F-CONTENT>.+</F-CONTENT>$
failregex = ^<F-NOFAIL>connect</F-NOFAIL> from <HOST>$
            ^bad password for <F-USER>\w+</F-USER>$
            ^<F-NOFAIL>maybe</F-NOFAIL> <F-USER>\w+</F-USER>(?: from <ADDR>)?$
            ^<F-MLFFORGET><F-NOFAIL>closed</F-NOFAIL></F-MLFFORGET>
            ^<F-MLFFORGET><F-MLFGAINED>welcome</F-MLFGAINED></F-MLFFORGET> <F-USER>\w+</F-USER>$
"""


@pytest.fixture
def matcher(tmp_path: Path) -> Matcher:
    (tmp_path / "f.conf").write_text(FILTER)
    spec, faults = filters.from_file(ConfigFiles([]), tmp_path / "f.conf", {})
    assert faults == []
    return Matcher(spec, UTC)


def feed(matcher: Matcher, *texts: str, pid: int = 7, second: int = 0) -> list[Outcome]:
    return [
        matcher.match(f"Nov 24 10:{second // 60:02}:{second % 60:02} h d[{pid}]: {text}", 1795564800.0)
        for text in texts
    ]


def test_a_failure_takes_its_client_from_an_earlier_line_of_its_session(matcher: Matcher) -> None:
    first, second = feed(matcher, "connect from 198.51.100.7", "bad password for bob")
    assert (first.matched, second.matched) == (False, True)
    assert (second.host, second.groups["user"]) == ("198.51.100.7", "bob")
    assert [line.rsplit(": ", 1)[1] for line in second.lines] == [
        "connect from 198.51.100.7",
        "bad password for bob",
    ]


def test_a_failure_without_a_client_waits_for_the_line_that_names_it(matcher: Matcher) -> None:
    waits, told = feed(matcher, "bad password for bob", "connect from 198.51.100.7")
    assert not waits.matched
    assert (told.matched, told.host) == (True, "198.51.100.7")


def test_sessions_do_not_lend_their_client_to_each_other(matcher: Matcher) -> None:
    feed(matcher, "connect from 198.51.100.7", pid=1)
    (other,) = feed(matcher, "bad password for bob", pid=2)
    assert not other.matched


def test_a_second_user_in_one_session_is_a_failure_even_with_a_welcome(matcher: Matcher) -> None:
    first, gained = feed(matcher, "maybe root from 198.51.100.7", "welcome bob")
    assert (first.matched, gained.matched) == (False, True)
    assert gained.groups["users"] == ["bob", "root"]


def test_a_login_after_a_failed_try_of_the_same_user_is_no_failure(matcher: Matcher) -> None:
    assert [o.matched for o in feed(matcher, "maybe bob from 198.51.100.7", "welcome bob")] == [False, False]


def test_a_session_that_is_closed_or_old_is_forgotten(matcher: Matcher) -> None:
    feed(matcher, "connect from 198.51.100.7", "closed")
    assert not feed(matcher, "bad password for bob")[0].matched
    feed(matcher, "connect from 198.51.100.7", pid=9)
    assert not feed(matcher, "bad password for bob", pid=9, second=301)[0].matched


def test_the_number_of_sessions_is_limited(matcher: Matcher) -> None:
    for pid in range(150):
        feed(matcher, "connect from 198.51.100.7", pid=pid)
    assert not feed(matcher, "bad password for bob", pid=1)[0].matched
    assert feed(matcher, "bad password for bob", pid=149)[0].matched
