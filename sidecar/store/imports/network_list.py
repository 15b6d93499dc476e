"""Reads a list of networks, one a line: `203.0.113.0/24 why`, with `#` or `;` for comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from sidecar.model import Ban, Instant, StoreError
from sidecar.network import Network
from sidecar.store.imports.entry import LIST, LONGEST_REASON, ListedBan, Skipped

_LINE = re.compile(r"([^\s,;#]+)[\s,;#]*(.*)")
_LONGEST = 65536
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


def read(file: BinaryIO, name: str, now: Instant) -> Iterator[ListedBan | Skipped]:
    """A permanent ban from `now` for each network; the text after the network is the reason. Other lines are
    skipped with their number. StoreError for a file that is not text, or holds no network at all."""
    good, first = 0, None
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if number == 1 and line.startswith(_PACKED):
            raise StoreError(
                f"{name} is compressed; decompress it first: zcat FILE | zmban import /dev/stdin"
            )
        if b"\0" in line or len(line) > _LONGEST:
            raise StoreError(
                f"{name}: line {number} is not text; a list holds one network per line, in UTF-8"
            )
        one = _read(line, name, number, now)
        good += isinstance(one, ListedBan)
        first = first or (one if isinstance(one, Skipped) else None)
        if one:
            yield one
    if number == 0:
        raise StoreError(f"{name} is empty")
    if first and not good:
        whole = (
            "the only line is not a network" if number == 1 else f"none of the {number} lines is a network"
        )
        raise StoreError(f"{name}: {whole}; {first.place}: {first.text!r}")


def _read(line: bytes, name: str, number: int, now: Instant) -> ListedBan | Skipped | None:
    text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
    if not text or text[0] in "#;":
        return None
    found = _LINE.match(text)
    if found:
        try:
            banned = Network.around(found[1])
        except ValueError:
            found = None
    if not found:
        return Skipped(text[:200], f"line {number}", "not-a-network")
    reason = "".join(c if c.isprintable() else " " for c in found[2] or f"imported from {name}")
    cut = reason.encode()[:LONGEST_REASON].decode("utf-8", "ignore")
    return ListedBan(Ban(banned, LIST, now, None, "import", cut))
