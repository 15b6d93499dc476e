"""The JSON of `zmban export`: bans with everything that is known of them, read back one at a time."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import Any, cast, get_args

from sidecar.model import LATEST, Ban, Instant, Origin, StoreError
from sidecar.network import Network
from sidecar.store.imports.entry import (
    LIST,
    MOST_GIVEN_BYTES,
    MOST_GIVEN_LINES,
    ListedBan,
    Skipped,
    is_jail,
    note,
)

# Of a record of `zmban bans`; the rest is the state of the kernel at that moment.
FIELDS = (
    "network", "jail", "since", "until", "count", "origin", "reason", "by", "dry", "failures", "evidence",
)  # fmt: skip
# An object, or an array of objects. A list of networks may begin with `[2001:db8::7]`.
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*(?:[{\]]|$))")
_PEEK = 64
_BLANK = re.compile(r"[ \t\r\n]*")
_STEP, _LONGEST_RECORD = 1 << 16, 64 << 20
_MOST = 2**31
# Of the lines of a ban: those given by hand, or a hundred of the longest lines of a log.
_MOST_LETTERS = max(MOST_GIVEN_BYTES, 100 * 16384)
_DECODER = json.JSONDecoder()


def fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is exported of a record of `zmban bans`."""
    return {name: record[name] for name in FIELDS}


def is_export(file: BufferedReader) -> bool:
    """Whether a file begins like JSON. Reads nothing: a pipe cannot be rewound."""
    return _BEGINNING.match(file.peek(_PEEK)[:_PEEK]) is not None


def read(file: BufferedReader, name: str, now: Instant) -> Iterator[ListedBan | Skipped]:
    """The bans of a JSON array, or of JSON objects one after the other. A record without a start begins
    `now`. StoreError for text that is not such JSON, or is not complete."""
    for number, record in enumerate(_objects(file, name), start=1):
        yield _entry(record, f"record {number}", name, now)


class _Text:
    """The unread rest of a file, from `at` on in `data`."""

    def __init__(self, file: BufferedReader, name: str) -> None:
        self._file, self._name = io.TextIOWrapper(file, encoding="utf-8-sig"), name
        self.data, self.at, self.ended = "", 0, False

    def more(self) -> None:
        """Read on; twice as much as is there, so that a long record is not parsed many times."""
        self.data, self.at = self.data[self.at :], 0
        if len(self.data) > _LONGEST_RECORD:
            raise StoreError(f"{self._name}: a record has more than {_LONGEST_RECORD >> 20} MiB")
        try:
            found = self._file.read(max(_STEP, len(self.data)))
        except UnicodeDecodeError as error:
            raise StoreError(f"{self._name} is not UTF-8; nothing was imported") from error
        self.data, self.ended = self.data + found, not found

    def next(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            self.at = cast("re.Match[str]", _BLANK.match(self.data, self.at)).end()
            if self.at < len(self.data) or self.ended:
                return self.data[self.at : self.at + 1]
            self.more()

    def detach(self) -> None:
        """Leave the file open."""
        self._file.detach()


def _objects(file: BufferedReader, name: str) -> Iterator[object]:
    text, number = _Text(file, name), 0
    try:
        array = text.next() == "["
        text.at += array
        while (begin := text.next()) not in ("", "]"):
            if number and array:
                if begin != ",":
                    break
                text.at += 1
            number += 1
            yield _object(text, name, number)
        text.at += array and begin == "]"
        if array != (begin == "]") or text.next():
            cure = "nothing was imported; export it again"
            raise StoreError(f"{name}: the JSON is not valid or not complete after record {number}; {cure}")
    finally:
        text.detach()


def _object(text: _Text, name: str, number: int) -> object:
    while True:
        try:
            if text.next() != "{":
                raise StoreError(f"{name}: record {number} is not a JSON object; nothing was imported")
            record, text.at = _DECODER.raw_decode(text.data, text.at)
        except (ValueError, RecursionError) as error:
            if text.ended:
                cure = "nothing was imported; export it again"
                what = f"record {number} is not valid JSON, or not complete"
                raise StoreError(f"{name}: {what}; {cure}") from error
            text.more()
        else:
            return record


def _entry(record: Any, place: str, name: str, now: Instant) -> ListedBan | Skipped:
    text = record.get("network")
    try:
        network = Network.parse(text if isinstance(text, str) else "")
    except ValueError:
        return Skipped(str(text)[:200], place, "not-a-network")
    try:
        return ListedBan(_ban(network, record, name, now))
    except (ValueError, TypeError):
        return Skipped(str(text)[:200], place, "unreadable")


def _ban(network: Network, record: Mapping[str, Any], name: str, now: Instant) -> Ban:
    """The ban of a record. ValueError or TypeError for a value that no ban has."""
    jail, origin = record.get("jail", LIST), record.get("origin", "import")
    until, dry = record.get("until"), record.get("dry", False)
    if not is_jail(jail) or origin not in get_args(Origin) or not isinstance(dry, bool):
        raise ValueError(jail, origin, dry)
    return Ban(
        network,
        jail,
        _instant(record.get("since", now)),
        None if until is None else _instant(until),
        cast("Origin", origin),
        note(record.get("reason", f"imported from {name}")),
        _number(record.get("failures", 0)),
        _lines(record.get("evidence", [])),
        _number(record.get("count", 1)),
        dry,
        note(record.get("by", "")),
    )


def _instant(value: Any) -> Instant:
    if isinstance(value, bool) or not (math.isfinite(value) and 0 <= value <= LATEST):
        raise ValueError(value)
    return float(value)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(value)
    return value


def _lines(value: Any) -> tuple[str, ...]:
    """The last lines, as many as a ban may have."""
    if not isinstance(value, list):
        raise TypeError(value)
    found, size = [], 0
    for line in reversed(value[-MOST_GIVEN_LINES:]):
        size += len(line)
        if size > _MOST_LETTERS:
            break
        found.append(line.encode("utf-8", "replace").decode())
    return tuple(reversed(found))
