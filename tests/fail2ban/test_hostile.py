"""Arbitrary configuration files, values and log lines give a result or a fault, within bounded time."""

import contextlib
import math
import re
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.detect.match.matcher import Matcher, Outcome
from sidecar.detect.match.session import Sessions
from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax.arithmetic import evaluate
from sidecar.fail2ban.syntax.durations import seconds
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import LONGEST
from sidecar.network import Network
from tests.fail2ban.outcome import is_cut_from, load
from tests.steps import steps

CONFIG = Path(__file__).parents[2] / "config"
FILES = {
    path.relative_to(CONFIG).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.conf", "*.d/*.conf")
    for path in sorted(CONFIG.glob(pattern))
}
FILTER = "[Definition]\nfailregex = ^ host \\S+: bad from <HOST>$\n"
JAIL = "[a]\nenabled = true\nlogpath = /x\n"
# Pieces that are meaningful to the parser, so that random input gets beyond the first line.
PIECES = st.sampled_from(
    [
        "[", "]", "=", ":", ";", "#", "%", "%(", ")s", "<", ">", "<HOST>", "%(known/failregex)s", "<known/x>",
        "[Definition]", "[Init?x=y]", "[INCLUDES]", "before = ", "after = .", "\n", "\n ", "\n\t", "\r", "\0", "\x1b",
        "(", ")", "(?P<host>", "(?u)(?a)", "{9999999999}", "[[a]", "\\", "|", "*", "+", "^", "$", "\ufeff", "\u2013",
        "\u2028", "&lt;", "failregex = ", "prefregex = ", "datepattern = ", "maxlines = ", "9" * 5000, "<F-MLFID>",
        "ignoreip = file:/dev/zero", "filter = ", "/", "..", "bantime.increment = 1\n", "bantime.formula = ",
    ]
)  # fmt: skip
TEXT = st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join)
# Numbers of steps, each some times what is measured.
MATCHING, CALCULATING, INCLUDING = 3000, 3000, 3_000_000
BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@BOUNDED
@given(st.binary(max_size=200) | TEXT)
@example(b"\xff\xfe[")
@example("[a]\nenabled = 1\nlogpath = /x\nfailregex = (?u)(?a)<HOST>")
@example("[a]\nenabled = 1\nlogpath = /x\nfailregex = <HOST>\ndatepattern = [[a]")
@example("[a]\nenabled = 1\nlogpath = /x\nfailregex = <HOST>\nmaxlines = " + "9" * 5000)
@example("[a]\nenabled = 1\nlogpath = /x\nfilter = \0")
@example("[a]\nenabled = 1\nlogpath = /x\nfilter = " + "x" * 5000)
@example("[a]\nenabled = 1\nlogpath = /x\nfilter = /[a=b]\n")
@example("[a]\nenabled = 1\nlogpath = /x\0\nfilter = a\naction = ..\n")
@example("[INCLUDES]\nbefore = \0\n  /dev\n  .\n")
def test_no_bytes_of_a_jail_file_break_the_reader(content: bytes | str) -> None:
    load(jail=content, filter=FILTER)


@BOUNDED
@given(TEXT)
@example("maxretry = 5 %\n [")
def test_no_options_of_a_jail_break_the_reader(text: str) -> None:
    assert "b" in load(jail=JAIL + text, filter=FILTER).jails


@BOUNDED
@given(st.binary(max_size=200) | TEXT)
@example("[Definition]\nfailregex = [[a] <HOST>\n")
@example("[Definition]\nfailregex = <HOST>\nzmban.grammar = x\n")
@example("[Definition]\nfailregex = <HOST>\nmaxlines = \x1b[31m\n")
@example("[Definition]\nfailregex = <HOST>\nzmban.grammar = %(x)s\n")
@example("[Definition]\nfailregex = <F-USER>x</F-USER <HOST>\n")
@example("[INCLUDES]\nbefore = a.conf\n  ../filter.d/a.conf\n[Definition]\nfailregex = <HOST>\n")
def test_no_bytes_of_a_filter_break_the_reader(content: bytes | str) -> None:
    assert "b" in load(jail=JAIL, filter=content).jails


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """One of the shipped files with some lines and characters lost, doubled or put in."""
    name = draw(st.sampled_from(sorted(FILES)))
    lines = FILES[name].split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                lines[at : at + draw(st.integers(1, 5))] = [""]
            case 1:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 2:
                lines.insert(at, draw(TEXT))
            case _:
                line, place = lines[at], draw(st.integers(0, len(lines[at])))
                gone = draw(st.integers(0, 3))
                lines[at] = line[:place] + draw(PIECES | st.just("")) + line[place + gone :]
    return name, "\n".join(lines)


@BOUNDED
@given(mutated())
def test_no_mutation_of_a_shipped_file_breaks_the_reader(changed: tuple[str, str]) -> None:
    load(**{**FILES, changed[0]: changed[1]})


def bomb(reference: str, width: int, last: str) -> str:
    levels = [f"a{n} = {reference.format(f'a{n + 1}') * width}\n" for n in range(1, 9)]
    return "".join(levels) + f"a9 = {last}\n"


@pytest.mark.parametrize("last", ["", "x" * 100])
@pytest.mark.parametrize("width", [2, 10, 500])
def test_options_that_name_each_other_many_times_end_soon(width: int, last: str) -> None:
    references, tags = bomb("%({})s", width, last), bomb("<{}>", width, last)
    load(jail=f"{JAIL}bantime = %(a1)s\nmaxretry = %(a1)s\n{references}", filter=FILTER)
    load(jail=JAIL, filter=f"[Definition]\nfailregex = ^ %(a1)s <HOST>\n{references}")
    load(jail=JAIL, filter=f"[Definition]\nfailregex = ^ <a1> <HOST>\n{tags}")
    known = "failregex = " + "%(known/failregex)s" * 5000
    load(jail=f"{JAIL}{known}\n", filter=f"[Definition]\nfailregex = ^ <a1> <HOST>\n{tags}")


def test_files_that_include_each_other_without_end_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "filter.d"
    folder.mkdir()
    (tmp_path / "jail.local").write_text(JAIL + JAIL.replace("[a]", "[b]") + JAIL.replace("[a]", "[c]"))
    for n in range(10_000):
        text = f"[INCLUDES]\nbefore = n{n + 1}.conf\n[Definition]\nx{n} = 1\n"
        (folder / f"n{n}.conf").write_text(text)
    (folder / "a.conf").write_text(f"[INCLUDES]\nbefore = n0.conf\n{FILTER}")
    (folder / "b.conf").write_text("[INCLUDES]\nbefore = " + "n9999.conf\n  " * 10_000 + f"\n{FILTER}")
    names = [f"m{n}.conf" for n in range(12)]
    for name in names:
        (folder / name).write_text("[INCLUDES]\nbefore = " + "\n  ".join(names) + "\n")
    (folder / "c.conf").write_text(f"[INCLUDES]\nbefore = m0.conf\n{FILTER}")
    with steps(INCLUDING):
        found = jails.load(ConfigFiles([tmp_path]))
    assert found.stopped == {"a", "b", "c"}
    assert all("includes more than" in f.message for f in found.faults if not f.warning)


@pytest.mark.parametrize(
    "text",
    [
        "[a]\nx = 1\n" + " y\n" * 200_000,
        "[a]\n" + "x" + " " * 500_000 + "x\n",
        "[a]\n" + "\n".join(f"x{n} = {n}" for n in range(50_000)),
        "[a]\nenabled = 1\nlogpath = /x\nfilter = a[" + "a=b," * 50_000,
        "[a]\nenabled = 1\nlogpath = /x\nignoreip = " + "a." * 100_000,
        "[a]\nenabled = 1\nlogpath = /x\nbantime = " + "1d" * 100_000,
        "[a]\nenabled = 1\nlogpath = /x\nfailregex = <HOST>" + "<" * 100_000,
        "[a]\nenabled = 1\nlogpath = /x\nfailregex = " + "<HOST" * 20_000,
        "[" * 500_000,
        "[a]\n" + "[a" * 200_000,
    ],
)
def test_the_time_to_read_a_file_is_bounded_by_its_length(text: str) -> None:
    assert "b" in load(jail=text, filter=FILTER).jails


CALCULATED = st.lists(
    st.sampled_from(
        "9 1 0 . 1e308 ** * // / % + - << >> ( ) , < == if else not ban.Time ban.Count banFactor math.pow( math.exp( "
        "round( int( min( math.log( 10**9 -999999999 1<<10**9 __import__ lambda x: [ ] { } 'a' \0 \ud800".split(
            " "
        )
    ),
    max_size=14,
).map("".join)


# Well-formed calculations, which random pieces seldom are.
NUMBERS = st.sampled_from(
    ["0", "1", "2.5", "7", "600", "1e308", "10", "ban.Time", "ban.Count", "banFactor", "math.pi"]
)
FORMULAS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "<", ">=", "=="]), inner
        ).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        st.tuples(st.sampled_from(["-", "+", "not "]), inner).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"),
        st.tuples(st.sampled_from(["min", "max", "abs", "int", "math.sqrt", "math.log", "open"]), inner).map(
            lambda parts: (
                f"{parts[0]}({parts[1]}, 3)" if parts[0] in ("min", "max") else f"{parts[0]}({parts[1]})"
            )
        ),
    ),
    max_leaves=6,
)


# What Python knows where it calculates the same.
KNOWN = {
    "__builtins__": {
        "int": int,
        "min": min,
        "max": max,
        "abs": abs,
        "round": lambda number, digits=0: round(float(number), digits),
    },
    "math": math,
    "ban": SimpleNamespace(Time=600.0, Count=7),
    "banFactor": 1.0,
}


def by_python(text: str) -> float:
    return float(eval(text.strip(), KNOWN))


@settings(max_examples=400, deadline=None)
@given(CALCULATED | FORMULAS)
@example("9**9**9")
@example("1<<10**9")
@example("round(5,-999999999)")
@example("(" * 200 + "1" + ")" * 200)
@example("-" * 399 + "1")
@example("__import__('os')")
@example("(-8)**0.5")
@example("1<<1000<<1000<<1000")
@example("*".join(["(1<<1024)"] * 40))
def test_any_calculation_is_that_of_python_or_refused_at_once(text: str) -> None:
    names = {"ban.Time": 600.0, "ban.Count": 7.0, "banFactor": 1.0}
    calculated = None
    with steps(CALCULATING), contextlib.suppress(ValueError):
        calculated = evaluate(text, names, functions=True)
    # Powers are calculated as floats, shifts as integers, and rounding is bounded.
    if calculated is not None and not re.search(r"\*\*|<<|>>|round|pow", text):
        assert calculated == by_python(text)
    assert calculated is None or math.isfinite(calculated)
    grown = Increment(formula=text).seconds(600.0, 7, 0.5)
    # A formula that fails doubles the time with each ban; none shortens it.
    assert grown == (600.0 * 2**7 if calculated is None else min(max(600.0, round(calculated)), LONGEST))


@settings(max_examples=200, deadline=None)
@given(CALCULATED | FORMULAS | st.text(alphabet="0123456789.+-*/() _ydhmsowe", max_size=20))
@example("2**3")
@example("7//2")
def test_any_time_value_of_a_file_is_finite_or_refused_in_one_line(text: str) -> None:
    found = refusal = None
    with steps(CALCULATING):
        try:
            found = seconds(text)
        except ValueError as error:
            refusal = str(error)
    if found is None:
        assert refusal and refusal.isprintable() >= text.isprintable() and len(refusal) < 500
        return
    assert math.isfinite(found)
    # Only numbers with units, without names, functions and powers.
    assert set(text) <= set("0123456789.+-*/() _\t\n") or re.search(r"\d *[a-zA-Z]", text)
    assert "**" not in text and "//" not in text


SHIPPED = [filters.load(ConfigFiles([CONFIG]), p.stem, {}, None)[0] for p in CONFIG.glob("filter.d/*.conf")]
LINES = [
    "Jan  5 10:00:01 mail postfix/smtps/smtpd[1]: warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: x",
    "2026-01-05 10:00:01,041 INFO  [qtp1:https://m/x] [oip=203.0.113.7;] SoapEngine - handler exception: "
    "authentication failed for [bob], invalid password",
    "2026/01/05 10:00:03 [info] 1#1: *5 client sent invalid method while reading client request line, "
    "client: 203.0.113.7, server: x",
]


def assert_outcome(outcome: Outcome, line: str, spec: FilterSpec) -> None:
    """A match is one of this line: its host, its time and its text stand there."""
    assert -1 <= outcome.regex < len(spec.failregex), outcome
    assert -1 <= outcome.ignored < len(spec.ignoreregex), outcome
    assert outcome.at is None or math.isfinite(outcome.at), outcome
    assert is_cut_from(outcome.text, line), outcome
    assert outcome.matched <= (outcome.regex >= 0 and outcome.ignored < 0), outcome
    if not outcome.matched:
        assert (outcome.host, outcome.lines) == (None, ()), outcome
        return
    assert outcome.lines == (line,), outcome
    assert outcome.host is None or outcome.host.partition("/")[0] in outcome.text, outcome
    # Without usedns, what is blamed is an address, unless the regex says that it is something else.
    if (
        outcome.host is not None
        and not spec.names
        and "fid" not in spec.failregex[outcome.regex].regex.groupindex
    ):
        assert Network.parse(outcome.host), outcome


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from(LINES) | TEXT, max_size=6))
def test_a_matcher_finds_in_any_line_only_what_is_in_it(pieces: list[str]) -> None:
    line = "".join(pieces).replace("\n", " ")
    for spec in SHIPPED:
        with steps(MATCHING):
            outcome = Matcher(spec, UTC).match(line, 1767700000.0)
        assert_outcome(outcome, line, spec)


def test_each_of_these_lines_is_found_by_some_filter() -> None:
    for line in LINES:
        assert any(Matcher(spec, UTC).match(line, 1767700000.0).matched for spec in SHIPPED), line


def test_the_number_of_sessions_and_of_their_lines_is_bounded() -> None:
    sessions = Sessions()
    for n in range(20_000):
        sessions.add({"mlfid": str(n), "nofail": "x", "user": str(n)}, "x" * 100, float(n))
        sessions.add({"mlfid": "one", "nofail": "x", "user": str(n)}, "x" * 100, 20_000.0 + n / 1e6)
    held = sessions._open
    assert len(held) <= 100
    assert max(len(s.gathered) + len(s.stored) + len(s.users) for s in held.values()) <= 400
