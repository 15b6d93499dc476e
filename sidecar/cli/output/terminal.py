"""Terminal width, colours and wrapping. A pipe or a file gets full lines without colours."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO

_ELLIPSIS = "…"
_DEFAULT_WIDTH = 80
# A word with the spaces before it.
_WORD = re.compile(r"( *)([^ ]+)")
# Replaces a space at which no line may be broken; printable text does not contain it.
_NO_BREAK = "\0"
_STYLES = {"bold": "1", "good": "1;32", "bad": "1;31", "notice": "33"}


def width(stream: TextIO) -> int | None:
    """The width of the stream's terminal in columns; None if it is no terminal."""
    if not stream.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and 0 < int(given) < 1 << 16:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


def supports_control_codes(stream: TextIO) -> bool:
    """Whether the stream is a terminal that supports control codes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """The text in a style, if the stream supports control codes and NO_COLOR is not set."""
    if not style or not supports_control_codes(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def cells(text: str) -> int:
    """The width of a printable text in terminal columns."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, room: int) -> str:
    """The text cut to `room` cells with an ellipsis, between words if possible: a cut address would look like
    another address."""
    if cells(text) <= room:
        return text
    used = end = 0
    while end < len(text) and used + _cells(text[end]) < room:
        used += _cells(text[end])
        end += 1
    words = text[: text.rfind(" ", 0, end) + 1].strip()
    return (f"{words} " if words else text[:end]) + _ELLIPSIS


def wrapped(text: str, room: int | None, indent: int = 4, whole: Iterable[str] = ()) -> str:
    """The text wrapped between words to `room` cells (None: not wrapped). A word that is too long stays
    whole, such as an address or a path. Continuation lines are indented. `whole`: texts with spaces that are
    not broken."""
    if room is None or cells(text) <= room:
        return text
    for one in (one for one in whole if " " in one):
        text = text.replace(one, one.replace(" ", _NO_BREAK))
    lines, line = [], ""
    for blanks, word in _WORD.findall(text):
        if line.strip() and cells(line) + len(blanks) + cells(word) > room:
            lines.append(line)
            line = " " * min(indent, room // 4, max(0, room - cells(word))) + word
        else:
            line += blanks + word
    return "\n".join([*lines, line]).replace(_NO_BREAK, " ")
