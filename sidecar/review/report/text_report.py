"""The report as plain text, for a terminal and for mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sidecar.model import Instant, printable
from sidecar.review.report.tables.section import Section
from sidecar.review.report.tables.sections import sections

_WIDEST = 60


def rendered(report: Mapping[str, Any], moment: Callable[[Instant | None], str]) -> Iterator[str]:
    """The lines of the text. Text of others is printable, and no cell breaks a line."""
    yield printable(f"zmban on {report['host']}: review of {report['report']}")
    yield f"made {moment(report['made'])}"
    for section in sections(report, moment):
        yield ""
        title = printable(section.title)
        yield title
        yield "-" * len(title)
        if section.note:
            yield printable(section.note)
        yield from _table(section)
        yield from (f"  {printable(line)}" for line in section.lines)


def _table(section: Section) -> Iterator[str]:
    if not section.rows:
        return
    if not any(section.columns):
        # Names and values: a regex is of use only as a whole.
        width = max(len(row[0]) for row in section.rows)
        yield from (f"  {name.ljust(width)}  {printable(value)}" for name, value in section.rows)
        return
    numeric = [column.startswith("#") for column in section.columns]
    titles = tuple(column.removeprefix("#") for column in section.columns)
    cells = [[_cut(printable(cell)) for cell in row] for row in (titles, *section.rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(titles))]
    for row in cells:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        yield f"  {'  '.join(padded)}".rstrip()


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"
