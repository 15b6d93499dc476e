"""A titled table of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

_MB = 1 << 20
# The addresses of an IPv6 network are more than anybody reads.
_HUGE = 10**12
# How a column gets its cell: a key of the entry, or a function of it.
Cell: TypeAlias = str | Callable[[Any], Any]


class Section(NamedTuple):
    """Columns whose name begins with # are numbers. `lines` are log lines below the table. `important`: what
    a person should look at first. `act` is what a person can do with each row (`ban`, `domain`, by its first
    cell), or with the whole (`adopt`, by `subject`)."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    lines: tuple[str, ...] = ()
    important: bool = False
    act: str = ""
    subject: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.rows or self.lines)


def table(
    title: str,
    entries: Iterable[Any],
    columns: Mapping[str, Cell],
    note: str = "",
    *,
    important: bool = False,
    act: str = "",
) -> Section:
    """A section with a row for each entry of a report."""
    cells = tuple(columns.values())
    rows = tuple(tuple(_text(_cell(one, cell)) for cell in cells) for one in entries)
    return Section(title, tuple(columns), rows, note, important=important, act=act)


def _cell(entry: Any, cell: Cell) -> Any:
    return entry[cell] if isinstance(cell, str) else cell(entry)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}" if value < _HUGE else f"{value:.1e}"
    return "" if value is None else str(value)


def size(number: int) -> str:
    """Bytes as MiB or KiB."""
    return f"{number / _MB:,.1f} MiB" if number >= _MB else f"{number / 1024:,.1f} KiB"
