"""The exact match of one line, or of several together."""

from datetime import UTC
from pathlib import Path

import pytest

from sidecar.detect.match.matcher import Matcher, Outcome
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.fail2ban import filters
from sidecar.fail2ban.syntax.files import ConfigFiles

NOW = 1795564800.0


def matcher(tmp_path: Path, definition: str) -> Matcher:
    (tmp_path / "f.conf").write_text(f"[Definition]\n{definition}\n")
    spec, faults = filters.from_file(ConfigFiles([]), tmp_path / "f.conf", {})
    assert [f for f in faults if not f.warning] == []
    return Matcher(spec, UTC)


def outcome(tmp_path: Path, definition: str, line: str) -> Outcome:
    return matcher(tmp_path, definition).match(line, NOW)


def test_the_other_regexes_see_only_the_content_of_the_prefregex(tmp_path: Path) -> None:
    definition = "prefregex = ^ x <F-CONTENT>.+</F-CONTENT> y$\nfailregex = ^bad <HOST>$"
    assert outcome(tmp_path, definition, "Nov 24 10:00:00 x bad 198.51.100.7 y").host == "198.51.100.7"
    assert not outcome(tmp_path, definition, "Nov 24 10:00:00 bad 198.51.100.7").matched


def test_a_few_ignoreregexes_see_the_whole_line_and_many_only_the_content(tmp_path: Path) -> None:
    pre = "prefregex = ^ x <F-CONTENT>.+</F-CONTENT>$\nignoreregex = ^ x bad\n"
    few = pre + "failregex = ^bad <HOST>$\n  ^b <HOST>$\n  ^c <HOST>$\n  ^d <HOST>$"
    assert outcome(tmp_path, few, "Nov 24 10:00:00 x bad 198.51.100.7").ignored == 0
    assert outcome(tmp_path, pre + "failregex = ^bad <HOST>$", "Nov 24 10:00:00 x bad 198.51.100.7").matched


def test_an_alternative_fills_a_group_that_is_empty_and_a_tuple_joins_its_parts(tmp_path: Path) -> None:
    definition = (
        r"failregex = a=<F-ALT_USER>\w*</F-ALT_USER> b=<F-USER>\w*</F-USER> "
        r"<F-TUPLE_WHERE_1>\w+</F-TUPLE_WHERE_1>/<F-TUPLE_WHERE_2>\w+</F-TUPLE_WHERE_2> <HOST>"
    )
    groups = outcome(tmp_path, definition, "a=one b= x/y 198.51.100.7").groups
    assert (groups["user"], groups["where"]) == ("one", ("x", "y"))
    assert outcome(tmp_path, definition, "a=one b=two x/y 198.51.100.7").groups["user"] == "two"


def test_the_identifier_comes_before_the_address_and_a_subnet_is_its_network(tmp_path: Path) -> None:
    assert outcome(tmp_path, r"failregex = <F-ID>\w+</F-ID> <ADDR>", "bob 198.51.100.7").host == "bob"
    assert outcome(tmp_path, r"failregex = net <SUBNET>", "net 203.0.113.9/28").host == "203.0.113.9/28"


def test_several_lines_are_matched_together_and_skipped_lines_stay(tmp_path: Path) -> None:
    lines = matcher(tmp_path, "maxlines = 4\nfailregex = ^ begin <HOST>$<SKIPLINES>^ end$")
    told = [
        lines.match(f"Nov 24 10:00:0{n} {text}", NOW)
        for n, text in enumerate(("begin 198.51.100.7", "begin 198.51.100.8", "end", "end"))
    ]
    assert [o.host for o in told] == [None, None, "198.51.100.7", "198.51.100.8"]
    assert [line[16:] for line in told[2].lines] == ["begin 198.51.100.7", "end"]


def test_with_maxlines_every_line_is_a_candidate(tmp_path: Path) -> None:
    (tmp_path / "f.conf").write_text("[Definition]\nmaxlines = 2\nfailregex = long literal <HOST>\n")
    spec, _ = filters.from_file(ConfigFiles([]), tmp_path / "f.conf", {})
    assert Prefilter([spec]).candidates(b"anything\n") == [(b"anything", ((0, (0,)),))]


@pytest.mark.parametrize(
    ("usedns", "host"), [("no", None), ("yes", "a.example.com"), ("raw", "a.example.com")]
)
def test_a_name_is_a_host_only_where_names_are_used(tmp_path: Path, usedns: str, host: str | None) -> None:
    definition = f"usedns = {usedns}\nfailregex = from <HOST>$"
    assert outcome(tmp_path, definition, "from a.example.com").host == host


def test_a_line_without_a_date_takes_that_of_a_recent_previous_line(tmp_path: Path) -> None:
    one = matcher(tmp_path, "failregex = from <HOST>$")
    assert one.match("from 198.51.100.7", NOW).at is None
    at = one.match("2026-11-25T00:00:00Z from 198.51.100.7", NOW).at
    assert at == NOW
    assert one.match("from 198.51.100.7", NOW + 30).at == at
    assert one.match("from 198.51.100.7", NOW + 90).at is None
