"""Parses one zmban.toml: an invalid line is dropped alone, and every value can be traced to its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.model import Fault

_HEADER = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?$")
_BROKEN_HEADER = re.compile(r"\s*(?:\[\[?[\w .-]*|[\w .-]+\]+)\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w-]+)(?:\s*\.\s*[\w-]+)*\s*=")
_PLACE = re.compile(r" \(at (?:line \d+, column \d+|end of document)\)")
# Everything behind the host of a URL may be a secret, as is a user before it.
_SECRET = re.compile(r"(://)(?:[^\s\"',@/]*@)?([^\s\"',/?#]*)[^\s\"',]*")
# A list of more lines than this is not searched for the invalid line.
_LONGEST = 500


@dataclass(slots=True)
class Document:
    """The sections with their keys and values, the faults, and the text of the parts that were dropped."""

    file: str
    text: str
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def line(self, section: str, key: str = "", entry: object = None) -> int:
        """The line number of an entry, a key or a section; 1 if unknown."""
        inside, found = False, 1
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := _HEADER.match(line):
                inside = header.group(1) == section
            elif not inside:
                continue
            elif key and (match := _KEY.match(line)):
                if match.group(1) != key and found > 1:
                    break
                found = number if match.group(1) == key else found
            if inside and found == 1 and not key:
                return number
            if found > 1 and (entry is None or str(entry) in line):
                return number
        return found


def parse(text: str, file: str) -> Document:
    """Parse a file's text. Never raises: see `faults`."""
    document = Document(file, text)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError):
        _by_statements(document)
        return document
    for section, keys in tables.items():
        if isinstance(keys, dict):
            document.sections[section] = keys
        else:
            _add_outside(document, section, 1, f"{section} = {keys}")
    return document


def _add_outside(document: Document, key: str, number: int, text: str) -> None:
    message = f"{key} is outside any [section]; write [kernel] or another section header above it"
    document.faults.append(Fault(document.file, number, message))
    document.lost.append(text)


def _by_statements(document: Document) -> None:
    """Parse each statement separately, so that an invalid one does not affect the others."""
    section: str | None = ""
    for number, lines in _statements(document.text):
        if header := _HEADER.match(lines[0]):
            section = header.group(1)
            document.sections.setdefault(section, {})
            lines, number = lines[1:], number + 1
        elif _BROKEN_HEADER.match(lines[0]):
            section = None
            text = f"{lines[0].strip()[:60]!r} is not a [section]; everything up to the next one is ignored"
            document.faults.append(Fault(document.file, number, text))
            document.lost.append("\n".join(lines))
            continue
        if not any(line.strip() and not line.lstrip().startswith("#") for line in lines):
            continue
        if section is None:
            document.lost.append("\n".join(lines))
            continue
        _statement(document, section, number, lines)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Split the text into statements, each a header or an option with its continuation lines, as (number of
    the first line, lines)."""
    first, lines = 1, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if lines and (_KEY.match(line) or _HEADER.match(line) or _BROKEN_HEADER.match(line)):
            yield first, lines
            first, lines = number, []
        lines.append(line)
    if lines:
        yield first, lines


def _statement(document: Document, section: str, number: int, lines: list[str]) -> None:
    """Add one option. If it spans several lines, try it without the invalid one."""
    reason, found, bad = _loaded(lines), None, number
    if isinstance(reason, str):
        for place in range(len(lines) - 1, -1, -1) if 1 < len(lines) < _LONGEST else ():
            rest = _loaded(lines[:place] + lines[place + 1 :])
            if not isinstance(rest, str):
                found, bad = rest, number + place
                break
        shown = _SECRET.sub(r"\1\2...", lines[bad - number].strip())[:60]
        text = f"{shown!r} cannot be parsed ({reason}); write: name = value"
        document.faults.append(Fault(document.file, bad, text))
        document.lost.append("\n".join(lines) if found is None else lines[bad - number])
    else:
        found = reason
    for key, value in (found or {}).items():
        target = document.sections.setdefault(section, {}) if section else None
        if target is None and isinstance(value, dict):
            document.sections.setdefault(key, {}).update(value)
        elif target is None:
            _add_outside(document, key, number, "\n".join(lines))
        elif key in target:
            text = f"{key} is set twice in [{section}]; the first value applies, remove one"
            document.faults.append(Fault(document.file, number, text))
            document.lost.append("\n".join(lines))
        else:
            target[key] = value


def _loaded(lines: list[str]) -> dict[str, Any] | str:
    """The keys of these lines, or the reason why they cannot be parsed."""
    try:
        return tomllib.loads("\n".join(lines))
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return _PLACE.sub("", str(error))
