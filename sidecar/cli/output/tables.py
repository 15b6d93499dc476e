"""Tables for people: a row is a line. A narrow terminal shortens and leaves out what matters least; anything
else, a pipe or a file, gets all of it, in columns that are aligned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from sidecar.cli.output.terminal import cells, shortened, wrapped
from sidecar.model import printable

_GAP = "  "
# The widest network that there is: 39 characters of address, a slash and three of length.
WIDEST_NETWORK = 43
# Rows of which the widths are known before the first of them is printed.
HELD = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Where there is no room, all are shortened, those of the highest `rank` first, down to `least`
    cells (0: not at all); when that is not enough the one of the highest rank is left out. Rank 0 stays, such
    as addresses. `floor`: cells for rows that are not known yet; rank 1 gets no shorter while a higher one is
    left."""

    title: str
    rank: int = 0
    least: int = 0
    floor: int = 0


# A row, or a line of its own that belongs to the row above it.
Row: TypeAlias = Sequence[str] | str


def rendered(
    columns: Sequence[Column], rows: Iterable[Row], room: int | None, held: int = HELD
) -> Iterator[str]:
    """The heading, then each row. The widths are those of the first `held` rows; where there are more,
    columns begin at their floor, and grow when something wider comes. Rows before an error are shown too."""
    more = map(_shown, rows)
    known: list[Row] = []
    wrong: BaseException | None = None
    try:
        known.extend(islice(more, held))
    except (Exception, KeyboardInterrupt) as error:
        wrong = error
    if wrong and not known:
        raise wrong
    widths = [max(cells(c.title), c.floor if len(known) == held else 0) for c in columns]
    for row in known:
        _grow(widths, row)
    shape = fitted(columns, widths, room)
    yield _line([column.title for column in columns], shape, room)
    for row in known:
        yield _line(row, shape, room)
    if wrong:
        raise wrong
    for row in more:
        if _grow(widths, row):
            shape = fitted(columns, widths, room)
        yield _line(row, shape, room)


def _shown(row: Row) -> Row:
    return printable(row) if isinstance(row, str) else [printable(cell) for cell in row]


def _grow(widths: list[int], row: Row) -> bool:
    """Make room for a row; whether it needed any."""
    if isinstance(row, str):
        return False
    before = tuple(widths)
    widths[:] = [max(width, cells(cell)) for width, cell in zip(widths, row, strict=True)]
    return tuple(widths) != before


def _line(row: Row, shape: Mapping[int, int], room: int | None) -> str:
    if isinstance(row, str):
        return wrapped(row, room, indent=len(row) - len(row.lstrip()) + 2)
    found = [(shortened(row[index], size), size) for index, size in shape.items()]
    return _GAP.join(text + " " * (size - cells(text)) for text, size in found).rstrip()


def fitted(columns: Sequence[Column], widths: Sequence[int], room: int | None) -> dict[int, int]:
    """Which columns are shown, and how wide."""
    kept = dict(enumerate(widths))
    if room is None:
        return kept
    least_first = sorted(kept, key=lambda i: -columns[i].rank)
    while True:
        shape = dict(kept)
        over = sum(kept.values()) + len(_GAP) * (len(kept) - 1) - room
        first = columns[least_first[0]].rank
        for index in least_first:
            column = columns[index]
            if over > 0 and column.least:
                spared = column.floor if column.rank <= 1 < first else 0
                bound = max(column.least, spared, cells(column.title))
                shape[index] = max(shape[index] - over, min(bound, shape[index]))
                over -= kept[index] - shape[index]
        if over <= 0 or first == 0:
            return shape
        del kept[least_first.pop(0)]
