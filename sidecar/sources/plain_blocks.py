"""Reads a log that lies in files without following it: its raw blocks as blocks of plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.sources.kinds import kind_of
from sidecar.sources.lines.line_format import PlainLines


def is_plain(name: str) -> bool:
    """Whether the lines of a log are in its file as they are read, so that parts of it may be read alone."""
    try:
        return kind_of(name).lines is PlainLines
    except ValueError:
        return True


def plain_blocks(name: str, raw: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a log, whose file begins with these raw blocks. What is unfinished at their end is left
    out; a plain log is passed as it is."""
    if is_plain(name):
        yield from raw
        return
    lines, rest = kind_of(name).lines(), b""
    for block in raw:
        whole, newline, behind = (rest + block).rpartition(b"\n")
        whole += newline
        taken = lines.take(whole, over=False)
        if not taken.length and len(whole) > lines.longest * 4:
            taken = lines.take(whole, over=True)
        yield taken.text
        rest = whole[taken.length :] + behind
        if len(behind) > lines.longest:
            rest = b""
    if rest:
        yield lines.take(rest if rest.endswith(b"\n") else rest + b"\n", over=True).text


def plain_part(name: str, raw: bytes) -> bytes:
    """The lines of whole raw lines from anywhere in a log, without those that begin or end elsewhere."""
    return raw if is_plain(name) or not raw else kind_of(name).lines().take(raw, over=True).text
