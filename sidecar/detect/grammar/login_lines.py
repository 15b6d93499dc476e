"""Lines that speak for their clients: logins that succeeded, mail that was delivered or found clean.

There are many, and each says little: of a long block only the beginning is looked through.
"""

from __future__ import annotations

from collections.abc import Iterator

_MARKERS: dict[str, tuple[bytes, ...]] = {
    "zimbra": (b", sasl_username=", b"]:25, ", b"Passed CLEAN "),
    "mailbox": (b" cmd=Auth; ", b" authenticated, mechanism="),
}  # fmt: skip
# In which lines a peer may speak for others, of each log in which it may.
RELAYING: dict[str, tuple[bytes, ...]] = {
    "zimbra": (b": PROXY ", rb": \r\n\r\n\0"),
    "mailbox": (b"oip=", b"via="),
    "nginx": (b'"PROXY ', b'"\0"'),
    "nginx-access": (b"] ",),
    "access": (b"] ",),
}  # fmt: skip
# Up to here all of a block is looked through, of a longer one the beginning.
_WHOLE, _BEGINNING = 256 << 10, 64 << 10
_LONGEST = 4096


def candidates(data: bytes, grammar: str, *, everything: bool = False) -> Iterator[bytes]:
    """The lines of a block of this grammar that may speak for somebody, without their newlines."""
    short = everything or len(data) <= _WHOLE
    yield from lines_with(data, _MARKERS.get(grammar, ()), len(data) if short else _BEGINNING)


def lines_with(data: bytes, markers: tuple[bytes, ...], end_of_all: int | None = None) -> Iterator[bytes]:
    """The lines of a block that hold one of these, without their newlines; those of one marker after those of
    the other."""
    for marker in markers:
        at = data.find(marker, 0, end_of_all)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            if end < 0:
                end = len(data)
            if end - start <= _LONGEST:
                yield data[start:end]
            at = data.find(marker, end, end_of_all)


def speaks(grammar: str | None) -> bool:
    """Whether a log of this grammar has such lines."""
    return grammar in _MARKERS
