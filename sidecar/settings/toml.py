"""One zmban.toml: a line that cannot be read costs that line, and every value knows where it stands."""

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
# A list of more lines than this is not searched for the one that is wrong.
_LONGEST = 500


@dataclass(slots=True)
class Document:
    """Sections of keys and values; what is wrong; the text of what could not be read."""

    file: str
    text: str
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def line(self, section: str, key: str = "", entry: object = None) -> int:
        """The number of the line that an entry, a key or a section stands in; 1 if that is not known."""
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
    """Read a whole text. Never raises: see `faults`."""
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
            _outside(document, section, 1, f"{section} = {keys}")
    return document


def _outside(document: Document, key: str, number: int, text: str) -> None:
    message = f"{key} stands outside a [section]; write [kernel] or another above it"
    document.faults.append(Fault(document.file, number, message))
    document.lost.append(text)


def _by_statements(document: Document) -> None:
    """Each option by itself: of what stands in a line that cannot be read nothing else depends."""
    section: str | None = ""
    for number, lines in _statements(document.text):
        if header := _HEADER.match(lines[0]):
            section = header.group(1)
            document.sections.setdefault(section, {})
            lines, number = lines[1:], number + 1
        elif _BROKEN_HEADER.match(lines[0]):
            section = None
            text = f"{lines[0].strip()[:60]!r} is no [section]; nothing up to the next one counts"
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
    """The lines of each header and option, with the number of their first; what begins nothing belongs to
    what stands above it."""
    begun, lines = 1, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if lines and (_KEY.match(line) or _HEADER.match(line) or _BROKEN_HEADER.match(line)):
            yield begun, lines
            begun, lines = number, []
        lines.append(line)
    if lines:
        yield begun, lines


def _statement(document: Document, section: str, number: int, lines: list[str]) -> None:
    """One option; of several lines without the one that is wrong."""
    reason, found, bad = _loaded(lines), None, number
    if isinstance(reason, str):
        for place in range(len(lines) - 1, -1, -1) if 1 < len(lines) < _LONGEST else ():
            rest = _loaded(lines[:place] + lines[place + 1 :])
            if not isinstance(rest, str):
                found, bad = rest, number + place
                break
        shown = lines[bad - number].strip()[:60]
        text = f"{shown!r} cannot be read ({reason}); write: name = value"
        document.faults.append(Fault(document.file, bad, text))
        document.lost.append("\n".join(lines) if found is None else lines[bad - number])
    else:
        found = reason
    for key, value in (found or {}).items():
        target = document.sections.setdefault(section, {}) if section else None
        if target is None and isinstance(value, dict):
            document.sections.setdefault(key, {}).update(value)
        elif target is None:
            _outside(document, key, number, "\n".join(lines))
        elif key in target:
            text = f"{key} stands twice in [{section}]; the first counts, remove one"
            document.faults.append(Fault(document.file, number, text))
            document.lost.append("\n".join(lines))
        else:
            target[key] = value


def _loaded(lines: list[str]) -> dict[str, Any] | str:
    """The keys of these lines, or why they cannot be read."""
    try:
        return tomllib.loads("\n".join(lines))
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return _PLACE.sub("", str(error))
