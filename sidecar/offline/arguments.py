"""Limits for the arguments of commands: texts, log lines and times. Each violation is one sentence."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError

from sidecar.model import LATEST, counted, printable
from sidecar.store.imports.entry import LONGEST_REASON, MOST_GIVEN_BYTES, MOST_GIVEN_LINES

_LONGEST_NAME = 200
_MOST_WRITTEN = 64 << 20


def reason(text: str) -> str:
    """Check a reason. ValueError if it is empty, too long, or not one line of printable text."""
    text = text.strip()
    if not text:
        raise ValueError("it is empty; say in a few words why")
    return _note(text)


def _note(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_REASON:
        raise ValueError(f"longer than {LONGEST_REASON} bytes; long texts belong into the evidence")
    return _plain(text)


def _plain(text: str) -> str:
    """Check that a text is one line without control codes."""
    if not text.isprintable():
        raise ValueError(f"{text[:80]!r} contains control codes; write one line of plain text")
    return text


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME:
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
    return _plain(text)


def evidence(lines: list[str]) -> list[str]:
    """Check the log lines of a ban. ValueError if there are too many."""
    if len(lines) > MOST_GIVEN_LINES or sum(map(len, lines)) > MOST_GIVEN_BYTES:
        most = f"{MOST_GIVEN_LINES} lines or {MOST_GIVEN_BYTES >> 20} MiB"
        raise ValueError(f"more than {most}; give those that led to the ban")
    try:
        "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a line contains a lone surrogate, which is no text") from error
    return lines


def kept_with_each(lines: Sequence[str], networks: Sized) -> None:
    """ValueError if these lines, saved with each of these networks, would take too much disk space."""
    if len(networks) * sum(map(len, lines)) > _MOST_WRITTEN:
        text = f"evidence is kept with each network ({len(networks)} here), {_MOST_WRITTEN >> 20} MiB at most"
        raise ValueError(f"{text}; give fewer lines, or fewer networks at a time")


Name = Annotated[str, AfterValidator(_name)]
# Who acts.
Actor = Name
Reason = Annotated[str, AfterValidator(reason)]
Note = Annotated[str, AfterValidator(_note)]
Evidence = Annotated[list[str], AfterValidator(evidence)]
Time = Annotated[FiniteFloat, Field(ge=0, le=LATEST)]


def sentence(error: ValidationError) -> str:
    """The first error in the arguments of a command, as one line."""
    found = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in found[0]["loc"])
    more = f" (and {counted(len(found) - 1, 'more fault')})" if len(found) > 1 else ""
    return printable(f"{place}: {found[0]['msg'].removeprefix('Value error, ')}{more}"[:500])
