"""Tables with aligned columns, one line per row. On a narrow terminal the least important columns are
shortened, then left out; a pipe or a file gets full rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from sidecar.cli.output.terminal import cells, shortened, wrapped
from sidecar.model import printable

_GAP = "  "
# The longest network: 39 characters of address, a slash and three of prefix length.
WIDEST_NETWORK = 43
# Number of rows buffered to compute column widths before the first row is printed.
HELD = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `rank`: columns of the highest rank are shortened first and left out first; rank 0 is never
    left out. `least`: minimum width in cells when shortened (0: never shortened). `floor`: minimum width in
    cells while not all rows are known; a column of rank 1 is not shortened below it while a column of a
    higher rank is left."""

    title: str
    rank: int = 0
    least: int = 0
    floor: int = 0


# The cells of a row, or one text line that belongs to the row above.
Row: TypeAlias = Sequence[str] | str


def rendered(
    columns: Sequence[Column], rows: Iterable[Row], room: int | None, held: int = HELD
) -> Iterator[str]:
    """The heading, then each row as a line. Column widths are those of the first `held` rows. If there are
    more rows, columns are at least as wide as their floor, and grow with later rows. If `rows` raises, the
    rows before the error are rendered first."""
    more = map(_safe, rows)
    known: list[Row] = []
    failure: BaseException | None = None
    try:
        known.extend(islice(more, held))
    except (Exception, KeyboardInterrupt) as error:
        failure = error
    if failure and not known:
        raise failure
    widths = [max(cells(c.title), c.floor if len(known) == held else 0) for c in columns]
    for row in known:
        _grow(widths, row)
    shape = fitted(columns, widths, room)
    yield _line([column.title for column in columns], shape, room)
    for row in known:
        yield _line(row, shape, room)
    if failure:
        raise failure
    for row in more:
        if _grow(widths, row):
            shape = fitted(columns, widths, room)
        yield _line(row, shape, room)


def _safe(row: Row) -> Row:
    return printable(row) if isinstance(row, str) else [printable(cell) for cell in row]


def _grow(widths: list[int], row: Row) -> bool:
    """Widen the columns for a row. Returns whether any changed."""
    if isinstance(row, str):
        return False
    before = tuple(widths)
    widths[:] = [max(width, cells(cell)) for width, cell in zip(widths, row, strict=True)]
    return tuple(widths) != before


def _line(row: Row, shape: Mapping[int, int], room: int | None) -> str:
    if isinstance(row, str):
        return wrapped(row, room, indent=len(row) - len(row.lstrip()) + 2)
    texts = [(shortened(row[index], size), size) for index, size in shape.items()]
    return _GAP.join(text + " " * (size - cells(text)) for text, size in texts).rstrip()


def fitted(columns: Sequence[Column], widths: Sequence[int], room: int | None) -> dict[int, int]:
    """The index and width of each column that is shown in `room` cells (None: unlimited)."""
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
