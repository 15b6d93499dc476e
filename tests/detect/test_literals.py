"""The literals that any match must contain, and the prefilter that searches them."""

import re
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.detect.match.matcher import Matcher
from sidecar.detect.prefilter.literals import Literal, required
from sidecar.detect.prefilter.multipattern import ODD_DATE, Hyperscan, OneByOne, Text
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.fail2ban import filters
from sidecar.fail2ban.syntax.files import ConfigFiles

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
def test_a_regex_without_a_literal_has_no_requirement(pattern: str) -> None:
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


def lines(prefilter: Prefilter, data: bytes) -> list[bytes]:
    """The candidate lines, without their regexes."""
    return [line for line, _ in prefilter.candidates(data)]


@pytest.fixture(params=[Hyperscan, OneByOne])
def _engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the test twice: with Hyperscan and without."""
    monkeypatch.setattr("sidecar.detect.prefilter.prefilter.engine", request.param)


_DATES = st.sampled_from(
    ["", "Feb  5 10:00:06", "2026-02-05T10:00:06+00:00", " 5/Feb/2026 10:00:06", " 5-2-26 10:00:06"]
)


@pytest.mark.usefixtures("_engines")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(_regexes(), min_size=1, max_size=3),
    st.lists(st.tuples(st.lists(_TEXT, max_size=6).map("".join), _DATES, st.integers(0, 8)), max_size=4),
)
def test_every_match_of_a_filter_is_a_candidate_for_the_same_regex(
    patterns: list[str], parts: list[tuple[str, str, int]]
) -> None:
    told = [filters.inline(f"(?:{pattern})(?P<fid>)") for pattern in patterns]
    specs = [spec for spec, faults in told if all(fault.warning for fault in faults)]
    texts = [text[:place] + date + text[place:] for text, date, place in parts]
    found = Prefilter(specs).candidates("".join(f"{text}\n" for text in texts).encode())
    for text in filter(None, texts):
        wanted = {n for line, each in found if line == text.encode() for n, _ in each}
        for number, spec in enumerate(specs):
            if Matcher(spec, UTC).match(text, 1772366400.0).regex >= 0:
                assert number in wanted, (text, spec.failregex[0].text)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.booleans()), min_size=1, max_size=5),
    st.lists(st.binary(max_size=6) | st.just(b"\n") | st.just(b"x 5/JAN/2026 "), max_size=20).map(b"".join),
)
def test_both_engines_find_the_same_literals_in_the_same_lines(
    parts: list[tuple[bytes, bool]], data: bytes
) -> None:
    texts = [Text(text.replace(b"\n", b"."), caseless) for text, caseless in dict(parts).items()]
    found = [
        {(data.count(b"\n", 0, end), number) for end, number in engine(texts).hits(data)}
        for engine in (Hyperscan, OneByOne)
    ]
    assert found[0] == found[1]


def test_only_the_regexes_whose_literal_occurs_are_tried() -> None:
    specs = [filters.inline(text)[0] for text in ("alpha <HOST>", "beta <HOST>", r"<F-ID>\d+</F-ID>")]
    found = Prefilter([*specs, specs[0]]).candidates(b"none\nalpha 1\nbeta alpha\n")
    assert found == [
        (b"none", ((2, (0,)),)),
        (b"alpha 1", ((0, (0,)), (2, (0,)), (3, (0,)))),
        (b"beta alpha", ((1, (0,)), (2, (0,)))),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "iso2022_jp", "cp037"])
def test_in_an_encoding_without_fixed_letters_every_line_is_a_candidate(encoding: str) -> None:
    spec, _ = filters.inline("needle <HOST>")
    assert lines(Prefilter([spec], [encoding]), b"anything\n") == [b"anything"]


def test_each_filter_looks_for_its_literals_in_the_encoding_of_its_jail() -> None:
    spec, _ = filters.inline("gefällt <HOST>")
    found = Prefilter([spec, spec], ["utf-8", "latin-1"]).candidates("gefällt 1\n".encode("latin-1"))
    assert [wanted for _, wanted in found] == [((1, (0,)),)]


def test_an_odd_date_is_found_by_the_date_patterns_directly_after_a_word() -> None:
    assert re.search(ODD_DATE, b"foo 5/Jan/2026 10:00:00 bar", re.IGNORECASE)
    assert re.search(ODD_DATE, b"foo 5-12-26 10:00:00 bar", re.IGNORECASE)


@pytest.mark.usefixtures("_engines")
def test_candidates_are_whole_lines_in_order_each_once() -> None:
    spec, _ = filters.inline("needle <HOST>")
    data = b"x\nneedle needle 1\n\0\xff needle \n\nend needle 2\n"
    assert lines(Prefilter([spec]), data) == [b"needle needle 1", b"\0\xff needle ", b"end needle 2"]


@pytest.mark.usefixtures("_engines")
def test_literals_without_case_are_found_in_any_case() -> None:
    spec, _ = filters.inline("(?i)nAdle <HOST>")
    assert lines(Prefilter([spec]), b"NADLE 1\nother\nnadle 2\n") == [b"NADLE 1", b"nadle 2"]
    assert required(spec.failregex[0].regex) == frozenset({Literal("nAdle ", True)})


@pytest.mark.usefixtures("_engines")
def test_a_literal_needed_with_and_without_case_is_found_in_any_case() -> None:
    specs = [filters.inline(text)[0] for text in ("(?i)not allowed to <HOST>", "not allowed to <HOST>")]
    for order in (specs, specs[::-1]):
        assert lines(Prefilter(order), b"Not Allowed To x\n") == [b"Not Allowed To x"]


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
    matched = Matcher(spec, UTC).match(line, 1772366400.0).regex >= 0
    assert not matched or lines(Prefilter([spec]), line.encode() + b"\n")


def test_with_a_custom_date_pattern_every_line_is_a_candidate(tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    path.write_text("[Definition]\n" + "".join(f"{key} = {value}\n" for key, value in OWN.items()))
    spec, faults = filters.from_file(ConfigFiles([]), path, {})
    assert faults == []
    line = "foo [2026-01-05 10:00:00]bar 203.0.113.7"
    assert Matcher(spec, UTC).match(line, 1772366400.0).host == "203.0.113.7"
    assert lines(Prefilter([spec]), line.encode() + b"\n") == [line.encode()]


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
    candidates = lines(Prefilter([spec], [encoding]), line + b"\n")
    assert candidates == [line] or pattern.startswith("costs")
