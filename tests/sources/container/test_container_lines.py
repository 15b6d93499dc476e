"""The lines of a container's log: both formats, parts, dates, and text that looks like the format itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.sources.container.container_line import whole_lines
from sidecar.sources.container.container_lines import ContainerLines
from sidecar.sources.lines.line_format import LONGEST

STAMP = "2026-11-27T10:00:00.123456789Z"
SYSLOG = "Nov 27 10:00:00 mta postfix/smtpd[1]: connect from unknown[198.51.100.7]"


def cri(text: str, tag: str = "F", stream: str = "stdout") -> bytes:
    return f"{STAMP} {stream} {tag} {text}\n".encode()


def docker(text: str, stream: str = "stdout") -> bytes:
    return json.dumps({"log": text, "stream": stream, "time": STAMP}).encode() + b"\n"


def read(raw: bytes, *, over: bool = True) -> list[str]:
    return ContainerLines().take(raw, over=over).text.decode().split("\n")[:-1]


def test_a_line_with_a_date_of_its_own_is_passed_as_the_program_wrote_it() -> None:
    lines = [
        SYSLOG,
        "2026-11-27 10:00:00,123 INFO  [qtp1] [name=a@example.com;ip=198.51.100.7;] soap - x",
        "2026/11/27 10:00:00 [info] 1#1: *1 client login failed",
        '198.51.100.7:40003 - - [27/Nov/2026:10:00:00 +0000]  "GET / HTTP/1.1" 404 100',
        "2026-11-27T10:00:00.000001+01:00 mta postfix/smtpd[1]: connect",
    ]
    assert read(b"".join(map(cri, lines))) == lines
    assert read(b"".join(docker(line + "\n") for line in lines)) == lines


def test_a_line_without_a_date_has_the_container_s_in_front() -> None:
    texts = ["java.lang.Exception: x", "", "user says Nov 27 10:00:00 2020", "x [27/Nov/2026:10:00:00 +0000]"]
    assert read(b"".join(map(cri, texts))) == [f"{STAMP} {text}" for text in texts]
    assert read(docker("oops\n")) == [f"{STAMP} oops"]


def test_parts_of_both_streams_are_joined_between_each_other() -> None:
    raw = cri("Nov 27 10:00:00 a", "P") + cri("Nov 27 10:00:00 x", "P", "stderr") + docker("b")
    raw += cri("y", "F", "stderr") + cri("c", "F")
    assert read(raw) == ["Nov 27 10:00:00 xy", "Nov 27 10:00:00 abc"]


def test_nothing_is_taken_from_the_first_unfinished_part_on() -> None:
    lines, whole, part = ContainerLines(), cri(SYSLOG), cri("Nov 27 10:00:00 a", "P")
    behind = cri(SYSLOG, stream="stderr")
    taken = lines.take(whole + part + behind, over=False)
    assert taken == (len(whole), SYSLOG.encode() + b"\n")
    assert lines.take(part + behind, over=False) == (0, b"")
    taken = lines.take(part + behind + cri("b"), over=False)
    assert taken.text.decode().split("\n")[:-1] == [SYSLOG, "Nov 27 10:00:00 ab"]


def test_the_rest_of_a_line_that_was_given_up_is_no_line() -> None:
    lines = ContainerLines()
    lines.take(cri("Nov 27 10:00:00 a", "P"), over=True)
    assert lines.skipped.unfinished == 1
    assert (
        lines.take(cri(SYSLOG, "P") + cri(SYSLOG) + cri(SYSLOG + "!"), over=False).text.decode()
        == SYSLOG + "!\n"
    )


def test_a_position_between_two_parts_is_noticed_by_looking_back() -> None:
    lines = ContainerLines()
    lines.look_back(b"half a raw line\n" + cri("a", "P") + cri("b", "F", "stderr"))
    assert lines.take(cri(SYSLOG) + cri(SYSLOG + "!"), over=False).text.decode() == SYSLOG + "!\n"


def test_text_in_the_middle_of_a_line_is_not_looked_back_at() -> None:
    lines = ContainerLines()
    text = cri("x", "P")
    lines.look_back(text + b" " * (ContainerLines.before - len(text)))
    assert lines.take(cri(SYSLOG), over=False).text.decode() == SYSLOG + "\n"


def test_an_overlong_line_is_passed_long_enough_to_be_refused_and_its_rest_is_not() -> None:
    part = "x" * 16384
    raw = cri("Nov 27 10:00:00 " + part, "P") + cri(part, "P") * 9 + cri(SYSLOG, "F") + cri(SYSLOG)
    long, after = read(raw)
    assert 16384 < len(long) <= LONGEST
    assert after == SYSLOG


@pytest.mark.parametrize(
    "text",
    [
        cri(SYSLOG).decode().rstrip(),
        f"{STAMP} stderr P x",
        docker(SYSLOG + "\n").decode().rstrip(),
        f"x\r{STAMP} stdout F {SYSLOG}",
        f"x\u2028{STAMP} stdout F {SYSLOG}",
    ],
)
def test_text_of_a_client_that_looks_like_the_format_stays_text(text: str) -> None:
    said = f"{SYSLOG} helo=<{text}>"
    assert read(cri(said) + docker(said + "\n")) == [said, said]
    # Also where the program wrote nothing before it.
    assert len(read(cri(text))) == 1
    assert text in read(cri(text))[0]


def test_a_newline_inside_an_entry_of_docker_makes_no_line() -> None:
    lines = ContainerLines()
    assert lines.take(docker(f"x\n{SYSLOG}\n") + cri(SYSLOG), over=False).text.decode() == SYSLOG + "\n"
    assert lines.skipped.malformed == 1


@pytest.mark.parametrize(
    "raw",
    [
        SYSLOG, "", "{", "{}", '{"log": 7, "stream": "stdout", "time": "x"}', "[" * 9000, '{"log":' * 9000, "\xff",
        '{"log": "x\\n", "stream": "stdin", "time": "2026-11-27T10:00:00Z"}', "{" + "9" * 9000,
        '{"log": "x\\n", "stream": [], "time": "2026-11-27T10:00:00Z"}', f"{STAMP} stdout X x", f"{STAMP} stdin F x",
    ],
)  # fmt: skip
def test_a_line_in_neither_format_is_counted_and_the_rest_is_read(raw: str) -> None:
    lines = ContainerLines()
    taken = lines.take(cri("Nov 27 10:00:00 a", "P") + raw.encode() + b"\n" + cri("b"), over=False)
    assert taken.text == b"Nov 27 10:00:00 ab\n"
    assert lines.skipped.malformed == 1
    (told,) = lines.skipped.told("zimbra/mta-0/postfix")
    assert told.startswith("zimbra/mta-0/postfix: 1 line is neither in CRI format nor Docker's JSON")
    assert told.isprintable()


def test_zeros_that_a_crash_of_the_host_left_cost_no_line() -> None:
    assert read(b"\0" * 40 + cri(SYSLOG)) == [SYSLOG]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_taken_to_the_end_and_lines_come_out(raw: bytes, over: bool) -> None:
    lines = ContainerLines()
    taken = lines.take(raw + b"\n" + cri("x", "P"), over=over)
    assert taken.text == b"" or taken.text.endswith(b"\n")
    assert taken.length <= len(raw) + 1 + len(cri("x", "P"))
    assert not over or taken.length == len(raw) + 1 + len(cri("x", "P"))


LINES = st.tuples(
    st.sampled_from(["", "Nov 27 10:00:00 ", "[2026-11-27 10:00:00"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40),
)


@given(st.lists(LINES.map("".join), max_size=8))
def test_a_block_read_at_once_has_the_lines_of_one_read_line_by_line(texts: list[str]) -> None:
    raw = b"".join(map(cri, texts))
    at_once, lines = whole_lines(raw), ContainerLines()
    assert at_once is not None
    # A line in Docker's format makes it go line by line.
    mixed = raw + docker("Nov 27 10:00:00 x\n")
    assert lines.take(mixed, over=False).text == at_once + b"Nov 27 10:00:00 x\n"
    assert whole_lines(b"".join(docker(text + "\n") for text in texts)) == at_once


@pytest.mark.parametrize(
    "broken",
    [
        b'{"a":1\n"log":"x\\n","stream":"stdout","time":"2026-11-27T10:00:00Z"}\n',
        docker("part"),
        cri("x"),
        b"{\n",
        docker("x\ny\n"),
    ],
)
def test_docker_s_lines_go_one_by_one_where_one_is_no_whole_line(broken: bytes) -> None:
    raw = docker(SYSLOG + "\n")
    assert whole_lines(raw + broken) is None
    assert ContainerLines().take(raw + broken, over=False).text.startswith(SYSLOG.encode() + b"\n")


@given(st.text(max_size=60))
def test_docker_s_escapes_are_undone(text: str) -> None:
    said = text.replace("\n", " ").encode("utf-8", "replace").decode()
    assert read(docker(f"Nov 27 10:00:00 {said}\n")) == [f"Nov 27 10:00:00 {said}"]
