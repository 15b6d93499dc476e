"""Which file is which: a log's files, renamed, copied or packed, known again by what they contain."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from sidecar.model import Position

# So many first bytes, and last ones that were read, tell one file from another: more than a line, since two
# files of a busy minute may begin alike.
MARK = 256
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile}
# What a packed file says that is cut off, damaged, or none.
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
# What cannot be read here; its lines are lost for us.
_CLOSED = {".zst", ".zip", ".lz4", ".7z", ".br"}


class Sibling(NamedTuple):
    """Another file of the same log: an older one, or a copy."""

    path: Path
    inode: int
    changed: int

    @property
    def packed(self) -> bool:
        """Whether it has to be unpacked to be read."""
        return self.path.suffix in _OPENERS

    def open(self) -> IO[bytes]:
        """Open its content for reading."""
        opener = _OPENERS.get(self.path.suffix)
        return cast("IO[bytes]", opener(self.path)) if opener else self.path.open("rb")


def siblings(log: str) -> list[Sibling]:
    """The other files that begin with a log's name, oldest first. Where a file is being packed, only the
    plain one counts, until it is gone."""
    name = Path(log)
    try:
        current = os.stat(log).st_ino
    except OSError:
        current = -1
    found: list[Sibling] = []
    for path in name.parent.glob(f"{_literal(name.name)}?*"):
        try:
            status = path.stat()
        except OSError:
            continue
        if path.is_file() and status.st_ino != current and path.suffix not in _CLOSED:
            found.append(Sibling(path, status.st_ino, status.st_mtime_ns))
    names = {sibling.path for sibling in found}
    plain = [s for s in found if not (s.packed and s.path.with_suffix("") in names)]
    return sorted(plain, key=lambda sibling: sibling.changed)


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def read_on(file: IO[bytes], positions: Iterable[Position], *, copy: bool = False) -> int | None:
    """How far this content was read, by the furthest of these positions that is one of it; None if none is.

    A `copy` that ends before its position is an older one of what was read: all of it was.
    """
    best: int | None = None
    begin = file.read(MARK)
    for position in positions:
        if copy and begin and len(begin) < len(position.head) and position.head.startswith(begin):
            best = max(best or 0, len(begin))
        if not position.head or not begin.startswith(position.head):
            continue
        file.seek(position.offset - len(position.tail))
        tail = file.read(len(position.tail))
        if tail == position.tail:
            best = max(best or 0, position.offset)
        elif copy and len(tail) < len(position.tail):
            best = max(best or 0, file.seek(0, os.SEEK_END))
    return best


def known_at(path: str, positions: Sequence[Position]) -> int | None:
    """As `read_on`, for the file at a path. OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return read_on(file, positions)


def known(sibling: Sibling, positions: Sequence[Position]) -> int | None:
    """As `read_on`, for a sibling; None too where it cannot be read. A file of which nothing was read yet is
    known by its inode alone."""
    try:
        with sibling.open() as file:
            found = read_on(file, positions, copy=True)
    except BROKEN:
        return None
    if found is None and any(p.offset == 0 and p.inode == sibling.inode for p in positions):
        return 0
    return found


def begins_as(sibling: Sibling, positions: Sequence[Position]) -> bool:
    """Whether a sibling begins as any file that was read."""
    try:
        with sibling.open() as file:
            begin = file.read(MARK)
    except BROKEN:
        return False
    return any(p.head and begin.startswith(p.head) for p in positions)
