"""The ring buffer for the lines of failures."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.count.evidence import Evidence


@given(st.lists(st.text(max_size=300), max_size=200))
def test_a_stored_line_reads_the_same_or_empty_and_never_as_another(lines: list[str]) -> None:
    evidence = Evidence(io.BytesIO(), 2000)
    places = [evidence.keep(line) for line in lines]
    for place, line in zip(places, lines, strict=True):
        assert evidence.line(place) in ("", line.encode("utf-8", "replace").decode())
    # Only a line that was stored has a place, and the last one is never overwritten.
    assert [bool(place) for place in places] == [
        0 < len(line.encode("utf-8", "replace")) < 1988 for line in lines
    ]
    if lines and places[-1]:
        assert evidence.line(places[-1]) == lines[-1].encode("utf-8", "replace").decode()


def test_the_newest_lines_are_always_stored() -> None:
    evidence = Evidence(io.BytesIO(), 1 << 20)
    places = [(evidence.keep(f"line {n} {'x' * 200}"), n) for n in range(50_000)]
    assert all(evidence.line(place).startswith(f"line {n} ") for place, n in places[-3000:])
    assert evidence.line(places[0][0]) == ""


class Full(io.BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(28, "No space left on device")


def test_on_a_full_disk_lines_are_dropped_without_an_error() -> None:
    evidence = Evidence(Full(), 1 << 20)
    places = [evidence.keep("x" * 1000) for _ in range(1000)]
    assert {evidence.line(place) for place in places} == {"", "x" * 1000}


@pytest.mark.parametrize("line", ["", "x" * 100_000])
def test_empty_and_overlong_lines_are_not_stored(line: str) -> None:
    assert Evidence().keep(line) == 0
    assert Evidence().line(0) == ""
