"""The literals that any match must contain."""

import re
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.detect.literals import Literal, required
from sidecar.detect.matcher import Matcher
from sidecar.detect.prefilter import Prefilter
from sidecar.fail2ban import filters
from sidecar.fail2ban.files import ConfigFiles

OWN = {"failregex": "foo bar <HOST>", "datepattern": r"\[%%Y-%%m-%%d %%H:%%M:%%S\]"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^ \S+ postfix/smtpd\[\d+\]: warning: x", {(" postfix/smtpd[", False)}),
        (r"(?:alpha|beta) \d", {("alpha", False), ("beta", False)}),
        (r"abc(?:def)?gh", {("abc", False)}),
        (r"(?:abcd)+e", {("abcd", False)}),
        (r"(?i)Authen \d", {("authen ", True)}),
        (r"long literal(?i:ERROR)", {("long literal", False)}),
        (r"a\]: warning", {(" warning", False)}),
    ],
)
def test_the_longest_literal_that_no_date_can_break_is_found(
    pattern: str, expected: set[tuple[str, bool]]
) -> None:
    found = required(re.compile(pattern))
    assert found is not None
    assert {(x.text.lower() if x.caseless else x.text, x.caseless) for x in found} == expected


@pytest.mark.parametrize("pattern", [r"\d+", r"(?:abc|\d)", r".*", r"(?:abc)?", r"(?!abc)"])
def test_a_regex_without_a_literal_says_so(pattern: str) -> None:
    assert required(re.compile(pattern)) is None


_TEXT = st.text("aZ ]:-<xé", min_size=1, max_size=4)


def _regexes() -> st.SearchStrategy[str]:
    atom = st.one_of(
        _TEXT.map(re.escape),
        st.sampled_from([r"\d+", r"\S+", ".", "[ab]", r"(?i:aZ)", r"^", r"\b", r"(?=a)"]),
    )
    return st.recursive(
        atom,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda p: f"(?:{p[0]}|{p[1]})"),
            st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "*?"])).map(
                lambda p: f"(?:{p[0]}){p[1]}"
            ),
        ),
        max_leaves=8,
    )


@settings(max_examples=400)
@given(
    _regexes(),
    st.lists(_TEXT, max_size=6).map("".join),
    st.sampled_from(["", "Feb  5 10:00:06", "2026-02-05T10:00:06+00:00"]),
    st.integers(0, 8),
)
def test_a_line_that_a_filter_matches_is_always_a_candidate(
    pattern: str, text: str, date: str, place: int
) -> None:
    line = text[:place] + date + text[place:]
    spec, faults = filters.inline(f"(?:{pattern})(?P<fid>)")
    if any(not fault.warning for fault in faults) or "\n" in line:
        return
    if Matcher(spec, UTC).match(line, 1772366400.0).regex >= 0:
        assert Prefilter([spec]).candidates(line.encode() + b"\n") == [line.encode()] or not line


def test_candidates_are_whole_lines_in_order_each_once() -> None:
    spec, _ = filters.inline("needle <HOST>")
    data = b"x\nneedle needle 1\n\0\xff needle \n\nend needle 2\n"
    assert Prefilter([spec]).candidates(data) == [b"needle needle 1", b"\0\xff needle ", b"end needle 2"]


def test_literals_without_case_are_found_in_any_case() -> None:
    spec, _ = filters.inline("(?i)nAdle <HOST>")
    assert Prefilter([spec]).candidates(b"NADLE 1\nother\nnadle 2\n") == [b"NADLE 1", b"nadle 2"]
    assert required(spec.failregex[0].regex) == frozenset({Literal("nAdle ", True)})


def test_a_literal_wanted_with_and_without_case_is_found_in_any() -> None:
    specs = [filters.inline(text)[0] for text in ("(?i)not allowed to <HOST>", "not allowed to <HOST>")]
    for order in (specs, specs[::-1]):
        assert Prefilter(order).candidates(b"Not Allowed To x\n") == [b"Not Allowed To x"]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("login failed (?P<fid>)", "login 5/01/2026 10:00:00 failed "),
        ("foo bar(?P<fid>)", "foo@4000000037c219bf2ef02e94 bar"),
        ("foobar(?P<fid>)", "foo2026-01-05 10:00:00bar"),
        ("foo bar(?P<fid>)", "foo+0100 Mon Jan  5 10:00:00 bar"),
        ("foo bar(?P<fid>)", "foo 5/Jan/2026 10:00:00 bar"),
    ],
)
def test_a_date_never_stands_inside_a_literal(pattern: str, line: str) -> None:
    spec, _ = filters.inline(pattern)
    if Matcher(spec, UTC).match(line, 1772366400.0).regex >= 0:
        assert Prefilter([spec]).candidates(line.encode() + b"\n")


def test_with_a_date_pattern_of_one_s_own_every_line_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    path.write_text("[Definition]\n" + "".join(f"{key} = {value}\n" for key, value in OWN.items()))
    spec, faults = filters.from_file(ConfigFiles([]), path, {})
    assert faults == []
    line = "foo [2026-01-05 10:00:00]bar 203.0.113.7"
    assert Matcher(spec, UTC).match(line, 1772366400.0).host == "203.0.113.7"
    assert Prefilter([spec]).candidates(line.encode() + b"\n") == [line.encode()]


@pytest.mark.parametrize(
    ("pattern", "encoding"),
    [
        ("\\x00 <HOST>", "utf-8"),
        ("costs \u20ac <HOST>", "latin-1"),
        ("x" * 20000 + "<HOST>", "utf-8"),
        ("\ufffd <HOST>", "utf-8"),
    ],
)
def test_no_literal_breaks_the_prefilter_and_no_line_is_missed(pattern: str, encoding: str) -> None:
    spec, _ = filters.inline(pattern)
    line = {"\\": b"\0 ", "c": b"costs  ", "x": b"x" * 20000, "\ufffd": b"\xff "}[pattern[0]] + b"203.0.113.7"
    candidates = Prefilter([spec], encoding).candidates(line + b"\n")
    assert candidates == [line] or pattern.startswith("costs")
