"""`zmban regex`: tests a filter on a log; prints a report, or one object per line."""

from __future__ import annotations

import gzip
import io
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, cast

import click

from sidecar import settings
from sidecar.cli.offline.regex_out import field
from sidecar.cli.offline.regex_report import WORDS, Report, Shown
from sidecar.cli.output.printing import EPOCH, emit, json_options
from sidecar.configuration import loading
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.fail2ban.dates.datepatterns import expand
from sidecar.fail2ban.dates.moments import fixed_offset
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host import regex_budget
from sidecar.model import ConfigError, SourceError
from sidecar.offline.lines import regex_test as matching
from sidecar.offline.lines.regex_test import LineResult, Target
from sidecar.sources.kinds import file_path, log_name
from sidecar.sources.plain_blocks import is_plain, plain_blocks
from sidecar.sources.whole_lines import whole_lines

Command = Callable[..., Any]


def _options(command: Command) -> Command:
    """The options of fail2ban-regex, with the same letters, and a few more."""
    flags = (
        ("-v/--verbose", "verbose", "Print every regex, and the time of each match."),
        ("-r/--raw", "raw", "Keep host names, do not resolve them (usedns = raw)."),
        ("--undated", "undated", "The lines have no date; each has the time --now."),
        ("--no-check-all", "no_check_all", "Stop at the first regex that matches a line."),
        ("--print-no-missed", "no_missed", "Print no missed lines."),
        ("--print-no-ignored", "no_ignored", "Print no ignored lines."),
        ("--print-all-matched", "all_matched", "Print all matched lines."),
        ("--print-all-missed", "all_missed", "Print all missed lines."),
        ("--print-all-ignored", "all_ignored", "Print all ignored lines."),
    )
    for name, variable, text in flags:
        command = click.option(*name.split("/"), variable, is_flag=True, help=text)(command)
    for *names, kind, metavar, text in (
        ("--out", "-o", str, "WHAT",
         "Print only this of each match: id, ip, row, msg, user, a group, or a template with <tags>."),
        ("--usedns", click.Choice(["yes", "warn", "no", "raw"]), None, "Whether <HOST> matches host names."),
        ("--maxlines", "-L", click.IntRange(1, 1000), "N", "Number of lines matched together."),
        ("--datepattern", "-d", str, "PATTERN", "Date pattern; replaces that of the filter."),
        ("--encoding", "-e", str, "NAME", "Encoding of the log. Default: utf-8."),
        ("--timezone", "--TZ", str, "TZ", "Time zone of dates without one."),
        ("--now", EPOCH, "EPOCH", "The current time. Default: now."),
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
    """Test FILTER (a filter with options, a path, a jail or a regex) on LOG (a file, -, or one line).

    cri:FILE is the log of a container.
    IGNOREREGEX is a regex, or a filter or path whose ignoreregex is used.
    """
    # Only the filter is loaded, not all jails, for a fast start.
    files = ConfigFiles(loading.directories(config))
    target = _target(files, filter_, ignoreregex, options)
    lines = _Lines(log, options["encoding"] or target.encoding or "utf-8")
    readings = matching.read(
        lines if as_json or jsonl else _text_only(lines),
        target.spec,
        matching.ReadOptions(
            _zone(options["timezone"], target),
            time.time() if options["now"] is None else options["now"],
            loading.trust(settings.read(files.directories).settings),
            options["undated"],
            check_all=not options["no_check_all"] and not (as_json or jsonl or options["out"]),
        ),
        log_name(log),
    )
    # The same time limit per line as in the service.
    with regex_budget.limited():
        # Flush per line for an interactive or piped writer, not for a file.
        if as_json or jsonl:
            emit((reading.record() for reading in readings), jsonl=jsonl, at_once=not lines.file)
        elif options["out"]:
            out = (field(r, options["out"], target.spec) for r in readings if r.matched)
            _print(out, at_once=not lines.file)
        else:
            _report(target, lines, readings, ignoreregex, options)


def _report(
    target: Target,
    lines: _Lines,
    readings: Iterable[LineResult],
    ignoreregex: str | None,
    options: dict[str, Any],
) -> None:
    """Print the report of fail2ban-regex."""
    shown = {
        word: Shown(
            all_of_them=options[f"all_{word}"],
            none=options.get(f"no_{word}", False),
            late=target.spec.maxlines if target.spec.maxlines > 1 else 0,
        )
        for word in WORDS
    }
    report = Report(target, verbose=options["verbose"], shown=shown)
    report.begin(lines.what, lines.encoding, ignoreregex)
    for reading in readings:
        report.add(reading)
    report.end()


def _target(files: ConfigFiles, text: str, ignore: str | None, options: dict[str, Any]) -> Target:
    """The filter, changed by the options. ConfigError if it cannot be used."""
    usedns = "raw" if options["raw"] else options["usedns"]
    given = {
        key: str(value) for key, value in (("usedns", usedns), ("maxlines", options["maxlines"])) if value
    }
    target = matching.target(files, text, given)
    faults = list(target.faults)
    if ignore is not None:
        spec, more = matching.ignoring(files, target.spec, ignore)
        target = replace(target, spec=spec)
        faults += more
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        raise ConfigError("; ".join(str(fault) for fault in errors))
    if options["datepattern"] is not None:
        # As in fail2ban-regex, a percent sign may be doubled as in a configuration file.
        patterns = tuple(options["datepattern"].replace("%%", "%").split("\n"))
        expand(list(patterns))
        target = replace(target, spec=replace(target.spec, datepattern=patterns))
    return target


def _zone(name: str | None, target: Target) -> tzinfo:
    """A time zone from an IANA name, a POSIX TZ string or an offset (`+0200`, `UTC-0330`). Default: that of
    the target, else of the host."""
    if not name:
        return target.zone or loading.host_zone()
    try:
        return loading.zone(name)
    except ConfigError:
        try:
            return fixed_offset(name)
        except ValueError:
            pass
        raise


class _Lines:
    """Iterates over the lines of LOG with constant memory. `what` is the heading for the report. A line
    longer than the limit of the jails is cut."""

    def __init__(self, log: str, encoding: str) -> None:
        self._log, self.encoding = log, encoding
        try:
            "".encode(encoding)
        except LookupError as error:
            raise click.UsageError(f"--encoding {encoding}: unknown encoding; write utf-8") from error
        if log.startswith("systemd-journal"):
            raise click.UsageError(
                "the journal is not supported; use journalctl -o short-iso | zmban regex - FILTER"
            )
        path = Path(file_path(log))
        self.file = log != "-" and len(log) < 256 and path.exists()
        if self.file and path.is_dir():
            raise click.UsageError(f"{log} is a directory; name a file in it")
        if not self.file and log.startswith("/") and " " not in log:
            raise click.UsageError(f"{log}: no such file")
        kind = "log file" if self.file or log == "-" else "single line"
        self.what = f"Use {kind:>16} : {log}"

    def __iter__(self) -> Iterator[str]:
        if not self.file and self._log != "-":
            yield from self._log.split("\n")
            return
        if not is_plain(self._log):
            yield from self._of_container()
            return
        try:
            with self._open() as file:
                while line := file.readline(LONGEST_LINE + 2):
                    whole = line.endswith("\n")
                    yield line.rstrip("\n").rstrip("\r")
                    while not whole and (rest := file.readline(LONGEST_LINE)):
                        whole = rest.endswith("\n")
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{self._log} cannot be read: {error}") from error

    def _of_container(self) -> Iterator[str]:
        """The lines as the service reads them."""
        for block in plain_blocks(self._log, whole_lines(file_path(self._log))):
            for line in block.split(b"\n")[:-1]:
                yield line.removesuffix(b"\r").decode(self.encoding, "replace")

    def _open(self) -> io.TextIOWrapper:
        stdin = cast(io.BufferedReader, sys.stdin.buffer)
        buffered = stdin if self._log == "-" else io.BufferedReader(io.FileIO(file_path(self._log)))
        packed = buffered.peek(2)[:2] == b"\x1f\x8b"
        source = gzip.GzipFile(fileobj=buffered) if packed else buffered
        return io.TextIOWrapper(source, self.encoding, errors="replace", newline="\n")


def _text_only(lines: _Lines) -> Iterator[str]:
    """The lines without empty lines and comments, which the report does not count."""
    return (line for line in lines if line and not line.startswith("#"))


def _print(texts: Iterable[str], *, at_once: bool) -> None:
    for text in texts:
        sys.stdout.write(f"{text}\n")
        if at_once:
            sys.stdout.flush()
    sys.stdout.flush()
