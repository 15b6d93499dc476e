"""Fail2Ban's INI dialect: one text becomes sections of options that remember file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sidecar.fail2ban import hints
from sidecar.model import Fault

# As Python's configparser reads them: what stands behind the bracket of a section is passed over.
_SECTION = re.compile(r"\[(.+)\]")
_DELIMITER = re.compile("[=:]")
# What no section is called, but a wrapped regex may hold between brackets.
_PIECE = re.compile(r"[\\<>]|\.[*+]")
_INLINE_COMMENT = re.compile(r"\s;.*$")
# Options that begin a jail: one that stands twice may be the first of another.
_HEADS = ("enabled", "filter", "logpath")


@dataclass(frozen=True, slots=True)
class Option:
    """A raw value (continuation lines joined by newlines), where it stands, and what it replaced.

    `lines` has the line number of each line of `value`. `known` is the value that an earlier file gave;
    `late`: an earlier file began its section.
    """

    value: str
    file: str
    lines: tuple[int, ...]
    known: Option | None = None
    late: bool = False

    @property
    def line(self) -> int:
        """The line number of the option's name."""
        return self.lines[0]


Section = dict[str, Option]


@dataclass(slots=True)
class Ini:
    """The sections of one file, or of several merged; faults are collected, not raised.

    `files` are the names of those files, in the order in which they were read.
    """

    sections: dict[str, Section] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def merge(self, later: Ini) -> None:
        """Lay a later file over this one, option by option. `[Init?family=inet6]` is `[Init]` with each
        option named `option?family=inet6`."""
        for title, options in later.sections.items():
            name, mark, condition = title.partition("?")
            late = name in self.sections
            section = self.sections.setdefault(name, {})
            for plain, option in options.items():
                key = f"{plain}{mark}{condition}"
                known = option.known or section.get(key)
                section[key] = Option(option.value, option.file, option.lines, known, option.late or late)
        self.faults.extend(later.faults)
        self.files.extend(later.files)


class _Reader:
    """The state while one text is read: the open section, the open option and its indentation."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.ini = Ini(files=[file])
        self.section: Section | None = None
        self.name = ""
        self.key: str | None = None
        self.indent = 0
        # The value that is still open: its lines and their numbers.
        self.value: list[str] = []
        self.numbers: list[int] = []
        # What stands above the first section: the number of its first line, and its options.
        self.lost = 0
        self.orphans: dict[str, str] = {}

    def fault(self, number: int, message: str, *, warning: bool = False) -> None:
        jail = self.name if self.section is not None and self.name != "DEFAULT" else None
        self.ini.faults.append(Fault(self.file, number, message, jail, warning))

    def feed(self, number: int, raw: str) -> None:
        line = raw.rstrip()
        bare = line.strip()
        if not bare:
            self._continue(number, "")
            return
        if bare[0] in "#;":
            return
        indent = len(line) - len(line.lstrip())
        value = _INLINE_COMMENT.sub("", bare).rstrip()
        header = None
        if self.key is not None and indent > self.indent:
            self._continue(number, value)
        elif header := _SECTION.match(value):
            self._open(number, header.group(1))
        else:
            self._option(number, indent, value)
        for sentence in hints.copied(value):
            self.fault(number, sentence, warning=True)

    def _continue(self, number: int, text: str) -> None:
        if self.key is not None:
            self.value.append(text)
            self.numbers.append(number)

    def close(self) -> None:
        """The open option is complete: nothing more belongs to its value."""
        if self.section is not None and self.key is not None:
            value = "\n".join(self.value).rstrip("\n")
            lines = tuple(self.numbers[: value.count("\n") + 1])
            self.section[self.key] = Option(value, self.file, lines)
        self.key = None

    def _open(self, number: int, name: str) -> None:
        if self.key is not None and _PIECE.search(name):
            text = f"[{name[:60]}] is read as a section; if it belongs to {self.key}, indent this line"
            self.fault(number, text)
        self.close()
        self.name, again = name, name in self.ini.sections
        self.section = self.ini.sections.setdefault(name, {})
        if again:
            self.fault(number, f"section [{name[:60]}] stands twice in this file; join the two")

    def _option(self, number: int, indent: int, text: str) -> None:
        above = self.key
        self.close()
        found = _DELIMITER.search(text)
        key = text[: found.start()].strip().lower() if found else ""
        value = text[found.end() :].strip() if found else ""
        if self.section is None:
            self.lost = self.lost or number
            self.orphans.setdefault(key, value)
            return
        if above and hints.regex_like(key or text):
            # Cut off here, the regex above would find more than was meant.
            text = f"{text[:60]!r} is no option; if it belongs to {above[:40]}, indent this line deeper"
            self.fault(number, text + (" (a tab is one blank)" if indent else ""))
            return
        if not key:
            cure = f", or indent it deeper if it belongs to {above[:40]}" if above else ""
            self.fault(number, f"{text[:60]!r} is no option; write: name = value{cure}")
            return
        if key in self.section:
            cure = ", or write the lost [NAME] of another jail above it" if key in _HEADS else ""
            self.fault(number, f"option {key[:60]} stands twice in [{self.name[:60]}]; remove one{cure}")
        self.key, self.indent = key, indent
        self.value, self.numbers = [value], [number]

    def finish(self) -> Ini:
        self.close()
        if self.lost:
            text = f"text before the first [section]; {_header(self.file, self.orphans)}"
            self.ini.faults.insert(0, Fault(self.file, self.lost, text))
        return self.ini


def _header(file: str, options: dict[str, str]) -> str:
    """Which header is lost, as web pages lose them: by the place of the file and what stands there."""
    if re.search(r"(?:^|/)(?:filter|action)\.d/", file) or "failregex" in options:
        return "write [Definition] above it, which the copy of a web page may have lost"
    if "enabled" in options or "logpath" in options:
        name = options.get("filter", "").partition("[")[0].strip()
        return f"write the jail's name above it, such as [{name or 'zimbra-smtp'}]"
    return "a filter begins with [Definition], a jail with [NAME], what is for all jails with [DEFAULT]"


def parse(text: str, file: str) -> Ini:
    """Read one file's text. `file` is only a name for messages. Never raises: see `Ini.faults`."""
    reader = _Reader(file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        reader.feed(number, line)
    return reader.finish()
