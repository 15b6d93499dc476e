"""What the benchmarks print and write into docs/benchmarks.md: goals, tables, and each its part of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from bench.circumstances import circumstances


@dataclass(frozen=True)
class Goal:
    """What is wanted, what was measured in the same words, and whether that is enough; None if not measured."""

    what: str
    bar: str
    reached: str
    good: bool | None


def missing(what: str, bar: str) -> Goal:
    """A goal of which nothing was measured."""
    return Goal(what, bar, "not measured", None)


@dataclass(frozen=True)
class Table:
    """A table with a title; the first column is text, the others are figures."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self, level: str = "###") -> str:
        """As a section of a page."""
        rule = ("---", *("---:" for _ in self.head[1:]))
        lines = [self.head, rule, *self.rows]
        return f"{level} {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def rich(self) -> RichTable:
        """For a terminal."""
        table = RichTable(title=self.title, title_justify="left")
        for index, name in enumerate(self.head):
            table.add_column(name, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        return table


def goals_table(goals: Iterable[Goal]) -> Table:
    """What was wanted and what was reached."""
    word = {True: "yes", False: "**no**", None: ""}
    rows = [(goal.what, goal.bar, goal.reached, word[goal.good]) for goal in goals]
    return Table("Goals", ("what", "goal", "reached", "enough"), rows)


def show(tables: Iterable[Table], warning: str = "") -> None:
    """Print all tables."""
    console = Console(width=None if Console().is_terminal else 200)
    if warning:
        console.print(warning, "")
    for table in tables:
        console.print(table.rich(), "")


def part(title: str, introduction: str, tables: Iterable[Table]) -> str:
    """A part of a page: the goals, where it was measured, and the other tables."""
    first, *others = [table.markdown() for table in tables]
    told = ", ".join(f"{key} {value}" for key, value in circumstances({}).items())
    return f"## {title}\n{introduction}\n" + "\n".join([first, f"Measured on: {told}\n", *others])


def write(path: Path, name: str, text: str) -> None:
    """Put the part of this name into the page, and leave what others wrote there."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text(encoding="utf-8") if path.is_file() else "# Benchmarks\n"
    if begin not in old:
        old += f"\n{begin}\n{end}\n"
    between = re.compile(rf"{re.escape(begin)}.*{re.escape(end)}\n?", re.DOTALL)
    path.write_text(between.sub(lambda _: f"{begin}\n{text}{end}\n", old), encoding="utf-8")
