"""The report of `zmban regex`: the blocks of fail2ban-regex, in their order and with their headings."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import ClassVar

import click

from sidecar.app.regex import Reading, Target
from sidecar.cli.output import moment, printable
from sidecar.fail2ban.filters import Pattern

_MOST_SHOWN = 20
_TAG = re.compile(r"<([^<>\s]+)>")
_KINDS = {
    "filter": "Use   failregex filter file",
    "file": "Use   failregex file",
    "jail": "Use   jail",
    "line": "Use   failregex line",
}


@dataclass(slots=True)
class Shown:
    """The lines of one kind that are printed: all, none, or the first few where there are no more."""

    all: bool = False
    none: bool = False
    lines: list[str] = attribute(default_factory=list)
    number: int = 0

    WORDS: ClassVar[tuple[str, ...]] = ("matched", "ignored", "missed")

    def add(self, line: str) -> None:
        self.number += 1
        if self.all or len(self.lines) <= _MOST_SHOWN:
            self.lines.append(line)

    def tell(self, word: str) -> None:
        title = f"{word.capitalize()} line(s):"
        # What matched is what one looks for; it is printed on demand only.
        if not self.number or self.none or (word == "matched" and not self.all):
            return
        if self.all or self.number <= _MOST_SHOWN:
            _block(f"|- {title}", [f"|  {printable(line)}" for line in self.lines])
        else:
            text = f"too many to print.  Use --print-all-{word} to print all {self.number} lines"
            click.echo(f"{title} {text}")


class Report:
    """Counts readings, and prints what became of them at the end."""

    def __init__(self, target: Target, *, verbose: bool, shown: dict[str, Shown]) -> None:
        self._target, self._verbose, self._shown = target, verbose, shown
        self._hits: Counter[int] = Counter()
        self._ignores: Counter[int] = Counter()
        self._dates: Counter[str] = Counter()
        self._told: dict[int, list[str]] = {}
        self._framed: list[str] = []
        self._lines = self._prefixed = 0
        self._begun = time.perf_counter()

    def begin(self, what: str, encoding: str, ignore: str | None) -> None:
        """What is tried with what."""
        spec = self._target.spec
        click.echo("\nRunning tests\n=============\n")
        click.echo(f"{_KINDS[self._target.kind]} : {printable(self._target.name)}")
        if ignore is not None:
            click.echo(f"Use ignoreregex line : {printable(ignore)}")
        if spec.maxlines > 1:
            click.echo(f"Use         maxlines : {spec.maxlines}")
        if spec.datepattern:
            click.echo(f"Use      datepattern : {printable(' '.join(spec.datepattern))}")
        click.echo(f"{printable(what)}\nUse         encoding : {encoding}\n\n\nResults\n=======\n")

    def add(self, reading: Reading) -> None:
        """Count one line."""
        self._lines += 1
        self._prefixed += reading.prefixed
        self._hits.update(reading.hits)
        if reading.ignored_by >= 0:
            self._ignores[reading.ignored_by] += 1
        if reading.template is not None:
            self._dates[reading.template.pattern] += 1
        if self._verbose and reading.regex >= 0:
            host = reading.host or "-"
            self._told.setdefault(reading.regex, []).append(f"{host}  {moment(reading.time or 0)}")
        if reading.framed:
            self._framed.append(f"{reading.line}  (its client: {reading.framed})")
        # A line that only belongs to a session counts as ignored, where all hits are counted; as there.
        passed = reading.ignored or (reading.hits and not reading.matched and not reading.framed)
        self._shown["matched" if reading.matched else "ignored" if passed else "missed"].add(reading.line)

    def end(self) -> None:
        """Print it all."""
        spec = self._target.spec
        if spec.prefregex:
            click.echo(f"Prefregex: {self._prefixed} total\n|  {spec.prefregex.text}\n`-\n")
        self._regexes("Failregex", spec.failregex, self._hits)
        self._regexes("Ignoreregex", spec.ignoreregex, self._ignores)
        if self._dates:
            lines = [f"|  [{number}] {name}" for name, number in self._dates.most_common()]
            _block("Date template hits:\n|- [# of hits] date format", lines)
            click.echo()
        counts = {word: shown.number for word, shown in self._shown.items()}
        click.echo(
            f"Lines: {self._lines} lines, {counts['ignored']} ignored, {counts['matched']} matched, "
            f"{counts['missed']} missed"
        )
        click.echo(f"[processed in {time.perf_counter() - self._begun:.2f} sec]\n")
        if self._framed:
            title = "|- Framed line(s), which name somebody else than their client and ban nobody:"
            _block(title, [f"|  {printable(line)}" for line in self._framed[:_MOST_SHOWN]])
        for word, shown in self._shown.items():
            shown.tell(word)

    def _regexes(self, title: str, patterns: tuple[Pattern, ...], hits: Counter[int]) -> None:
        click.echo(f"{title}: {hits.total()} total")
        lines: list[str] = []
        for index, pattern in enumerate(patterns):
            if hits[index] or self._verbose:
                lines.append(f"|{index + 1:>4}) [{hits[index]}] {pattern.text}")
                if title == "Failregex":
                    lines += [f"|      {told}" for told in self._told.get(index, ())]
        if lines:
            _block("|-  #) [# of hits] regular expression", lines)
        click.echo()


def _block(title: str, lines: list[str]) -> None:
    click.echo("\n".join((title, *lines, "`-")))


def field(reading: Reading, what: str) -> str:
    """What `--out` asks of a match: one thing by its name, a row, or a text with tags."""
    if what == "row":
        return f"[{reading.host!r},\t{reading.time!r},\t{reading.groups!r}],"
    told = _TAG.sub(lambda tag: _named(reading, tag.group(1)), what) if "<" in what else _named(reading, what)
    return "\n".join(map(printable, told.split("\n")))


def _named(reading: Reading, name: str) -> str:
    match name.lower():
        case "id" | "fid" | "ip" | "host":
            return reading.host or ""
        case "time":
            return "" if reading.time is None else f"{reading.time:g}"
        case "msg" | "matches":
            return "\n".join(reading.lines)
        case group:
            return str(reading.groups.get(group.removeprefix("f-").replace("-", "_"), ""))
