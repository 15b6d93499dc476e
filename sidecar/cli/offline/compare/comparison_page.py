"""The page of a comparison: one HTML file without scripts and without other resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sidecar.app.config_reload import ConfigDifference
from sidecar.cli.offline.compare.comparison_words import FIGURES, jail_rows, sentences, what, who
from sidecar.local_time import moment
from sidecar.offline.compare.ban_diff import AFTER, BEFORE
from sidecar.offline.compare.comparison import Comparison
from sidecar.review.report import html_page
from sidecar.review.report.html_page import cut, text

# Entries of each list.
_MOST = 200
_TITLES = ("jail", "before", "after", *FIGURES, "known-good", "changed")
_STYLE = """
article { border: 1px solid var(--line); border-left: .3rem solid var(--line); padding: .5rem .75rem;
  margin: .5rem 0; break-inside: avoid; }
.gained { border-left-color: var(--third); } .lost { border-left-color: var(--first); }
.known { border-left-color: var(--bad); } .known strong { color: var(--bad); }
h3 { margin: 0; font-size: 1rem; } article p { margin: .15rem 0; }
@media (max-width: 56rem) { .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
  .stacked tr, .stacked td, .stacked th { display: block; border: 0; padding: .1rem 0; text-align: left; }
  .stacked tr { border: 1px solid var(--line); padding: .5rem .75rem; margin: .5rem 0; }
  .stacked td::before { content: attr(data-label) ": "; color: var(--soft); } }
"""


def rendered(compared: Comparison, difference: ConfigDifference, made: str) -> Iterator[str]:
    """The page in parts. `made` is the text of the time at which it was made."""
    total = compared.summary()
    yield html_page.beginning("two configurations compared", _STYLE)
    yield "<h1>Two configurations, the same logs</h1>\n"
    yield f'<p class="soft">Made {text(made)} by zmban replay. Times are local.</p>\n<dl>\n'
    for name, word in (("before", "in force (before)"), ("after", "to be tried (after)")):
        yield f"<dt>Configuration {word}</dt><dd>{text(', '.join(total[name]['config']))}</dd>\n"
    if settings := (*difference.settings, *difference.restart):
        yield f"<dt>Changed settings</dt><dd>{text(', '.join(settings))}</dd>\n"
    yield "</dl>\n"
    yield from (f"<p>{text(sentence)}.</p>\n" for sentence in sentences(total))
    yield from _jails(compared, difference)
    for side, name, words in ((AFTER, "gained", "only after"), (BEFORE, "lost", "only before")):
        yield from _list(
            f"Bans {name} ({words}): {total[name]}",
            map(_change, compared.changes(side, most=_MOST)),
            total[name],
        )
    both = total["known_good_after"] - total["known_good_gained"]
    yield from _list(
        f"Known-good addresses that both ban: {both}", map(_hit, islice(compared.hits(), _MOST)), both
    )
    yield html_page.END


def _jails(compared: Comparison, difference: ConfigDifference) -> Iterator[str]:
    rows, quiet = jail_rows(compared, difference)
    yield '<h2>Jails</h2>\n<table class="stacked">\n<caption>Banned networks. '
    yield "Earlier, later, longer, shorter: of the networks that both ban.</caption>\n<thead><tr>"
    yield "".join(f'<th scope="col"{_kind(title)}>{title}</th>' for title in _TITLES)
    yield "</tr></thead>\n<tbody>\n"
    for name, *cells in rows:
        yield f'<tr><th scope="row">{text(name)}</th>'
        for title, cell in zip(_TITLES[1:], cells, strict=True):
            yield f'<td data-label="{title}"{_kind(title)}>{text(cell)}</td>'
        yield "</tr>\n"
    yield "</tbody>\n</table>\n"
    if quiet:
        yield f'<p class="soft">Without bans and differences: {text(", ".join(quiet))}.</p>\n'


def _kind(title: str) -> str:
    return "" if title in ("jail", "changed") else ' class="number"'


def _list(title: str, entries: Iterable[str], number: int) -> Iterator[str]:
    yield f"<section>\n<h2>{text(title)}</h2>\n"
    yield from entries
    if number > _MOST:
        yield f"<p>And {number - _MOST} more: zmban replay --jsonl lists all.</p>\n"
    yield "</section>\n"


def _change(record: dict[str, Any]) -> str:
    known = " known" if record["known_good"] else ""
    lines = "".join(f"<pre>{text(cut(line))}</pre>\n" for line in record["evidence"])
    return _entry(f"{record['event']}{known}", record, moment(record["at"]), what(record), lines)


def _hit(record: dict[str, Any]) -> str:
    times = f"before {moment(record['at_before'])}, after {moment(record['at_after'])}"
    return _entry("known", record, times, who(record), "")


def _entry(kind: str, record: dict[str, Any], at: str, said: str, lines: str) -> str:
    strong = ("<strong>", "</strong>") if record["known_good"] else ("", "")
    return (
        f'<article class="{kind}">\n<h3>{text(record["network"])}</h3>\n'
        f'<p class="soft">{text(record["jail"])}, {text(at)}</p>\n'
        f"<p>{strong[0]}{text(said)}{strong[1]}</p>\n{lines}</article>\n"
    )
