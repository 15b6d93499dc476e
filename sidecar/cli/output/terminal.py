"""What a terminal has room for. Anything else, a pipe or a file, gets whole lines without colours."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO

_ELLIPSIS = "…"
_USUAL = 80
# A word with the blanks before it.
_WORD = re.compile(r"( *)([^ ]+)")
# Stands for a blank that no line is broken at; no printable text holds it.
_KEPT = "\0"
_STYLES = {"bold": "1", "good": "1;32", "bad": "1;31", "notice": "33"}


def width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream leads to; None where it leads to none."""
    if not stream.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and 0 < int(given) < 1 << 16:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _USUAL


def driven(stream: TextIO) -> bool:
    """Whether a stream leads to a terminal that takes control codes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """The text in one of our styles, where it can be shown and nobody asked for none."""
    if not style or not driven(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def cells(text: str) -> int:
    """How many columns a printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, room: int) -> str:
    """As many words of a text as there is room for, or as much of the first, with an ellipsis for the rest:
    an address of which the end is missing would be another one."""
    if cells(text) <= room:
        return text
    used = end = 0
    while end < len(text) and used + _cells(text[end]) < room:
        used += _cells(text[end])
        end += 1
    words = text[: text.rfind(" ", 0, end) + 1].strip()
    return (f"{words} " if words else text[:end]) + _ELLIPSIS


def wrapped(text: str, room: int | None, indent: int = 4, whole: Iterable[str] = ()) -> str:
    """The text in lines that fit, broken between words only: an address or a path stays in one line, however
    long it is. Lines behind the first are indented. `whole` are texts with blanks that are not broken either.
    """
    if room is None or cells(text) <= room:
        return text
    for one in (one for one in whole if " " in one):
        text = text.replace(one, one.replace(" ", _KEPT))
    lines, line = [], ""
    for blanks, word in _WORD.findall(text):
        if line.strip() and cells(line) + len(blanks) + cells(word) > room:
            lines.append(line)
            line = " " * min(indent, room // 4, max(0, room - cells(word))) + word
        else:
            line += blanks + word
    return "\n".join([*lines, line]).replace(_KEPT, " ")
