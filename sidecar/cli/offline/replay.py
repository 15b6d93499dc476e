"""`zmban replay`: runs all enabled jails over their logs without banning."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from sidecar.bans.guard import Guard
from sidecar.cli.output.printing import EPOCH, Bar, emit, json_options, moment, progress, say, table
from sidecar.cli.output.tables import HELD, Column, Row
from sidecar.configuration import loading
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.fail2ban.jails import JailSpec
from sidecar.host import regex_budget
from sidecar.model import counted
from sidecar.offline.log_replay import Replay
from sidecar.records import event_record

_COUNTS = {
    "lines": ("line",), "matches": ("match", "matches"), "failures": ("failure",), "bans": ("ban",),
}  # fmt: skip
_COLUMNS = (
    Column("at", rank=3, floor=19),
    Column("event", rank=2, floor=7),
    Column("network", floor=24),
    Column("jail", rank=1, least=8, floor=17),
    Column("what", rank=4, least=12),
)


def _logs(values: tuple[str, ...]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for value in values:
        jail, equals, path = value.partition("=")
        if not equals or not path:
            raise click.UsageError(f"--log {value!r}: write --log JAIL=PATH")
        if not Path(path).is_file():
            raise click.UsageError(f"--log {value!r}: {path} is not a file")
        given.setdefault(jail, []).append(path)
    return given


@click.command()
@click.option(
    "--now", type=EPOCH, metavar="EPOCH", help="The current time, for dates without a year. Default: now."
)
@click.option("--timezone", metavar="TZ", help="Time zone of dates without one (IANA name).")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="JAIL=PATH",
    help="Read this file for a jail instead of its logpath. Repeatable.",
)
@json_options
@click.pass_obj
def replay(
    config: tuple[str, ...],
    now: float | None,
    timezone: str | None,
    logs: tuple[str, ...],
    as_json: bool,
    jsonl: bool,
) -> None:
    """Run all enabled jails over their logs, from first to last line, at the time of each line.

    Prints the decisions. Writes no state and no routes; reads nothing of the host but the logs.
    """
    loaded = loading.load(config)
    given = _logs(logs)
    unknown = set(given) - set(loaded.jails.jails)
    if unknown:
        raise click.UsageError(f"no enabled jail {', '.join(sorted(unknown))}; see zmban check")
    for fault in loaded.faults:
        if not fault.warning:
            say(str(fault), err=True)
    run = Replay(
        loaded.jails.jails,
        Guard(loading.protected(loaded.settings)),
        SuspectedProxies(loading.trust(loaded.settings), loaded.settings.trust),
        loading.zone(timezone) if timezone else loading.host_zone(),
        time.time() if now is None else now,
        loaded.settings.good,
    )
    by_path = run.logs(given)
    for name, jail in loaded.jails.jails.items():
        if not any(jail in jails for jails in by_path.values()):
            say(f"{name}: no log found ({jail.logpath[0].glob}); give one with --log {name}=FILE", err=True)
    # Objects here are long-lived or freed at once: frequent garbage collection finds nothing.
    gc.set_threshold(100_000, 50, 100)
    with regex_budget.limited():
        _print(run, by_path, as_json=as_json, jsonl=jsonl)
    for (name, regex), times in run.slow.items():
        say(f"{name}: {regex} aborted on {counted(times, 'line')}: time limit exceeded", err=True)


def _print(run: Replay, by_path: dict[str, list[JailSpec]], *, as_json: bool, jsonl: bool) -> None:
    json_output, terminal = as_json or jsonl, sys.stdout.isatty()
    with progress(sum(Path(p).stat().st_size for p in by_path), quiet=json_output and terminal) as bar:
        run.on_progress(bar.advance)
        records = (event_record(event) for event in run.events(by_path))
        if json_output:
            emit(_with_summary(run, records), jsonl=jsonl)
            return
        # On a terminal, print each decision at once.
        table(_COLUMNS, _rows(records, bar), 1 if terminal else HELD)
    total = run.summary()
    counts = ", ".join(counted(int(total[key]), *words) for key, words in _COUNTS.items())
    say(
        f"{counts}, {total['refused']} refused in {total['seconds']:.2f} s "
        f"({total['lines_per_second']} lines/s)"
    )
    for suspect in total["suspected_proxies"]:
        say(suspect["told"])


def _with_summary(run: Replay, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from records
    yield {"event": "summary", **run.summary()}


def _rows(records: Iterable[dict[str, Any]], bar: Bar) -> Iterator[Row]:
    for one in records:
        bar.clear()
        what = one.get("reason", "")
        if one["event"] in ("ban", "extend"):
            what = f"{counted(one['failures'], 'failure')}, until {moment(one['until'])}"
        yield moment(one["at"]), one["event"], str(one["network"]), one["jail"], what
        if one["event"] in ("ban", "extend"):
            yield from (f"    {text}" for text in one["evidence"])
