"""`zmban replay`: runs all enabled jails over their logs without banning."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from sidecar.cli import CONFIG
from sidecar.cli.output.printing import EPOCH, Bar, emit, json_options, progress, say, table
from sidecar.cli.output.tables import HELD, Column, Row
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.fail2ban.jails import JailSpec
from sidecar.host import regex_budget
from sidecar.local_time import moment
from sidecar.model import counted
from sidecar.offline.check import lint
from sidecar.offline.log_replay import Replay
from sidecar.records import event_record
from sidecar.sources.kinds import file_path

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
        if not Path(file_path(path)).is_file():
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
    help="Read this file for a jail instead of its logpath; cri:FILE is a container's. Repeatable.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="DIR",
    help="Compare with a configuration to be tried: DIR replaces the last directory of the configuration. "
    "Repeatable.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="With --against: write the comparison as a page to this file; - for standard output.",
)
@json_options
@click.pass_obj
def replay(
    config: tuple[str, ...], now: float | None, timezone: str | None, logs: tuple[str, ...],
    against: tuple[str, ...], page: str | None, as_json: bool, jsonl: bool,
) -> None:  # fmt: skip
    """Run all enabled jails over their logs, from first to last line, at the time of each line.

    Prints the decisions. Writes no state and no routes; reads nothing of the host but the logs. With
    --against, compares the bans of two configurations over the same logs.
    """
    if page and not against:
        raise click.UsageError("--html writes a comparison; give a configuration with --against DIR")
    if page == "-" and (as_json or jsonl):
        raise click.UsageError("--html - and --json both write to standard output")
    # Objects here are long-lived or freed at once: frequent garbage collection finds nothing.
    gc.set_threshold(100_000, 50, 100)
    loaded, given = loading.load(config), _logs(logs)
    zone = loading.zone(timezone) if timezone else loading.host_zone()
    at = time.time() if now is None else now
    if against:
        # Imported only when needed, for a fast start.
        from sidecar.cli.offline.compare.comparison_report import report
        from sidecar.offline.compare.comparison import Comparison

        tried = loading.load(loading.tried(config, against))
        _known_jails(given, loaded, tried)
        _faults(loaded)
        _check(tried, loaded)
        compared = Comparison(loaded, tried, zone, at, given)
        _missing_logs(zip((loaded, tried), compared.by_path, strict=True))
        report(compared, page, as_json=as_json, jsonl=jsonl)
        _slow(compared.slow)
        return
    _known_jails(given, loaded)
    _faults(loaded)
    run = Replay.of(loaded, zone, at)
    by_path = run.logs(given)
    _missing_logs([(loaded, by_path)])
    with regex_budget.limited():
        _print(run, by_path, as_json=as_json, jsonl=jsonl)
    _slow(run.slow)


def _known_jails(given: Mapping[str, object], *configurations: Loaded) -> None:
    unknown = set(given).difference(*(loaded.jails.jails for loaded in configurations))
    if unknown:
        raise click.UsageError(f"no enabled jail {', '.join(sorted(unknown))}; see zmban check")


def _faults(loaded: Loaded) -> None:
    for text in dict.fromkeys(str(fault) for fault in loaded.faults if not fault.warning):
        say(text, err=True)


def _check(tried: Loaded, loaded: Loaded) -> None:
    """Print the faults and warnings of a configuration to be tried that the present one does not have. Exit
    code 78 if a jail cannot run because of them."""
    known = {str(fault) for fault in (*loaded.faults, *lint.passed_over(loaded))}
    for text in dict.fromkeys(str(fault) for fault in (*tried.faults, *lint.passed_over(tried))):
        if text not in known:
            say(text, err=True)
    if stopped := tried.jails.stopped - loaded.jails.stopped:
        say(f"zmban: nothing was compared: {', '.join(sorted(stopped))} cannot run", err=True)
        raise click.exceptions.Exit(CONFIG)


def _missing_logs(configurations: Iterable[tuple[Loaded, Mapping[str, list[JailSpec]]]]) -> None:
    missing = [
        f"{name}: no log found ({jail.logpath[0].glob}); give one with --log {name}=FILE"
        for loaded, by_path in configurations
        for name, jail in loaded.jails.jails.items()
        if not any(jail in jails for jails in by_path.values())
    ]
    for text in dict.fromkeys(missing):
        say(text, err=True)


def _slow(slow: Counter[tuple[str, str]]) -> None:
    for (name, regex), times in slow.items():
        say(f"{name}: {regex} aborted on {counted(times, 'line')}: time limit exceeded", err=True)


def _print(run: Replay, by_path: dict[str, list[JailSpec]], *, as_json: bool, jsonl: bool) -> None:
    json_output, terminal = as_json or jsonl, sys.stdout.isatty()
    with progress(
        sum(Path(file_path(p)).stat().st_size for p in by_path), quiet=json_output and terminal
    ) as bar:
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
