"""Finds the lines of a block that any regex could match, and these regexes, with one scan."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from sidecar.detect.prefilter.literals import Requirement, required
from sidecar.detect.prefilter.multipattern import Engine, Hit, Text, engine
from sidecar.fail2ban.dates import datepatterns
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec

# Of a longer literal only the beginning is searched.
_LONGEST = 200
# Date patterns whose dates cannot be inside a literal, since `literals` cuts for them.
_SAFE_DATES = {"", "{DEFAULT}", "{^LN-BEG}", "{NONE}", *datepatterns.DEFAULT_PATTERNS} | {
    f"{datepatterns.LINE_BEGIN}{pattern}" for pattern in datepatterns.DEFAULT_PATTERNS
}
_MOST_REMEMBERED = 4096

# The regexes to try on a line: (index of the filter, indexes of its failregexes).
Wanted: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]
Candidate: TypeAlias = tuple[bytes, Wanted]


class Sifted(NamedTuple):
    """The number of lines and bytes of a block, and its candidate lines."""

    lines: int
    bytes: int
    candidates: list[Candidate]


def requirements(spec: FilterSpec) -> list[Requirement | None]:
    """Per failregex, the literals of which a line must contain one to match; None if any line may match.

    If the requirement of the prefregex is stronger, it is used instead.
    """
    # With maxlines, any line may be part of a match. With a custom datepattern, the date may be anywhere in a
    # line and split any literal.
    safe = all(
        p.strip() in _SAFE_DATES or datepatterns.cuts_the_beginning(p) or datepatterns.cuts_in_brackets(p)
        for p in spec.datepattern
    )
    if spec.maxlines > 1 or not safe:
        return [None] * len(spec.failregex)
    head = required(spec.prefregex.regex) if spec.prefregex else None
    found: list[Requirement | None] = []
    for pattern in spec.failregex:
        own = required(pattern.regex)
        found.append(
            max((r for r in (own, head) if r), key=lambda r: min(len(x.text) for x in r), default=None)
        )
    return found


@cache
def _kind(encoding: str) -> str:
    """The kind of an encoding: `utf-8`; `single`, one distinct byte per character; `ascii`, if at least ASCII
    is unchanged; else `other`."""
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        return "utf-8"
    every = [bytes((byte,)).decode(encoding, "replace") for byte in range(256)]
    if every[:128] != [chr(byte) for byte in range(128)] or name.startswith(("utf", "iso2022", "hz", "idna")):
        return "other"
    known = [text for text in every if text != "\ufffd"]
    return "single" if len(known) > 200 and len(set(known)) == len(known) else "ascii"


def _encoded(requirement: Requirement | None, encoding: str) -> list[Text] | None:
    """The literals of a requirement as bytes; None if the encoding does not determine them."""
    if requirement is None or (kind := _kind(encoding)) == "other":
        return None
    texts: list[Text] = []
    for literal in requirement:
        if kind == "ascii" and not literal.text.isascii():
            return None
        try:
            texts.append(Text(literal.text.encode(encoding)[:_LONGEST], literal.caseless))
        except UnicodeEncodeError:
            # The encoding has no such characters; they only result from decoding errors.
            return None
    return texts


class Prefilter:
    """The literals of all filters of one log in one engine; `encodings` are those of the log, per filter.

    A failregex without a usable literal makes every line a candidate for this regex (`complete` is True
    then).
    """

    @classmethod
    def of(cls, jails: Sequence[JailSpec]) -> Prefilter:
        """The prefilter of a log that these jails read."""
        return cls([jail.filter for jail in jails], [jail.logencoding for jail in jails])

    def __init__(self, specs: Sequence[FilterSpec], encodings: Sequence[str] = ()) -> None:
        # Per filter, the bit of each failregex; 0 if any line may match it.
        self._bits: list[list[int]] = []
        masks: dict[Text, int] = {}
        shared: dict[frozenset[Text], int] = {}
        for spec, encoding in zip(specs, encodings or ["utf-8"] * len(specs), strict=True):
            needed = [_encoded(r, encoding) for r in requirements(spec)]
            self._bits.append([0 if t is None else self._bit(frozenset(t), shared, masks) for t in needed])
        self.complete = any(bit == 0 for bits in self._bits for bit in bits)
        self._known: dict[int, Wanted] = {}
        # A literal needed with and without case is searched without.
        caseless = {text.text.lower(): mask for text, mask in masks.items() if text.caseless}
        for text in masks:
            if not text.caseless and text.text.lower() in caseless:
                caseless[text.text.lower()] |= masks[text]
        exact = {t: m for t, m in masks.items() if not t.caseless and t.text.lower() not in caseless}
        texts = [*exact, *(Text(text, caseless=True) for text in caseless)]
        # A line with an ODD_DATE is a candidate for all regexes.
        self._masks = [*exact.values(), *caseless.values(), -1]
        self._engine: Engine | None = engine(texts) if texts else None

    @staticmethod
    def _bit(texts: frozenset[Text], shared: dict[frozenset[Text], int], masks: dict[Text, int]) -> int:
        """The bit that is set by a hit of any of these texts; failregexes with the same literals share it."""
        if texts not in shared:
            shared[texts] = 1 << len(shared)
            for text in texts:
                masks[text] = masks.get(text, 0) | shared[texts]
        return shared[texts]

    def _wanted(self, mask: int) -> Wanted:
        """The regexes to try for these bits."""
        if mask in self._known:
            return self._known[mask]
        each = [
            (place, tuple(i for i, bit in enumerate(bits) if bit == 0 or mask & bit))
            for place, bits in enumerate(self._bits)
        ]
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[mask] = found = tuple((place, indexes) for place, indexes in each if indexes)
        return found

    def sift(self, data: bytes) -> Sifted:
        """Filter a block of whole lines."""
        # Faster than data.count(b"\n"), which CPython does byte by byte.
        lines = len(data) - len(data.replace(b"\n", b""))
        return Sifted(lines, len(data), self.candidates(data))

    def candidates(self, data: bytes) -> list[Candidate]:
        """The candidate lines of a block of whole lines, in order, without their newlines."""
        hits = self._engine.hits(data) if self._engine is not None else []
        return list(self._every(data, hits)) if self.complete else self._few(data, hits)

    def _few(self, data: bytes, hits: list[Hit]) -> list[Candidate]:
        found: list[Candidate] = []
        begin, stop, mask = 0, -1, 0
        masks, known = self._masks, self._known
        for end, number in hits:
            if end > stop:
                if mask:
                    found.append((data[begin:stop], known.get(mask) or self._wanted(mask)))
                # `end` is after the literal's last byte, which is not a newline.
                begin, stop, mask = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end), 0
                if stop < 0:
                    stop = len(data)
            mask |= masks[number]
        if mask:
            found.append((data[begin:stop], self._wanted(mask)))
        return found

    def _every(self, data: bytes, hits: list[Hit]) -> Iterator[Candidate]:
        begin, next_hit = 0, 0
        for line in data.split(b"\n"):
            stop, mask = begin + len(line), 0
            while next_hit < len(hits) and hits[next_hit][0] <= stop:
                mask |= self._masks[hits[next_hit][1]]
                next_hit += 1
            if line:
                yield line, self._wanted(mask)
            begin = stop + 1
