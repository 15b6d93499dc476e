"""The limits for arguments of commands."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sidecar.model import LATEST
from sidecar.offline.arguments import Evidence, Name, Note, Reason, Time, kept_with_each, sentence

HOSTILE = [
    "a\x1b[2Jb",
    "a\nb",
    "a\r",
    "a\x9b1m",
    "a\u202eb",
    "a\u2066b",
    "a\u2028b",
    "a\x00",
    "a\x7fb",
    "a\u200bb",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [Reason, Note, Name])
def test_no_text_that_is_kept_drives_a_terminal_or_begins_a_line(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python("x" + text + "x")
    told = sentence(caught.value)
    assert "control codes" in told
    assert told.isprintable()


@pytest.mark.parametrize("text", ["", "  ", "\t\n"])
def test_a_reason_is_needed(text: str) -> None:
    with pytest.raises(ValidationError, match="say in a few words why"):
        TypeAdapter(Reason).validate_python(text)
    assert TypeAdapter(Note).validate_python("") == ""


def test_a_reason_has_a_kibibyte_at_most_whatever_its_letters() -> None:
    read = TypeAdapter(Reason).validate_python
    assert read("ü" * 512) == "ü" * 512
    with pytest.raises(ValidationError, match="1024 bytes"):
        read("ü" * 513)


@pytest.mark.parametrize("lines", [["x"] * 1001, ["x" * (1 << 20), "y"]])
def test_evidence_is_bounded_and_so_is_what_many_networks_make_of_it(lines: list[str]) -> None:
    with pytest.raises(ValidationError, match="give those that led to the ban"):
        TypeAdapter(Evidence).validate_python(lines)
    kept_with_each(["x" * 1000], ["203.0.113.7"] * 1000)
    with pytest.raises(ValueError, match="fewer networks"):
        kept_with_each(["x" * 100_000], ["203.0.113.7"] * 1000)


@pytest.mark.parametrize("at", [-1, 1e12, 9e99, float("inf"), float("nan"), "tomorrow"])
def test_a_time_is_one_that_a_calendar_shows(at: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Time).validate_python(at)
    assert TypeAdapter(Time).validate_python(LATEST) == LATEST
