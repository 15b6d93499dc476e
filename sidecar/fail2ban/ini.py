"""Fail2Ban's INI dialect: one text becomes sections of options that remember file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sidecar.model import Fault

_SECTION = re.compile(r"\[([^\]]+)\]\s*(?:[#;].*)?$")
_OPTION = re.compile(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)$")
_INLINE_COMMENT = re.compile(r"\s;.*$")
# What word processors and blogs make of - and of straight quotes.
_TYPOGRAPHIC = re.compile("[\u2013\u2014\u2018\u2019\u201c\u201d\u00a0]")


@dataclass(frozen=True, slots=True)
class Option:
    """A raw value (continuation lines joined by newlines), where it stands, and what it replaced.

    `lines` has the line number of each line of `value`. `known` is the value that an earlier file gave.
    """

    value: str
    file: str
    lines: tuple[int, ...]
    known: Option | None = None

    @property
    def line(self) -> int:
        """The line number of the option's name."""
        return self.lines[0]


Section = dict[str, Option]


@dataclass(slots=True)
class Ini:
    """The sections of one file, or of several merged; faults are collected, not raised."""

    sections: dict[str, Section] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def merge(self, later: Ini) -> None:
        """Lay a later file over this one, option by option."""
        for name, options in later.sections.items():
            section = self.sections.setdefault(name, {})
            for key, option in options.items():
                before = section.get(key)
                section[key] = Option(option.value, option.file, option.lines, before)
        self.faults.extend(later.faults)


class _Reader:
    """The state while one text is read: the open section, the open option and its indentation."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.ini = Ini()
        self.section: Section | None = None
        self.name = ""
        self.key: str | None = None
        self.indent = 0
        self.orphan = False

    def fault(self, number: int, message: str, *, warning: bool = False) -> None:
        jail = self.name if self.section is not None and self.name != "DEFAULT" else None
        self.ini.faults.append(Fault(self.file, number, message, jail, warning))

    def feed(self, number: int, raw: str) -> None:
        line = raw.rstrip("\r\n").rstrip()
        bare = line.strip()
        if not bare:
            self._continue(number, "")
            return
        if bare[0] in "#;":
            return
        indent = len(line) - len(line.lstrip())
        value = _INLINE_COMMENT.sub("", bare)
        if self.key is not None and indent > self.indent:
            self._continue(number, value)
            return
        header = _SECTION.match(bare)
        if header:
            self._open(number, header.group(1))
        else:
            self._option(number, indent, value)
        found = _TYPOGRAPHIC.search(line)
        if found and not header:
            self.fault(
                number,
                f"{found.group()!r} is a typographic character, as copied from a web page; "
                "did you mean - ' or \" ?",
                warning=True,
            )

    def _continue(self, number: int, text: str) -> None:
        if self.section is None or self.key is None:
            return
        option = self.section[self.key]
        self.section[self.key] = Option(f"{option.value}\n{text}", option.file, (*option.lines, number))

    def _open(self, number: int, name: str) -> None:
        if name in self.ini.sections:
            self.name = name
            self.section = self.ini.sections[name]
            self.fault(number, f"section [{name}] stands twice in this file; join the two")
        self.name, self.key = name, None
        self.section = self.ini.sections.setdefault(name, {})

    def _option(self, number: int, indent: int, text: str) -> None:
        found = _OPTION.match(text)
        if self.section is None:
            if not self.orphan:
                self.fault(
                    number,
                    "text before the first [section]; a filter begins with [Definition], a jail with [NAME]",
                )
            self.orphan = True
            return
        if not found:
            self.fault(number, f"{text[:60]!r} is no option; write: name = value")
            self.key = None
            return
        key = found.group(1).strip().lower()
        if key in self.section:
            self.fault(number, f"option {key} stands twice in [{self.name}]; remove one")
        self.section[key] = Option(found.group(2).strip(), self.file, (number,))
        self.key, self.indent = key, indent


def parse(text: str, file: str) -> Ini:
    """Read one file's text. `file` is only a name for messages. Never raises: see `Ini.faults`."""
    reader = _Reader(file)
    for number, line in enumerate(text.split("\n"), start=1):
        reader.feed(number, line)
    for section in reader.ini.sections.values():
        for key, option in section.items():
            stripped = option.value.rstrip("\n")
            section[key] = Option(stripped, option.file, option.lines[: stripped.count("\n") + 1])
    return reader.ini
