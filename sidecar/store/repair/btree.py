"""Reads the b-trees of a database file: every row on an intact page, even if other pages are damaged.

Each page is visited once, so that the work is bounded by the size of the file, whatever the pointers say.
https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sidecar.store.repair.file_pages import DatabasePages

_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE = 2, 5, 10, 13
_INTERIOR = (_INTERIOR_INDEX, _INTERIOR_TABLE)
_INDEX = (_INTERIOR_INDEX, _LEAF_INDEX)
# Longer than any valid row: a hundred lines of evidence of 16 KiB each, in UTF-8.
_LONGEST_ROW = 8 << 20
_MOST_COLUMNS = 32
# Size in bytes of an integer by its serial type.
_WHOLE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FLOAT = struct.Struct(">d")
# Pointer map (of an auto-vacuum database): five bytes for each page, type 5 for a page below another one.
_CHILD, _ENTRY = 5, 5
_MOST_PLANS = 10_000
# Size of the file header at the start of the first page.
_BEGINNING = 100


class Row(NamedTuple):
    """A row: its rowid (None in an index) and its columns as stored."""

    number: int | None
    values: list[Any]


class Trees:
    """All trees of a file. Damage is reported to the callback `broken`."""

    def __init__(self, pages: DatabasePages) -> None:
        self._pages = pages
        self._plans: dict[bytes, list[tuple[int, int, int]]] = {}
        self._children_of: dict[int, list[int]] | None = None

    def rows(self, root: int, broken: Callable[[str], None], *, index: bool = False) -> Iterator[Row]:
        """Every readable row below page `root`, in order. Rowids out of order are reported, not left out."""
        seen, waiting, last = {root}, [root], -1
        leaf = _LEAF_INDEX if index else _LEAF_TABLE
        while waiting:
            number = waiting.pop()
            page = self._pages[number]
            at = _BEGINNING if number == 1 else 0
            cells = self._cells(page, at) if page and page[at] in (leaf, leaf - 8) else None
            if page is None or cells is None:
                broken(f"page {number} is damaged")
                children = self._children(number)
            else:
                children = self._pointers(page, at, cells) if page[at] in _INTERIOR else []
                if not cells and number != root:
                    broken(f"page {number} is empty")
                for row in self._read(page, page[at], cells, seen, broken):
                    if row.number is not None:
                        if row.number <= last:
                            broken(f"page {number} is out of order")
                        last = row.number
                    yield row
            new = [child for child in children if child not in seen and 1 < child <= self._pages.count]
            if len(new) < len(children) or len(set(new)) < len(new):
                broken(f"page {number} has an invalid pointer")
            seen.update(new)
            waiting += dict.fromkeys(reversed(new))

    def kind(self, number: int) -> bool | None:
        """Whether this page belongs to an index; None if it does not belong to a tree."""
        page = self._pages[number]
        if not page or page[0] not in (*_INDEX, _INTERIOR_TABLE, _LEAF_TABLE):
            return None
        return page[0] in _INDEX

    def _cells(self, page: bytes, at: int) -> list[int] | None:
        """Offsets of the cells of a tree page; None if their number is impossible."""
        count = int.from_bytes(page[at + 3 : at + 5], "big")
        start = at + (12 if page[at] in _INTERIOR else 8)
        if start + 2 * count > len(page):
            return None
        return [*struct.unpack_from(f">{count}H", page, start)]

    @staticmethod
    def _pointers(page: bytes, at: int, cells: list[int]) -> list[int]:
        last = int.from_bytes(page[at + 8 : at + 12], "big")
        return [*(int.from_bytes(page[cell : cell + 4], "big") for cell in cells), last]

    def _children(self, number: int) -> list[int]:
        """The children of a page that cannot be read, according to the pointer map."""
        if self._children_of is None:
            self._children_of = self._parents()
        return sorted(self._children_of.get(number, []), key=self._first)

    def _first(self, number: int) -> int:
        """The first rowid on or below a page; 0 if there is none."""
        page = self._pages[number] or b""
        try:
            (cell,) = struct.unpack_from(">H", page, 12 if page[0] == _INTERIOR_TABLE else 8)
            return _varint(page, cell + 4 if page[0] == _INTERIOR_TABLE else _varint(page, cell)[1])[0]
        except (IndexError, struct.error):
            return 0

    def _parents(self) -> dict[int, list[int]]:
        """The children of each page, according to the pointer map of an auto-vacuum database."""
        found: dict[int, list[int]] = {}
        each = self._pages.size // _ENTRY
        for start in range(2, self._pages.count + 1, each + 1):
            page = self._pages[start] or b""
            for n in range(len(page) // _ENTRY):
                kind, *parent = page[n * _ENTRY : (n + 1) * _ENTRY]
                if kind == _CHILD and start + 1 + n <= self._pages.count:
                    found.setdefault(int.from_bytes(bytes(parent), "big"), []).append(start + 1 + n)
        return found

    def _read(
        self, page: bytes, kind: int, cells: list[int], seen: set[int], broken: Callable[[str], None]
    ) -> Iterator[Row]:
        """The rows on this page itself."""
        for cell in cells if kind != _INTERIOR_TABLE else ():
            try:
                yield self._row(page, kind, cell, seen)
            except (ValueError, IndexError, struct.error) as error:
                broken(f"a row is damaged ({error})")

    def _row(self, page: bytes, kind: int, at: int, seen: set[int]) -> Row:
        row = None
        if kind == _INTERIOR_INDEX:
            at += 4
        length, at = _varint(page, at)
        if kind == _LEAF_TABLE:
            row, at = _varint(page, at)
            row -= (row >> 63) << 64
        if length > _LONGEST_ROW:
            raise ValueError("a row is too long")
        usable = self._pages.size
        most = usable - 35 if kind == _LEAF_TABLE else (usable - 12) * 64 // 255 - 23
        here = length
        if length > most:
            least = (usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (usable - 4)
            here = here if here <= most else least
        if at + here > usable:
            raise ValueError("a row exceeds its page")
        data = page[at : at + here]
        if here < length:
            data += self._overflow(page[at + here : at + here + 4], length - here, seen)
        return Row(row, self._values(data))

    def _overflow(self, pointer: bytes, length: int, seen: set[int]) -> bytes:
        """The part of a row on overflow pages. Each overflow page belongs to one row."""
        parts = []
        while length > 0:
            number = int.from_bytes(pointer, "big")
            if number in seen:
                raise ValueError("an overflow page is used twice")
            seen.add(number)
            page = self._pages[number]
            if page is None:
                raise ValueError("an overflow page is missing")
            pointer, part = page[:4], page[4 : 4 + length]
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _values(self, data: bytes) -> list[Any]:
        begin, at = _varint(data, 0)
        head = data[:begin]
        plan = self._plans.get(head)
        if plan is None:
            plan = _plan(head, at)
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[head] = plan
        if plan and plan[-1][2] > len(data):
            raise ValueError("a row is truncated")
        return [_value(data, *one) for one in plan]


def _plan(head: bytes, at: int) -> list[tuple[int, int, int]]:
    """Serial type, start and end of each column, from the header of a row."""
    plan, place = [], len(head)
    while at < len(head):
        kind, at = _varint(head, at)
        size = (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else _WHOLE.get(kind, 0)
        plan.append((kind, place, place + size))
        place += size
        if kind in (10, 11) or len(plan) > _MOST_COLUMNS:
            raise ValueError("invalid row header")
    return plan


def _value(data: bytes, kind: int, start: int, end: int) -> Any:
    if kind >= 12:
        return data[start:end].decode("utf-8", "replace") if kind & 1 else data[start:end]
    if kind == 7:
        return _FLOAT.unpack_from(data, start)[0]
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(data[start:end], "big", signed=True) if kind else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at `at`, and the offset after it. IndexError at the end of the data."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9
