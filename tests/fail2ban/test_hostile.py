"""Whatever stands in a configuration file, a value or a line of a log: a fault or an answer, and soon."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.configuration import loading
from sidecar.detect.match.matcher import Matcher
from sidecar.detect.match.session import Sessions
from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.syntax.arithmetic import evaluate
from sidecar.fail2ban.syntax.durations import seconds
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.network import Network
from sidecar.offline.check import host

CONFIG = Path(__file__).parents[2] / "config"
FILES = {
    path.relative_to(CONFIG).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.conf", "*.d/*.conf")
    for path in sorted(CONFIG.glob(pattern))
}
FILTER = "[Definition]\nfailregex = ^ host \\S+: bad from <HOST>$\n"
JAIL = "[a]\nenabled = true\nlogpath = /x\n"
# Pieces that mean something to a reader, so that chance finds its way past the first line.
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
BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def load(**files: bytes | str) -> jails.Configuration:
    """Read a directory of these files (`filter` is filter.d/a.conf), and what `check` says of it."""
    names = {"jail": "jail.local", "filter": "filter.d/a.conf"}
    with tempfile.TemporaryDirectory() as root:
        for name, content in files.items():
            path = Path(root, names.get(name, name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="replace"))
        loaded = loading.load([root])
        faults = [*loaded.jails.faults, *host.surroundings(loaded)]
        for fault in faults:
            text = fault.message
            assert text.strip() and "\n" not in text and len(text) < 2000, fault
            assert fault.line >= 1 and fault.file, fault
        for jail in loaded.jails.jails.values():
            assert jail.filter.failregex and all(p.regex.pattern for p in jail.filter.failregex)
            assert jail.name not in loaded.jails.stopped
        return loaded.jails


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """Far less than what any of these would take without a bound, far more than it takes with one."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < 20.0


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
    with soon():
        load(jail=content, filter=FILTER)


@BOUNDED
@given(TEXT)
@example("maxretry = 5 %\n [")
def test_no_options_of_a_jail_break_the_reader(text: str) -> None:
    with soon():
        load(jail=JAIL + text, filter=FILTER)


@BOUNDED
@given(st.binary(max_size=200) | TEXT)
@example("[Definition]\nfailregex = [[a] <HOST>\n")
@example("[Definition]\nfailregex = <HOST>\nzmban.grammar = %(x)s\n")
@example("[Definition]\nfailregex = <F-USER>x</F-USER <HOST>\n")
@example("[INCLUDES]\nbefore = a.conf\n  ../filter.d/a.conf\n[Definition]\nfailregex = <HOST>\n")
def test_no_bytes_of_a_filter_break_the_reader(content: bytes | str) -> None:
    with soon():
        load(jail=JAIL, filter=content)


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
    with soon():
        load(**{**FILES, changed[0]: changed[1]})


def bomb(reference: str, width: int, last: str) -> str:
    levels = [f"a{n} = {reference.format(f'a{n + 1}') * width}\n" for n in range(1, 9)]
    return "".join(levels) + f"a9 = {last}\n"


@pytest.mark.parametrize("last", ["", "x" * 100])
@pytest.mark.parametrize("width", [2, 10, 500])
def test_options_that_name_each_other_many_times_end_soon(width: int, last: str) -> None:
    references, tags = bomb("%({})s", width, last), bomb("<{}>", width, last)
    with soon():
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
    with soon():
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
def test_a_file_costs_no_more_than_its_length(text: str) -> None:
    with soon():
        load(jail=text, filter=FILTER)


CALCULATED = st.lists(
    st.sampled_from(
        "9 1 0 . 1e308 ** * // / % + - << >> ( ) , < == if else not ban.Time ban.Count banFactor math.pow( math.exp( "
        "round( int( min( math.log( 10**9 -999999999 1<<10**9 __import__ lambda x: [ ] { } 'a' \0 \ud800".split(
            " "
        )
    ),
    max_size=14,
).map("".join)


def grown(formula: str) -> float:
    return Increment(formula=formula).seconds(600.0, 7, 0.5)


@settings(max_examples=400, deadline=None)
@given(CALCULATED)
@example("9**9**9")
@example("1<<10**9")
@example("round(5,-999999999)")
@example("(" * 200 + "1" + ")" * 200)
@example("-" * 399 + "1")
@example("__import__('os')")
@example("(-8)**0.5")
@example("1<<1000<<1000<<1000")
@example("*".join(["(1<<1024)"] * 40))
def test_a_calculation_gives_a_number_or_a_refusal_at_once(text: str) -> None:
    for calculate in (partial(evaluate, functions=True), seconds, grown):
        with soon(), contextlib.suppress(ValueError):
            assert isinstance(calculate(text), float)


SHIPPED = [filters.load(ConfigFiles([CONFIG]), p.stem, {}, None)[0] for p in CONFIG.glob("filter.d/*.conf")]
LINES = [
    "Jan  5 10:00:01 mail postfix/smtps/smtpd[1]: warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: x",
    "2026-01-05 10:00:01,041 INFO  [qtp1] [oip=203.0.113.7;] account - authentication failed for [bob]. ",
    "2026/01/05 10:00:03 [info] 1#1: *5 client sent invalid method while reading client request line, "
    "client: 203.0.113.7, server: x",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=60) | st.sampled_from(LINES) | TEXT, max_size=6))
def test_no_line_breaks_a_matcher(pieces: list[str]) -> None:
    line = "".join(pieces).replace("\n", " ")
    for spec in SHIPPED:
        with soon():
            outcome = Matcher(spec, UTC).match(line, 1767700000.0)
        if outcome.host is not None and not spec.names:
            with contextlib.suppress(ValueError):
                assert Network.parse(outcome.host)


def test_sessions_and_lines_that_belong_together_are_forgotten_in_time() -> None:
    sessions = Sessions()
    for n in range(20_000):
        sessions.add({"mlfid": str(n), "nofail": "x", "user": str(n)}, "x" * 100, float(n))
        sessions.add({"mlfid": "one", "nofail": "x", "user": str(n)}, "x" * 100, 20_000.0 + n / 1e6)
    held = sessions._open
    assert len(held) <= 100
    assert max(len(s.gathered) + len(s.stored) + len(s.users) for s in held.values()) <= 400
