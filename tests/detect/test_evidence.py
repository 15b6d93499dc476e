"""The lines of failures lie in a file that is written round and round."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.count.evidence import Evidence


@given(st.lists(st.text(max_size=300), max_size=200))
def test_what_is_kept_is_told_again_or_not_at_all_and_never_something_else(lines: list[str]) -> None:
    evidence = Evidence(io.BytesIO(), 2000)
    places = [evidence.keep(line) for line in lines]
    for place, line in zip(places, lines, strict=True):
        assert evidence.line(place) in ("", line.encode("utf-8", "replace").decode())


def test_the_newest_lines_are_always_there() -> None:
    evidence = Evidence(io.BytesIO(), 1 << 20)
    places = [(evidence.keep(f"line {n} {'x' * 200}"), n) for n in range(50_000)]
    assert all(evidence.line(place).startswith(f"line {n} ") for place, n in places[-3000:])
    assert evidence.line(places[0][0]) == ""


class Full(io.BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(28, "No space left on device")


def test_on_a_full_disk_a_line_is_not_kept_and_nothing_breaks() -> None:
    evidence = Evidence(Full(), 1 << 20)
    places = [evidence.keep("x" * 1000) for _ in range(1000)]
    assert {evidence.line(place) for place in places} == {"", "x" * 1000}


@pytest.mark.parametrize("line", ["", "x" * 100_000])
def test_no_line_and_one_of_any_length_are_no_evidence(line: str) -> None:
    assert Evidence().keep(line) == 0
    assert Evidence().line(0) == ""
