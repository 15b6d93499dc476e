"""`zmban regex`: a filter against a log, line by line, with a report or one object a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from sidecar.app import configuration
from sidecar.app import regex as matching
from sidecar.cli.output import EPOCH, emit, json_options, printable
from sidecar.detect import grammar
from sidecar.detect.grammar import Trust
from sidecar.fail2ban.filters import FilterSpec
from sidecar.model import ConfigError

_SHOWN = 20


def _lines(log: str) -> Iterator[str]:
    """LOG is `-`, a file, or one line itself."""
    if log == "-":
        source = sys.stdin.buffer.read().decode("utf-8", "replace")
    elif len(log) < 256 and Path(log).is_file():
        source = Path(log).read_bytes().decode("utf-8", "replace")
    elif log.startswith("/") and " " not in log:
        raise click.UsageError(f"{log}: no such file")
    else:
        source = log
    lines = source.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for line in lines:
        yield line.rstrip("\r")


@click.command()
@click.argument("log")
@click.argument("filter_", metavar="FILTER")
@click.argument("ignoreregex", required=False)
@click.option("--now", type=EPOCH, metavar="EPOCH", help="What time it is; default: now.")
@click.option("--timezone", metavar="TZ", help="Zone of dates that name none (IANA name).")
@click.option("--undated", is_flag=True, help="The lines carry no date; all happen at --now.")
@click.option("--print-all-matched", "all_matched", is_flag=True, help="Print every line that matched.")
@click.option("--print-all-missed", "all_missed", is_flag=True, help="Print every line that did not.")
@json_options
@click.pass_obj
def regex(
    config: tuple[str, ...],
    log: str,
    filter_: str,
    ignoreregex: str | None,
    now: float | None,
    timezone: str | None,
    undated: bool,
    all_matched: bool,
    all_missed: bool,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Match FILTER (a name with options, a path, or a regex) against LOG (a file, - or one line)."""
    loaded = configuration.load(config)
    spec, faults = matching.find_filter(loaded.files, filter_, ignoreregex)
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        raise ConfigError("; ".join(str(fault) for fault in errors))
    zone = configuration.zone(timezone) if timezone else configuration.host_zone()
    readings = matching.read(
        _lines(log),
        spec,
        zone,
        time.time() if now is None else now,
        Trust(loaded.settings.trust.proxies),
        grammar.of_log(log),
        undated=undated,
    )
    if as_json or jsonl:
        emit((reading.record() for reading in readings), jsonl=jsonl)
    else:
        _report(spec, readings, all_matched, all_missed)


def _report(
    spec: FilterSpec, readings: Iterator[matching.Reading], all_matched: bool, all_missed: bool
) -> None:
    begun = time.perf_counter()
    hits = [0] * len(spec.failregex)
    lines = ignored = matched = 0
    shown: dict[str, list[str]] = {"Matched": [], "Missed": []}
    for reading in readings:
        lines += 1
        if reading.regex >= 0:
            hits[reading.regex] += 1
        ignored += reading.ignored
        matched += reading.matched
        if reading.matched and all_matched:
            shown["Matched"].append(reading.line)
        if not reading.matched and not reading.ignored and (all_missed or len(shown["Missed"]) < _SHOWN):
            shown["Missed"].append(reading.line)
    click.echo(f"Failregex: {sum(hits)} total")
    for number, (pattern, count) in enumerate(zip(spec.failregex, hits, strict=True), start=1):
        click.echo(f"   {number}) [{count}] {pattern.text}")
    for title, texts in shown.items():
        if texts:
            click.echo(f"\n{title} line(s):")
            for text in texts:
                click.echo(f"|  {printable(text)}")
    missed = lines - ignored - matched
    click.echo(f"\nLines: {lines} lines, {ignored} ignored, {matched} matched, {missed} missed")
    click.echo(f"[processed in {time.perf_counter() - begun:.2f} sec]")
