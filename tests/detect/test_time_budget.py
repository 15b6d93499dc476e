"""The time budget of a regex per line, and its quarantine."""

import gc
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from sidecar.detect.grammar import Trust
from sidecar.detect.match.time_budget import Quarantine
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban import filters
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host import regex_budget
from sidecar.model import Match, Refused, Slow

NOW = 1_772_366_400.0
GOOD = b"Mar  1 12:00:00 host good from 203.0.113.7\n"
BAD = b"Mar  1 12:00:00 host evil " + b"a" * 4000 + b"! from 203.0.113.8\n"


def scanner(tmp_path: Path, **definitions: str) -> Scanner:
    jails = []
    for name, text in definitions.items():
        path = tmp_path / f"{name}.conf"
        path.write_text(f"[Definition]\n{text}\n", encoding="utf-8")
        spec, faults = filters.from_file(ConfigFiles([]), path, {})
        assert faults == []
        jails.append(JailSpec(name, spec, ()))
    return Scanner("/x.log", jails, UTC, Trust([]))


def told(scanner: Scanner, data: bytes, now: float = NOW) -> list[Match | Refused | Slow]:
    with regex_budget.limited():
        return list(scanner.scan(data, now))


CATASTROPHES = [
    r"evil (?:a+)+$ from <HOST>",
    r"evil (?:a|aa)+\d from <HOST>",
    r"evil (?:[a-z]+)*\d from <HOST>",
    r"evil (?:a+a+)+\d from <HOST>",
]


@pytest.mark.parametrize("regex", CATASTROPHES)
def test_a_runaway_regex_is_aborted_and_other_jails_still_match_the_line(tmp_path: Path, regex: str) -> None:
    both = scanner(tmp_path, slow=f"failregex = {regex}", good=r"failregex = (?:good|evil) \S+ from <HOST>")
    begun = time.thread_time()
    slow, match = told(both, BAD)
    assert isinstance(slow, Slow)
    assert (slow.jail, slow.regex, slow.until) == ("slow", "failregex 1", None)
    assert isinstance(match, Match)
    assert match.jail == "good"
    # A generous limit: without the budget it would take years.
    assert time.thread_time() - begun < 5


def test_a_regex_that_overruns_repeatedly_is_quarantined_alone(
    tmp_path: Path,
) -> None:
    one = scanner(tmp_path, slow=f"failregex = {CATASTROPHES[0]}\n            good from <HOST>")
    last = told(one, BAD * 3)[-1]
    assert isinstance(last, Slow)
    assert last.until == NOW + 60
    assert [type(t) for t in told(one, BAD + GOOD)] == [Refused, Match]
    assert one.quarantined(NOW) == [Slow("slow", "failregex 1", NOW + 60)]
    # It is tried again later, and quarantined again at once, for longer.
    again = told(one, BAD, NOW + 61)[0]
    assert isinstance(again, Slow)
    assert again.until == NOW + 61 + 120


def test_a_line_with_an_aborted_ignoreregex_does_not_count(tmp_path: Path) -> None:
    one = scanner(tmp_path, slow="failregex = evil .* from <HOST>\nignoreregex = evil (?:a+)+$")
    assert [type(t) for t in told(one, BAD * 3)] == [Slow] * 3
    refused = told(one, BAD)[0]
    assert isinstance(refused, Refused)
    assert refused.reason == "slow-regex"


def test_a_datepattern_has_the_same_time_budget(tmp_path: Path) -> None:
    pattern = r"^(?:[a-z0-9 :]+)+%%Y-%%m-%%d"
    one = scanner(tmp_path, slow=f"failregex = evil .* from <HOST>\ndatepattern = {pattern}")
    found = told(one, b"x" * 200 + b" evil a! from 203.0.113.8\n")
    assert [t.regex for t in found if isinstance(t, Slow)] == ["datepattern"]


@pytest.fixture
def frozen() -> Iterator[None]:
    """The collector leaves what is here alone, as in the service: what other tests left takes it longer than a
    regex may take."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_ordinary_lines_never_overrun(frozen: None, tmp_path: Path) -> None:
    one = scanner(tmp_path, good="failregex = good from <HOST>")
    assert all(isinstance(t, Match) for t in told(one, GOOD * 50_000))


def test_quarantine_ends_by_itself_and_grows_to_an_hour() -> None:
    quarantine, now, ends = Quarantine(), NOW, []
    for _ in range(12):
        until = quarantine.overran("r", now)
        if until:
            ends.append(until - now)
            assert quarantine.holds("r", now)
            now = until
            assert not quarantine.holds("r", now + 1)
        now += 1
    assert ends == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_overruns_hours_apart_cause_no_quarantine() -> None:
    quarantine = Quarantine()
    assert [quarantine.overran("r", NOW + 8000 * n) for n in range(6)] == [None] * 6
