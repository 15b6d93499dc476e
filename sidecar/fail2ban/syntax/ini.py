"""Parses Fail2Ban's INI dialect into sections of options with their file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sidecar.fail2ban.syntax import hints
from sidecar.model import Fault

# As in Python's configparser, text after the closing bracket of a header is ignored.
_SECTION = re.compile(r"\[(.+)\]")
_DELIMITER = re.compile("[=:]")
# Characters that occur in a wrapped regex between brackets, but not in a section name.
_PIECE = re.compile(r"[\\<>]|\.[*+]")
# A header in wrong brackets, or a name without a value.
_MANGLED = re.compile(r"[\[{(<]+ *[\w.-]+ *[\])}>]*|[\w.-]+ *[\])}>]+|[\w.-]+:")
_INLINE_COMMENT = re.compile(r"\s;.*$")
# The key under which a lost section stores its broken header.
HEADER = "[]"
# Options that occur in jails only.
_JAIL_ONLY = ("enabled", "filter", "logpath")
NOT_JAILS = ("DEFAULT", "INCLUDES")
_OF_FILTER = re.compile(r"(?:^|/)(?:filter|action)\.d/")
_UNIQUE_SECTIONS = ("Definition", "Init", "INCLUDES")


@dataclass(frozen=True, slots=True)
class Option:
    """A raw value (continuation lines joined by newlines), its place, and the value that it overrides.

    `lines` has the line number of each line of `value`. `known` is the option of an earlier file; `late`: an
    earlier file already has the section.
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
    """The sections of one file, or of several merged files; faults are collected, not raised.

    `files` are the names of these files, in the order they were read. `lost` are options whose section is
    unknown: they have no effect, except that hosts in their `ignoreip` are not banned.
    """

    sections: dict[str, Section] = field(default_factory=dict)
    lost: list[Section] = field(default_factory=list)
    # Sections whose `enabled` line cannot be parsed.
    undecided: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def merge(self, later: Ini) -> None:
        """Override this by a later file, per option; `[Init?x=y]` becomes `[Init]` with `option?x=y`."""
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
        self.lost.extend(later.lost)
        self.undecided |= later.undecided


class _Reader:
    """Parser state: the open section, the open option and its indentation."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.ini = Ini(files=[file])
        # Options above the first header, or below a lost one, go to a section without a name.
        self.section: Section = {}
        self.name: str | None = None
        self.key: str | None = None
        self.indent = 0
        # The section, lines and line numbers of the value that is still open.
        self.target: Section = self.section
        self.value: list[str] = []
        self.numbers: list[int] = []
        # A block: the options since the last gap (empty line or comment), and the number of its first line.
        self.block: list[str] = []
        self.since = 1
        self.gap = True
        # Whether this block begins with an invalid line, which may be a broken header.
        self.doubt = False
        # The last option, and whether a piece of its value was found without indentation.
        self.last, self.torn = "", False
        # In a filter's file, an invalid line is probably a piece of a regex.
        self.of_filter = _OF_FILTER.search(file) is not None
        # The options above the first section, and the number of their first line.
        self.orphans, self.first = self.section, 0

    def fault(self, number: int, message: str, *, warning: bool = False, stops: bool = False) -> None:
        jail = self.name if self.name != "DEFAULT" else None
        self.ini.faults.append(Fault(self.file, number, message, jail, warning, stops))

    def feed(self, number: int, raw: str) -> None:
        line = raw.rstrip()
        bare = line.strip()
        if not bare or bare[0] in "#;":
            if not bare:
                self._continue(number, "")
            self.gap = True
            return
        if "\0" in line:
            self._binary(number, bare.replace("\0", " "))
            return
        indent = len(line) - len(line.lstrip())
        value = _INLINE_COMMENT.sub("", bare).rstrip()
        if self.key is not None and indent > self.indent:
            self._continue(number, value)
        else:
            self._statement(number, indent, value)
            self.gap = False
        for sentence in hints.copied(value):
            self.fault(number, sentence, warning=True)

    def _keep_ignoreip(self, text: str, *, above: str) -> None:
        """Keep the hosts of an unreadable line that belongs to an ignoreip, so that they are still
        ignored."""
        word = re.split(r"[\s=:]", text, maxsplit=1)[0].lower()
        if "ignoreip" in (above, word, hints.misspelt(word)):
            self.ini.lost.append({"ignoreip": Option(text, self.file, (0,))})

    def _binary(self, number: int, rest: str) -> None:
        """A line with binary data. Reported once per file, since a binary file has many."""
        self._keep_ignoreip(rest, above=self.key or self.last)
        text = "binary data instead of text; rewrite the file, or move it away"
        stops = self.key is not None and self._narrows(self.key)
        if stops or not any(fault.message == text for fault in self.ini.faults):
            self.fault(number, text, stops=stops)

    def _narrows(self, key: str) -> bool:
        """Whether a filter would match more, or the wrong hosts, without a part of this option."""
        return key != "failregex" and (key.endswith("regex") or self.of_filter)

    def _continue(self, number: int, text: str) -> None:
        if self.key is not None:
            self.value.append(text)
            self.numbers.append(number)

    def close(self) -> None:
        """End the open option and store its value."""
        if self.key is not None:
            value = "\n".join(self.value).rstrip("\n")
            lines = tuple(self.numbers[: value.count("\n") + 1])
            self.target[self.key] = Option(value, self.file, lines)
        self.key = None

    def _statement(self, number: int, indent: int, text: str) -> None:
        """A line that is not a continuation: a header, an option, or an invalid line."""
        above = self.last
        self.close()
        header = _SECTION.match(text)
        piece = header is not None and bool(above) and _PIECE.search(header.group(1)) is not None
        if header and not piece:
            self._open(number, header.group(1))
            return
        key, value = _split(text)
        if self.gap:
            self.block, self.since, self.doubt = [], number, False
        if self.name is None and not (self.ini.sections or self.ini.lost or text.startswith("[")):
            self.first = self.first or number
        odd = bool(above) and (piece or hints.regex_like(key or text))
        if odd and (above.endswith("regex") or self.of_filter):
            self._tear(number, indent, above, text)
        elif text.startswith("[") or (not key and text.endswith("]")) or self._mangled(text):
            self.block, self.since = [], number
            self._lose(number, f"{text[:60]!r} is not a complete header; write [NAME]")
            self.section[HEADER] = Option(text, self.file, (number,))
        elif key and not odd:
            self._begin(number, indent, key, value)
        else:
            self._unreadable(number, above, text)

    def _mangled(self, text: str) -> bool:
        """Whether a line after a gap may be a header with wrong or missing brackets."""
        possible = self.gap and not self.of_filter
        return possible and _MANGLED.fullmatch(text) is not None and not _known(text.rstrip(":"))

    def _open(self, number: int, name: str) -> None:
        self.name, again = name, name in self.ini.sections
        self.section = self.ini.sections.setdefault(name, {})
        self.block, self.since, self.doubt, self.last = list(self.section), number, False, ""
        if again:
            self.fault(number, f"section [{name[:60]}] occurs twice in this file; merge the two")

    def _begin(self, number: int, indent: int, key: str, value: str) -> None:
        self.target = self.section
        if self.name is not None and key in self.section:
            self._twice(number, key)
        elif self.name == "DEFAULT" and self.doubt and key in _JAIL_ONLY:
            self._lose(self.since, "a [NAME] header is missing here; write it above these jail options")
        self.block.append(key)
        self.key, self.last, self.indent, self.torn = key, key, indent, False
        self.value, self.numbers = [value], [number]

    def _twice(self, number: int, key: str) -> None:
        """Drop a repeated option. After a gap it is taken for the first of a section without its header."""
        text = f"option {key[:60]} is set twice in [{str(self.name)[:60]}]"
        if key in self.block or self.name in _UNIQUE_SECTIONS:
            self.fault(number, f"{text}; the first value applies, remove one")
            self.target = {}
            self.ini.lost.append(self.target)
        else:
            self._lose(number, f"{text}; remove one, or write the missing [NAME] of another jail above it")

    def _lose(self, number: int, message: str) -> None:
        """Drop the options of this block, and all up to the next header: their section is unknown."""
        self.fault(number, f"{message}; everything from line {self.since} to the next [section] is ignored")
        block = self.block if self.name is not None else []
        lost: Section = {key: self.section.pop(key) for key in block if key in self.section}
        self.section, self.target, self.name, self.last = lost, lost, None, ""
        self.ini.lost.append(lost)

    def _tear(self, number: int, indent: int, above: str, text: str) -> None:
        """An unindented piece of a value; the line it was cut from would match too much and is dropped."""
        tab = " (a tab counts as one space)" if indent else ""
        cure = f"{text[:60]!r} is not an option; if it belongs to {above[:40]}, indent this line deeper{tab}"
        self.fault(number, cure, stops=self._narrows(above))
        self._keep_ignoreip(text, above=above)
        if above == "failregex" and not self.torn:
            option = self.target.pop(above)
            lines = option.value.rstrip("\n").split("\n")[:-1]
            if any(lines):
                self.target[above] = Option("\n".join(lines), option.file, option.lines[: len(lines)])
        self.torn = True

    def _unreadable(self, number: int, above: str, text: str) -> None:
        """A line that is neither option nor header: dropped alone, or with its block if it may be a
        header."""
        self._keep_ignoreip(text, above=above)
        word = text.split(maxsplit=1)[0]
        if self.name is None:
            return
        if "enabled" in (word.lower(), hints.misspelt(word.lower())):
            self.ini.undecided.add(self.name)
        of_jail = not self.of_filter and self.name != "DEFAULT"
        if self.gap and self.section and of_jail and not _known(word):
            self._lose(number, f"{text[:60]!r} is neither an option nor a [NAME]")
            return
        cure = f", or indent it deeper if it belongs to {above[:40]}" if above else ""
        self.fault(number, f"{text[:60]!r} is not an option; write: name = value{cure}")
        self.doubt = self.gap

    def finish(self) -> Ini:
        self.close()
        if self.first:
            self.ini.lost.append(self.orphans)
            text = f"text before the first [section]; {_header(self.orphans, of_filter=self.of_filter)}"
            self.ini.faults.insert(0, Fault(self.file, self.first, text))
        return self.ini


def _known(word: str) -> bool:
    """Whether `word` is the name of a jail option, or close to one."""
    return word.lower() in hints.JAIL_OPTIONS or hints.misspelt(word.lower()) is not None


def _split(text: str) -> tuple[str, str]:
    """Name and value of an option; two empty texts if the line is not an option."""
    found = _DELIMITER.search(text)
    return (text[: found.start()].strip().lower(), text[found.end() :].strip()) if found else ("", "")


def _header(options: Section, *, of_filter: bool) -> str:
    """The cure for a missing header, judged by the file and its options."""
    if of_filter or "failregex" in options:
        return "write [Definition] above it (copying from a web page may have lost it)"
    if "enabled" in options or "logpath" in options:
        name = options["filter"].value.partition("[")[0].strip() if "filter" in options else ""
        return f"write the jail's name above it, such as [{name or 'zimbra-smtp'}]"
    return "a filter begins with [Definition], a jail with [NAME], defaults for all jails with [DEFAULT]"


def parse(text: str, file: str) -> Ini:
    """Parse one file's text. `file` is only used in messages. Never raises: see `Ini.faults`."""
    reader = _Reader(file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        reader.feed(number, line)
    return reader.finish()
