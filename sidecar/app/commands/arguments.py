"""What a command may be given: bounded texts, lines and times, and the sentence for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError

from sidecar.model import LATEST, counted, printable
from sidecar.store.imports.entry import LONGEST_REASON, MOST_GIVEN_BYTES, MOST_GIVEN_LINES

_LONGEST_NAME = 200
_MOST_WRITTEN = 64 << 20


def reason(text: str) -> str:
    """A reason that may be kept. ValueError with the sentence for one that is empty, too long, or more than
    one line of plain text."""
    text = text.strip()
    if not text:
        raise ValueError("it is empty; say in a few words why")
    return _note(text)


def _note(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_REASON:
        raise ValueError(f"longer than {LONGEST_REASON} bytes; long texts belong into the evidence")
    return _plain(text)


def _plain(text: str) -> str:
    """Text of one line that nothing is hidden in."""
    if not text.isprintable():
        raise ValueError(f"{text[:80]!r} holds control codes; write plain text in one line")
    return text


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME:
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
    return _plain(text)


def evidence(lines: list[str]) -> list[str]:
    """Lines that may be kept with a ban. ValueError with the sentence for more than may."""
    if len(lines) > MOST_GIVEN_LINES or sum(map(len, lines)) > MOST_GIVEN_BYTES:
        most = f"{MOST_GIVEN_LINES} lines or {MOST_GIVEN_BYTES >> 20} MiB"
        raise ValueError(f"more than {most}; give those that led to the ban")
    return lines


def kept_with_each(lines: Sequence[str], networks: Sequence[str]) -> None:
    """ValueError where these lines, written down with each of these networks, would fill the disk."""
    if len(networks) * sum(map(len, lines)) > _MOST_WRITTEN:
        text = f"evidence is kept with each network ({len(networks)} here), {_MOST_WRITTEN >> 20} MiB at most"
        raise ValueError(f"{text}; give fewer lines, or fewer networks at a time")


Name = Annotated[str, AfterValidator(_name)]
Reason = Annotated[str, AfterValidator(reason)]
Note = Annotated[str, AfterValidator(_note)]
Evidence = Annotated[list[str], AfterValidator(evidence)]
Time = Annotated[FiniteFloat, Field(ge=0, le=LATEST)]


def sentence(error: ValidationError) -> str:
    """What is wrong with the arguments of a command, in one line."""
    found = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in found[0]["loc"])
    more = f" (and {counted(len(found) - 1, 'more fault')})" if len(found) > 1 else ""
    return printable(f"{place}: {found[0]['msg'].removeprefix('Value error, ')}{more}"[:500])
