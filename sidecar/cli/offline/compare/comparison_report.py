"""Prints a comparison of two configurations as tables or as JSON, and writes its page."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sidecar.app.config_reload import ConfigDifference, compare
from sidecar.cli.offline.compare import comparison_page
from sidecar.cli.offline.compare.comparison_words import FIGURES, jail_rows, sentences, what, who
from sidecar.cli.output import page_file
from sidecar.cli.output.printing import emit, progress, say, table
from sidecar.cli.output.tables import Column, Row
from sidecar.host import regex_budget
from sidecar.local_time import moment
from sidecar.offline.compare.ban_diff import AFTER, BEFORE
from sidecar.offline.compare.comparison import Comparison

# Rows of each list in tables for people.
_MOST = 20
_JAILS = (
    Column("jail", least=8),
    Column("before"),
    Column("after"),
    *(Column(name, rank=1 if name in ("gained", "lost") else 3) for name in FIGURES),
    Column("known-good", rank=2),
    Column("changed", rank=4, least=12),
)
_CHANGES = (
    Column("event"),
    Column("at", rank=3),
    Column("network"),
    Column("jail", rank=1, least=8),
    Column("what", rank=2, least=20),
)


def report(compared: Comparison, page: str | None, *, as_json: bool, jsonl: bool) -> None:
    """Run a comparison and print it; with `page` also write the page to this file, or instead to standard
    output for `-`."""
    page_file.writable(page)
    quiet = (as_json or jsonl) and sys.stdout.isatty()
    with regex_budget.limited(), progress(compared.bytes, quiet=quiet) as bar:
        compared.run(bar.advance)
    difference = compare(compared.before, compared.after)
    if page:
        page_file.write(page, comparison_page.rendered(compared, difference, moment(time.time())))
    if as_json or jsonl:
        emit(_records(compared, difference), jsonl=jsonl)
    elif page != page_file.STDOUT:
        _print(compared, difference)


def _records(compared: Comparison, difference: ConfigDifference) -> Iterator[dict[str, Any]]:
    yield from compared.changes(AFTER)
    yield from compared.changes(BEFORE)
    yield from compared.hits()
    for jail in compared.jails():
        yield {**jail, "options": list(difference.changed.get(jail["jail"], ()))}
    yield {**compared.summary(), "settings": [*difference.settings, *difference.restart]}


def _print(compared: Comparison, difference: ConfigDifference) -> None:
    total = compared.summary()
    for name in ("before", "after"):
        say(f"{name:6}  {', '.join(total[name]['config'])}")
    if settings := (*difference.settings, *difference.restart):
        say(f"Changed settings: {', '.join(settings)}")
    rows, quiet = jail_rows(compared, difference)
    table(_JAILS, rows)
    if quiet:
        say(f"Without bans and differences: {', '.join(quiet)}")
    if total["gained"] or total["lost"] or total["known_good_after"]:
        table(_CHANGES, _changes(compared, total))
    for text in sentences(total):
        say(text)


def _changes(compared: Comparison, total: dict[str, Any]) -> Iterator[Row]:
    for side, name in ((AFTER, "gained"), (BEFORE, "lost")):
        for one in compared.changes(side, most=_MOST):
            yield name, moment(one["at"]), one["network"], one["jail"], what(one)
            yield from (f"    {line}" for line in one["evidence"])
        yield from _more(total[name])
    for one in islice(compared.hits(), _MOST):
        yield "both", moment(one["at_after"]), one["network"], one["jail"], who(one)
    yield from _more(total["known_good_after"] - total["known_good_gained"])


def _more(number: int) -> Iterator[Row]:
    if number > _MOST:
        yield f"    and {number - _MOST} more; --jsonl lists all"
