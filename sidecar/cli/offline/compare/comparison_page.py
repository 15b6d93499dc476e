"""The page of a comparison: one HTML file without scripts and without other resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import islice
from typing import Any

from sidecar.app.config_reload import ConfigDifference
from sidecar.cli.offline.compare.comparison_words import FIGURES, jail_rows, sentences, what, who
from sidecar.cli.output.printing import moment
from sidecar.model import printable
from sidecar.offline.compare.ban_diff import AFTER, BEFORE
from sidecar.offline.compare.comparison import Comparison

# Entries of each list, and characters of each log line.
_MOST, _LONGEST = 200, 600
_TITLES = ("jail", "before", "after", *FIGURES, "known-good", "changed")
_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --panel: #f6f8fa; --gained: #9a3412; --lost: #0b5394; --known: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3;
  --line: #3d444d; --panel: #161b22; --gained: #ffb77c; --lost: #79c0ff; --known: #ff9492; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p, dl { margin: .5rem 0; } dt { color: var(--soft); } dd { margin: 0 0 .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); }
th, td { padding: .35rem .5rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
article { border: 1px solid var(--line); border-left: .3rem solid var(--line); padding: .5rem .75rem;
  margin: .5rem 0; break-inside: avoid; }
.gained { border-left-color: var(--gained); } .lost { border-left-color: var(--lost); }
.known { border-left-color: var(--known); } .known strong { color: var(--known); }
h3 { margin: 0; font-size: 1rem; } article p { margin: .15rem 0; } .soft { color: var(--soft); }
pre { margin: .25rem 0 0; padding: .35rem .5rem; background: var(--panel); white-space: pre-wrap;
  font: .8rem/1.4 ui-monospace, monospace; }
@media (max-width: 56rem) { .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
  .stacked tr, .stacked td, .stacked th { display: block; border: 0; padding: .1rem 0; text-align: left; }
  .stacked tr { border: 1px solid var(--line); padding: .5rem .75rem; margin: .5rem 0; }
  .stacked td::before { content: attr(data-label) ": "; color: var(--soft); } }
@media print { :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #999999; --panel: #f4f4f4;
  --gained: #9a3412; --lost: #0b5394; --known: #a40e26; }
  body { max-width: none; padding: 0; font-size: 10pt; } }
"""


def rendered(compared: Comparison, difference: ConfigDifference, made: str) -> Iterator[str]:
    """The page in parts. `made` is the text of the time at which it was made."""
    total = compared.summary()
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>zmban: two configurations compared</title>\n<style>{_STYLE}</style>\n"
        "</head>\n<body>\n<main>\n"
        "<h1>Two configurations, the same logs</h1>\n"
    )
    yield f'<p class="soft">Made {_text(made)} by zmban replay. Times are local.</p>\n<dl>\n'
    for name, word in (("before", "in force (before)"), ("after", "to be tried (after)")):
        yield f"<dt>Configuration {word}</dt><dd>{_text(', '.join(total[name]['config']))}</dd>\n"
    if settings := (*difference.settings, *difference.restart):
        yield f"<dt>Changed settings</dt><dd>{_text(', '.join(settings))}</dd>\n"
    yield "</dl>\n"
    yield from (f"<p>{_text(sentence)}.</p>\n" for sentence in sentences(total))
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
    yield "</main>\n</body>\n</html>\n"


def _jails(compared: Comparison, difference: ConfigDifference) -> Iterator[str]:
    rows, quiet = jail_rows(compared, difference)
    yield '<h2>Jails</h2>\n<table class="stacked">\n<caption>Banned networks. '
    yield "Earlier, later, longer, shorter: of the networks that both ban.</caption>\n<thead><tr>"
    yield "".join(f'<th scope="col"{_kind(title)}>{title}</th>' for title in _TITLES)
    yield "</tr></thead>\n<tbody>\n"
    for name, *cells in rows:
        yield f'<tr><th scope="row">{_text(name)}</th>'
        for title, cell in zip(_TITLES[1:], cells, strict=True):
            yield f'<td data-label="{title}"{_kind(title)}>{_text(cell)}</td>'
        yield "</tr>\n"
    yield "</tbody>\n</table>\n"
    if quiet:
        yield f'<p class="soft">Without bans and differences: {_text(", ".join(quiet))}.</p>\n'


def _kind(title: str) -> str:
    return "" if title in ("jail", "changed") else ' class="number"'


def _list(title: str, entries: Iterable[str], number: int) -> Iterator[str]:
    yield f"<section>\n<h2>{_text(title)}</h2>\n"
    yield from entries
    if number > _MOST:
        yield f"<p>And {number - _MOST} more: zmban replay --jsonl lists all.</p>\n"
    yield "</section>\n"


def _change(record: dict[str, Any]) -> str:
    known = " known" if record["known_good"] else ""
    lines = "".join(f"<pre>{_text(_cut(line))}</pre>\n" for line in record["evidence"])
    return _entry(f"{record['event']}{known}", record, moment(record["at"]), what(record), lines)


def _hit(record: dict[str, Any]) -> str:
    times = f"before {moment(record['at_before'])}, after {moment(record['at_after'])}"
    return _entry("known", record, times, who(record), "")


def _entry(kind: str, record: dict[str, Any], at: str, said: str, lines: str) -> str:
    strong = ("<strong>", "</strong>") if record["known_good"] else ("", "")
    return (
        f'<article class="{kind}">\n<h3>{_text(record["network"])}</h3>\n'
        f'<p class="soft">{_text(record["jail"])}, {_text(at)}</p>\n'
        f"<p>{strong[0]}{_text(said)}{strong[1]}</p>\n{lines}</article>\n"
    )


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _text(text: str) -> str:
    """Text from logs and files for the page: control codes are shown as escapes, and nothing is markup."""
    return escape(printable(text))
