"""`zmban regex`: a filter against a log, line by line, with a report or one object a line."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click

from sidecar.app import configuration
from sidecar.app import regex as matching
from sidecar.app.configuration import Loaded
from sidecar.app.regex import Reading, Target
from sidecar.cli.output import EPOCH, emit, json_options
from sidecar.cli.regex_report import Report, Shown, field
from sidecar.detect import grammar
from sidecar.detect.grammar import Trust
from sidecar.fail2ban.datepatterns import expand
from sidecar.model import ConfigError, SourceError

Command = Callable[..., Any]


def _options(command: Command) -> Command:
    """What fail2ban-regex takes, by the same letters."""
    flags = (
        ("-v/--verbose", "verbose", "Every regex, with the time of each of its hits."),
        ("-r/--raw", "raw", "A host name is a host as it stands (usedns = raw)."),
        ("--undated", "undated", "The lines carry no date; all happen at --now."),
        ("--no-check-all", "no_check_all", "Look for the first regex that matches only."),
        ("--print-no-missed", "no_missed", "Print no lines that did not match."),
        ("--print-no-ignored", "no_ignored", "Print no lines that were ignored."),
        ("--print-all-matched", "all_matched", "Print every line that matched."),
        ("--print-all-missed", "all_missed", "Print every line that did not match."),
        ("--print-all-ignored", "all_ignored", "Print every line that was ignored."),
    )
    for name, variable, text in flags:
        command = click.option(*name.split("/"), variable, is_flag=True, help=text)(command)
    text = "Configuration directory, as --config before the command."
    command = click.option("--config", "-c", "directories", multiple=True, metavar="DIR", help=text)(command)
    for *names, kind, metavar, text in (
        ("--out", "-o", str, "WHAT",
         "Print this of each match only: id, ip, row, msg, user, any group, or a text with <tags>."),
        ("--usedns", click.Choice(["yes", "warn", "no", "raw"]), None, "Whether <HOST> may be a name."),
        ("--maxlines", "-L", click.IntRange(1, 1000), "N", "Lines that are matched together."),
        ("--datepattern", "-d", str, "PATTERN", "How dates look, instead of the filter's own."),
        ("--encoding", "-e", str, "NAME", "Encoding of the log; default: utf-8."),
        ("--timezone", "--TZ", str, "TZ", "Zone of dates that name none."),
        ("--now", EPOCH, "EPOCH", "What time it is; default: now."),
    ):  # fmt: skip
        command = click.option(*names, type=kind, metavar=metavar, help=text)(command)
    return command


@click.command()
@click.argument("log")
@click.argument("filter_", metavar="FILTER")
@click.argument("ignoreregex", required=False)
@_options
@json_options
@click.pass_obj
def regex(
    config: tuple[str, ...], /, log: str, filter_: str, ignoreregex: str | None, as_json: bool, jsonl: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Match FILTER (a filter with options, a path, a jail, or a regex) against LOG (a file, -, or one line).

    IGNOREREGEX is a regex, or a filter or path whose ignoreregex is taken.
    """
    loaded = configuration.load((*config, *options["directories"]))
    target = _target(loaded, filter_, ignoreregex, options)
    lines = _Lines(log, options["encoding"] or target.encoding or "utf-8")
    readings = matching.read(
        lines if as_json or jsonl else _text_only(lines),
        target.spec,
        _zone(options["timezone"], target),
        time.time() if options["now"] is None else options["now"],
        Trust(loaded.settings.trust.proxies),
        grammar.of_log(log),
        undated=options["undated"],
        check_all=not options["no_check_all"] and not (as_json or jsonl or options["out"]),
    )
    if as_json or jsonl:
        emit((reading.record() for reading in readings), jsonl=jsonl)
    elif options["out"]:
        _tell(readings, options["out"])
    else:
        shown = {
            word: Shown(options[f"all_{word}"], options.get(f"no_{word}", False)) for word in Shown.WORDS
        }
        report = Report(target, verbose=options["verbose"], shown=shown)
        report.begin(lines.what, lines.encoding, ignoreregex)
        for reading in readings:
            report.add(reading)
        report.end()


def _target(loaded: Loaded, text: str, ignore: str | None, options: dict[str, Any]) -> Target:
    """The filter with what the command line says of it. ConfigError where it cannot be used."""
    usedns = "raw" if options["raw"] else options["usedns"]
    given = {
        key: str(value) for key, value in (("usedns", usedns), ("maxlines", options["maxlines"])) if value
    }
    target = matching.target(loaded.files, text, given)
    faults = list(target.faults)
    if ignore is not None:
        spec, more = matching.ignoring(loaded.files, target.spec, ignore)
        target = replace(target, spec=spec)
        faults += more
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        raise ConfigError("; ".join(str(fault) for fault in errors))
    if options["datepattern"] is not None:
        # Here as there, a percent sign may be doubled as in a file.
        patterns = tuple(options["datepattern"].replace("%%", "%").split("\n"))
        expand(list(patterns))
        target = replace(target, spec=replace(target.spec, datepattern=patterns))
    return target


def _zone(name: str | None, target: Target) -> Any:
    if name:
        return configuration.zone(name)
    return target.zone or configuration.host_zone()


class _Lines:
    """LOG line by line, however large it is; `what` says what it is."""

    def __init__(self, log: str, encoding: str) -> None:
        self._log, self.encoding = log, encoding
        try:
            "".encode(encoding)
        except LookupError as error:
            raise click.UsageError(f"--encoding {encoding}: not known; write utf-8") from error
        if log.startswith("systemd-journal"):
            raise click.UsageError("the journal is not read; journalctl -o short-iso | zmban regex - FILTER")
        self._file = log != "-" and len(log) < 256 and Path(log).is_file()
        if not self._file and log.startswith("/") and " " not in log:
            raise click.UsageError(f"{log}: no such file")
        kind = "log file" if self._file or log == "-" else "single line"
        self.what = f"Use {kind:>16} : {log}"

    def __iter__(self) -> Iterator[str]:
        if not self._file and self._log != "-":
            yield from self._log.split("\n")
            return
        try:
            with self._open() as file:
                for raw in file:
                    yield raw.rstrip(b"\n").rstrip(b"\r").decode(self.encoding, "replace")
        except (OSError, EOFError) as error:
            raise SourceError(f"{self._log} cannot be read: {error}") from error

    def _open(self) -> IO[bytes]:
        if self._log == "-":
            return sys.stdin.buffer
        with Path(self._log).open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(self._log) if packed else Path(self._log).open("rb")  # type: ignore[return-value]


def _text_only(lines: _Lines) -> Iterator[str]:
    """Without empty lines and comments, which nobody counts."""
    return (line for line in lines if line.strip() and not line.startswith("#"))


def _tell(readings: Iterator[Reading], what: str) -> None:
    for reading in readings:
        if reading.matched:
            click.echo(field(reading, what))
