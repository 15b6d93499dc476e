"""Reads a list of networks, one a line: `203.0.113.0/24 why`, with `#` or `;` for comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from sidecar.model import Ban, Instant, StoreError
from sidecar.network import Network
from sidecar.store.imports import list_line
from sidecar.store.imports.entry import LIST, ListedBan, Skipped, note

_LINE = re.compile(r"([^\s,;#]+)[\s,;#]*(.*)")
_LONGEST = 65536
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


def lines(file: BinaryIO, name: str, command: str = "zmban import /dev/stdin") -> Iterator[tuple[int, str]]:
    """Each line with its number; "" for a comment. StoreError for a file that is not text; `command` is for
    its cure."""
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if number == 1 and line.startswith(_PACKED):
            raise StoreError(f"{name} is compressed; decompress it first: zcat FILE | {command}")
        if b"\0" in line or len(line) > _LONGEST:
            raise StoreError(
                f"{name}: line {number} is not text; a list holds one network per line, in UTF-8"
            )
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        yield number, "" if text.startswith(("#", ";")) else text


def split(text: str) -> tuple[str, str]:
    """The first word of a line, and the text behind it; no word if the line begins with a separator."""
    found = _LINE.match(text)
    return (found[1], found[2]) if found else ("", text)


def read(file: BinaryIO, name: str, now: Instant) -> Iterator[ListedBan | Skipped]:
    """A ban for each network: permanent from `now`, with the text behind the network as reason; or as an
    exported list says. Other lines are skipped with their number. StoreError for a file that is not text, or
    holds no network at all."""
    good, first = 0, None
    number = 0
    for number, text in lines(file, name):
        if not text:
            continue
        one = _read(text, name, number, now)
        good += isinstance(one, ListedBan)
        first = first or (one if isinstance(one, Skipped) else None)
        yield one
    if number == 0:
        raise StoreError(f"{name} is empty")
    if first and not good:
        whole = (
            "the only line is not a network" if number == 1 else f"none of the {number} lines is a network"
        )
        raise StoreError(f"{name}: {whole}; {first.place}: {first.text!r}")


def _read(text: str, name: str, number: int, now: Instant) -> ListedBan | Skipped:
    word, behind = split(text)
    try:
        banned = Network.around(word)
    except ValueError:
        return Skipped(text[:200], f"line {number}", "not-a-network")
    if known := list_line.read(behind):
        jail, since, until, reason = known
    else:
        jail, since, until, reason = LIST, now, None, behind or f"imported from {name}"
    return ListedBan(Ban(banned, jail, since, until, "import", note(reason)))
