"""The report as one HTML file: inline style and SVG, no scripts, nothing from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sidecar.model import Instant
from sidecar.review.report import html_page
from sidecar.review.report.charts import bars
from sidecar.review.report.tables.section import Section
from sidecar.review.report.tables.sections import sections

# A spreadsheet that opens the page must not take a cell for a formula.
_FORMULA = ("=", "+", "-", "@")
_STYLE = """
.important h2 { color: var(--bad); } section { break-inside: avoid-page; }
.table { overflow-x: auto; } .table table { font-size: .9rem; }
.chart { width: 100%; height: auto; max-width: 45rem; } .grid { stroke: var(--line); }
.tick { fill: var(--soft); font: 11px system-ui, sans-serif; }
.chart .first { fill: var(--first); } .chart .second { fill: var(--second); }
.chart .bad { fill: var(--bad); }
.key::before { content: "\\25A0 "; } .key.first { color: var(--first); } .key.second { color: var(--second); }
.key.bad { color: var(--bad); }
"""
_CHARTS = (
    ("Messages per hour", (("received", "first"), ("delivered", "second"))),
    (
        "Rejected, deferred and bounced per hour",
        (("rejected", "bad"), ("deferred", "second"), ("bounced", "first")),
    ),
)


def rendered(report: Mapping[str, Any], moment: Callable[[Instant | None], str]) -> Iterator[str]:
    """The page in parts."""
    title = f"Review of {report['report']}"
    yield html_page.beginning(title, _STYLE)
    yield f"<h1>{_text(title)}</h1>\n"
    yield f'<p class="soft">zmban on {_text(report["host"])}, made {_text(moment(report["made"]))}</p>\n'
    for name, series in _CHARTS:
        yield f"<h2>{name}</h2>\n<p>"
        yield " ".join(f'<span class="key {kind}">{word}</span>' for word, kind in series)
        yield "</p>\n"
        yield from bars(name, [(word, kind, [row[word] for row in report["hours"]]) for word, kind in series])
    for section in sections(report, moment):
        yield from _section(section)
    yield html_page.END


def _section(section: Section) -> Iterator[str]:
    kind = ' class="important"' if section.important else ""
    yield f"<section{kind}>\n<h2>{_text(section.title)}</h2>\n"
    if section.note:
        yield f'<p class="soft">{_text(section.note)}</p>\n'
    if section.rows:
        yield from _table(section)
    yield from (f"<pre>{_text(line)}</pre>\n" for line in section.lines)
    yield "</section>\n"


def _table(section: Section) -> Iterator[str]:
    kinds = [' class="number"' if column.startswith("#") else "" for column in section.columns]
    titles = [column.removeprefix("#") for column in section.columns]
    yield '<div class="table"><table>\n'
    if any(titles):
        heads = (f'<th scope="col"{k}>{_text(t)}</th>' for t, k in zip(titles, kinds, strict=True))
        yield f"<thead><tr>{''.join(heads)}</tr></thead>\n"
    yield "<tbody>\n"
    for row in section.rows:
        yield "<tr>"
        yield "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        yield "</tr>\n"
    yield "</tbody></table></div>\n"


def _cell(text: str) -> str:
    return f"\u2060{_text(text)}" if text.startswith(_FORMULA) else _text(text)


def _text(text: str) -> str:
    return html_page.text(html_page.cut(text))
