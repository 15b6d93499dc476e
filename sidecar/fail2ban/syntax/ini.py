"""Fail2Ban's INI dialect: one text becomes sections of options that remember file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sidecar.fail2ban.syntax import hints
from sidecar.model import Fault

# As Python's configparser reads them: what stands behind the bracket of a section is passed over.
_SECTION = re.compile(r"\[(.+)\]")
_DELIMITER = re.compile("[=:]")
# What no section is called, but a wrapped regex may hold between brackets.
_PIECE = re.compile(r"[\\<>]|\.[*+]")
# A header in other brackets, or a name with nothing behind it.
_MANGLED = re.compile(r"[\[{(<]+ *[\w.-]+ *[\])}>]*|[\w.-]+ *[\])}>]+|[\w.-]+:")
_INLINE_COMMENT = re.compile(r"\s;.*$")
# Under this name a lost section keeps its header, as far as there was one.
HEADER = "[]"
# Options that only a jail has.
_HEADS = ("enabled", "filter", "logpath")
NOT_JAILS = ("DEFAULT", "INCLUDES")
_OF_FILTER = re.compile(r"(?:^|/)(?:filter|action)\.d/")
# Sections of a filter, of which no file has several.
_OF_FILTERS = ("Definition", "Init", "INCLUDES")


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

    `files` are the names of those files, in the order in which they were read. `lost` are options of which it
    is not known whose they are: they do not count, but whom they ignore must not suffer from it.
    """

    sections: dict[str, Section] = field(default_factory=dict)
    lost: list[Section] = field(default_factory=list)
    # Sections of which it cannot be read whether they are enabled.
    undecided: set[str] = field(default_factory=set)
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
        self.lost.extend(later.lost)
        self.undecided |= later.undecided


class _Reader:
    """The state while one text is read: the open section, the open option and its indentation."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.ini = Ini(files=[file])
        # What stands above the first header, or below one that is lost, is in a section without a name.
        self.section: Section = {}
        self.name: str | None = None
        self.key: str | None = None
        self.indent = 0
        # Where the value that is still open goes; its lines and their numbers.
        self.target: Section = self.section
        self.value: list[str] = []
        self.numbers: list[int] = []
        # The options since the last gap, an empty line or a comment, and the number of the first line there.
        self.block: list[str] = []
        self.since = 1
        self.gap = True
        # Whether this block begins with a line that is no option: it may be a lost header.
        self.doubt = False
        # The option that was begun last, and whether a piece of its value was found at the margin.
        self.last, self.torn = "", False
        # What is in a filter's file is a regex, or a piece of one.
        self.of_filter = _OF_FILTER.search(file) is not None
        # What stands above the first section, and the number of its first line.
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

    def _spare(self, text: str, *, by: str) -> None:
        """Whom a line names that cannot be read is ignored all the same, if it belongs to an ignoreip."""
        word = re.split(r"[\s=:]", text, maxsplit=1)[0].lower()
        if "ignoreip" in (by, word, hints.misspelt(word)):
            self.ini.lost.append({"ignoreip": Option(text, self.file, (0,))})

    def _binary(self, number: int, rest: str) -> None:
        """A line that is no text: told once, for of a binary file each is one."""
        self._spare(rest, by=self.key or self.last)
        text = "is no text but binary: write it anew, or move it away"
        stops = self.key is not None and self._narrows(self.key)
        if stops or not any(fault.message == text for fault in self.ini.faults):
            self.fault(number, text, stops=stops)

    def _narrows(self, key: str) -> bool:
        """Whether a filter finds more than was meant, or somebody else, without a part of this option."""
        return key != "failregex" and (key.endswith("regex") or self.of_filter)

    def _continue(self, number: int, text: str) -> None:
        if self.key is not None:
            self.value.append(text)
            self.numbers.append(number)

    def close(self) -> None:
        """The open option is complete: nothing more belongs to its value."""
        if self.key is not None:
            value = "\n".join(self.value).rstrip("\n")
            lines = tuple(self.numbers[: value.count("\n") + 1])
            self.target[self.key] = Option(value, self.file, lines)
        self.key = None

    def _statement(self, number: int, indent: int, text: str) -> None:
        """A line that continues nothing: a header, an option, or what cannot be read."""
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
            self._lose(number, f"{text[:60]!r} is no whole header; write [NAME]")
            self.section[HEADER] = Option(text, self.file, (number,))
        elif key and not odd:
            self._begin(number, indent, key, value)
        else:
            self._unreadable(number, above, text)

    def _mangled(self, text: str) -> bool:
        """Whether a line behind a gap may be a header in other brackets, or without any."""
        behind = self.gap and not self.of_filter
        return behind and _MANGLED.fullmatch(text) is not None and not _known(text.rstrip(":"))

    def _open(self, number: int, name: str) -> None:
        self.name, again = name, name in self.ini.sections
        self.section = self.ini.sections.setdefault(name, {})
        self.block, self.since, self.doubt, self.last = list(self.section), number, False, ""
        if again:
            self.fault(number, f"section [{name[:60]}] stands twice in this file; join the two")

    def _begin(self, number: int, indent: int, key: str, value: str) -> None:
        self.target = self.section
        if self.name is not None and key in self.section:
            self._twice(number, key)
        elif self.name == "DEFAULT" and self.doubt and key in _HEADS:
            self._lose(self.since, "a [NAME] is lost here; write it above these options of a jail")
        self.block.append(key)
        self.key, self.last, self.indent, self.torn = key, key, indent, False
        self.value, self.numbers = [value], [number]

    def _twice(self, number: int, key: str) -> None:
        """An option that its section has already costs itself; behind a gap it is the first of another
        section, whose header is lost."""
        text = f"option {key[:60]} stands twice in [{str(self.name)[:60]}]"
        if key in self.block or self.name in _OF_FILTERS:
            self.fault(number, f"{text}; the first counts, remove one")
            self.target = {}
            self.ini.lost.append(self.target)
        else:
            self._lose(number, f"{text}; remove one, or write the lost [NAME] of another jail above it")

    def _lose(self, number: int, message: str) -> None:
        """Whose the options of this block are is not known, nor whose all up to the next header."""
        self.fault(number, f"{message}; nothing from line {self.since} to the next [section] counts")
        block = self.block if self.name is not None else []
        lost: Section = {key: self.section.pop(key) for key in block if key in self.section}
        self.section, self.target, self.name, self.last = lost, lost, None, ""
        self.ini.lost.append(lost)

    def _tear(self, number: int, indent: int, above: str, text: str) -> None:
        """A piece of the value above, at the margin: what it was cut off from finds more than was meant."""
        tab = " (a tab is one blank)" if indent else ""
        cure = f"{text[:60]!r} is no option; if it belongs to {above[:40]}, indent this line deeper{tab}"
        self.fault(number, cure, stops=self._narrows(above))
        self._spare(text, by=above)
        if above == "failregex" and not self.torn:
            option = self.target.pop(above)
            lines = option.value.rstrip("\n").split("\n")[:-1]
            if any(lines):
                self.target[above] = Option("\n".join(lines), option.file, option.lines[: len(lines)])
        self.torn = True

    def _unreadable(self, number: int, above: str, text: str) -> None:
        """No option, no header: what it costs depends on whether it may have been a header."""
        self._spare(text, by=above)
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
        self.fault(number, f"{text[:60]!r} is no option; write: name = value{cure}")
        self.doubt = self.gap

    def finish(self) -> Ini:
        self.close()
        if self.first:
            self.ini.lost.append(self.orphans)
            text = f"text before the first [section]; {_header(self.orphans, of_filter=self.of_filter)}"
            self.ini.faults.insert(0, Fault(self.file, self.first, text))
        return self.ini


def _known(word: str) -> bool:
    """Whether this is the name of an option, or close to one."""
    return word.lower() in hints.JAIL_OPTIONS or hints.misspelt(word.lower()) is not None


def _split(text: str) -> tuple[str, str]:
    """Name and value of an option; no name where the line is none."""
    found = _DELIMITER.search(text)
    return (text[: found.start()].strip().lower(), text[found.end() :].strip()) if found else ("", "")


def _header(options: Section, *, of_filter: bool) -> str:
    """Which header is lost, as web pages lose them: by the place of the file and what stands there."""
    if of_filter or "failregex" in options:
        return "write [Definition] above it, which the copy of a web page may have lost"
    if "enabled" in options or "logpath" in options:
        name = options["filter"].value.partition("[")[0].strip() if "filter" in options else ""
        return f"write the jail's name above it, such as [{name or 'zimbra-smtp'}]"
    return "a filter begins with [Definition], a jail with [NAME], what is for all jails with [DEFAULT]"


def parse(text: str, file: str) -> Ini:
    """Read one file's text. `file` is only a name for messages. Never raises: see `Ini.faults`."""
    reader = _Reader(file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        reader.feed(number, line)
    return reader.finish()
