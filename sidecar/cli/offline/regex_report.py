"""The report of `zmban regex`: the blocks of fail2ban-regex, in the same order, with the same headings."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from tempfile import SpooledTemporaryFile

import click

from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.fail2ban.spec import Pattern
from sidecar.model import counted, printable
from sidecar.offline.lines.regex_test import LineResult, Target, too_long

# As in fail2ban-regex: from this number on, lines are printed only with --print-all.
_TOO_MANY = 20
WORDS = ("matched", "ignored", "missed")
_IN_MEMORY = 1 << 20
_KINDS = {
    "filter": "Use   failregex filter file",
    "file": "Use   failregex file",
    "jail": "Use   jail",
    "line": "Use   failregex line",
}


class SpooledLines:
    """Lines that are printed at the end. Above 1 MiB they are kept on disk."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - read at the end
        self.number = 0

    def add(self, line: str) -> None:
        self._file.write(f"{printable(line)}\n")
        self.number += 1

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        return (line.removesuffix("\n") for line in self._file)


class Shown:
    """The lines of one kind to print: all, none, or all if they are fewer than `_TOO_MANY`.

    The newest `late` lines can be taken back, because a later line may show that they belong to a failure.
    """

    def __init__(self, *, all_of_them: bool, none: bool, late: int = 0) -> None:
        self._all, self._none = all_of_them, none
        self._newest: deque[str] = deque()
        self._late = late
        self._lines = SpooledLines()
        self.number = 0

    def add(self, line: str) -> None:
        self.number += 1
        if not self._late:
            self._keep(line)
            return
        self._newest.append(line)
        if len(self._newest) > self._late:
            self._keep(self._newest.popleft())

    def take(self, line: str) -> bool:
        """Remove this line if it is one of the newest. Returns whether it was."""
        if line not in self._newest:
            return False
        self._newest.remove(line)
        self.number -= 1
        return True

    def _keep(self, line: str) -> None:
        if not self._none and (self._all or self._lines.number < _TOO_MANY):
            self._lines.add(line)

    def print_lines(self, word: str) -> None:
        """Print the lines under their heading. Matched lines are printed only with --print-all-matched."""
        title = f"{word.capitalize()} line(s):"
        if not self.number or self._none or (word == "matched" and not self._all):
            return
        while self._newest:
            self._keep(self._newest.popleft())
        if self._all or self.number < _TOO_MANY:
            _block(f"|- {title}", (f"|  {line}" for line in self._lines))
        else:
            text = f"too many to print.  Use --print-all-{word} to print all {self.number} lines"
            click.echo(f"{title} {text}")


class Report:
    """Counts line results, and prints the report at the end."""

    def __init__(self, target: Target, *, verbose: bool, shown: dict[str, Shown]) -> None:
        self._target, self._verbose, self._shown = target, verbose, shown
        self._hits: Counter[int] = Counter()
        self._ignores: Counter[int] = Counter()
        self._dates: Counter[str] = Counter()
        self._times: dict[int, SpooledLines] = {}
        self._framed: list[str] = []
        self._lines = self._prefixed = self._long = self._frames = 0
        self._begun = time.perf_counter()

    def begin(self, what: str, encoding: str, ignore: str | None) -> None:
        """Print the head of the report: filter, log and options."""
        spec = self._target.spec
        click.echo("\nRunning tests\n=============\n")
        click.echo(f"{_KINDS[self._target.kind]} : {printable(self._target.name)}")
        if ignore is not None:
            click.echo(f"Use ignoreregex line : {printable(ignore)}")
        if spec.maxlines > 1:
            click.echo(f"Use         maxlines : {spec.maxlines}")
        if spec.datepattern:
            click.echo(f"Use      datepattern : {printable(' '.join(spec.datepattern))}")
        click.echo(f"{printable(what)}\nUse         encoding : {encoding.upper()}\n\n\nResults\n=======\n")

    def add(self, reading: LineResult) -> None:
        """Count one line."""
        self._lines += 1
        self._prefixed += reading.prefixed
        self._long += too_long(reading.line)
        self._hits.update(reading.hits)
        self._ignores.update(reading.ignores)
        if reading.template is not None:
            self._dates[reading.template.pattern] += 1
        if self._verbose:
            for index in reading.hits:
                hit = f"{reading.named or '-'}  {_local_time(reading.time)}"
                self._times.setdefault(index, SpooledLines()).add(hit)
        if reading.framed:
            self._frames += 1
            if len(self._framed) < _TOO_MANY:
                self._framed.append(f"|  {printable(reading.line)}  (client: {printable(reading.framed)})")
        if reading.matched and self._target.spec.maxlines > 1:
            for line in reading.lines[:-1]:
                if self._shown["missed"].take(line):
                    self._shown["matched"].add(line)
        # As in fail2ban-regex: a line that matches but is only part of a session counts as ignored.
        passed = reading.ignored or (reading.hits and not reading.matched and not reading.framed)
        self._shown["matched" if reading.matched else "ignored" if passed else "missed"].add(reading.line)

    def end(self) -> None:
        """Print the results."""
        spec = self._target.spec
        if spec.prefregex:
            click.echo(f"Prefregex: {self._prefixed} total\n|  {printable(spec.prefregex.text)}\n`-\n")
        self._regexes("Failregex", spec.failregex, self._hits)
        self._regexes("Ignoreregex", spec.ignoreregex, self._ignores)
        click.echo("Date template hits:")
        if self._dates:
            lines = [f"|  [{number}] {name}" for name, number in self._dates.most_common()]
            _block("|- [# of hits] date format", lines)
        counts = {word: shown.number for word, shown in self._shown.items()}
        click.echo(
            f"\nLines: {self._lines} lines, {counts['ignored']} ignored, {counts['matched']} matched, "
            f"{counts['missed']} missed"
        )
        click.echo(f"[processed in {time.perf_counter() - self._begun:.2f} sec]\n")
        if self._long:
            click.echo(
                f"Too long: {counted(self._long, 'line')} of more than {LONGEST_LINE} bytes, "
                "skipped by all jails\n"
            )
        if self._frames:
            # Not in fail2ban-regex: the filter names a host that is not the client.
            number = (
                f"{counted(self._frames, 'line')} where the filter names another host than the client: no ban"
            )
            _block(f"Framed: {number}\n|- Framed line(s):", self._framed)
        for word, shown in self._shown.items():
            shown.print_lines(word)

    def _regexes(self, title: str, patterns: tuple[Pattern, ...], hits: Counter[int]) -> None:
        click.echo(f"{title}: {hits.total()} total")
        lines: list[tuple[str, Iterable[str]]] = []
        for index, pattern in enumerate(patterns):
            if hits[index] or self._verbose:
                times = self._times.get(index, ()) if title == "Failregex" else ()
                lines.append((f"|{index + 1:>4}) [{hits[index]}] {printable(pattern.text)}", times))
        if lines:
            whole = (chain([head], (f"|      {one}" for one in times)) for head, times in lines)
            _block("|-  #) [# of hits] regular expression", chain.from_iterable(whole))
        click.echo()


def _local_time(at: float | None) -> str:
    """Local time in the format of fail2ban-regex. A line without a date has the current time."""
    when = datetime.fromtimestamp(time.time() if at is None else at).astimezone()
    return when.strftime("%a %b %d %H:%M:%S %Y")


def _block(title: str, lines: Iterable[str]) -> None:
    click.echo(title)
    for line in lines:
        click.echo(line)
    click.echo("`-")
