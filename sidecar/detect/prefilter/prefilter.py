"""One scan over a block finds the few lines that any regex could match, and which regexes those are."""

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

# A part of a very long literal is enough to look for.
_LONGEST = 200
# Date patterns for which no date can stand inside a literal: those that the literals are cut for.
_SAFE_DATES = {"", "{DEFAULT}", "{^LN-BEG}", "{NONE}", *datepatterns.DEFAULT_PATTERNS} | {
    f"{datepatterns.LINE_BEGIN}{pattern}" for pattern in datepatterns.DEFAULT_PATTERNS
}
_MOST_REMEMBERED = 4096

# What is to be tried on a line: the place of a filter in the list, and which of its failregexes.
Wanted: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]
Candidate: TypeAlias = tuple[bytes, Wanted]


class Sifted(NamedTuple):
    """What is left of a block: how many lines and bytes it had, and the lines that any regex could match."""

    lines: int
    bytes: int
    candidates: list[Candidate]


def requirements(spec: FilterSpec) -> list[Requirement | None]:
    """For each failregex what a line must contain to be matched by it: one of these. None: anything.

    Where a prefregex is stronger than a failregex under it, it stands for that failregex.
    """
    # Of several lines that are matched together, every line may be a part; and where a date of the
    # administrator's own making may stand in a line, nobody knows.
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
    """`utf-8`; `single` for a byte a character, each its own; `ascii` where at least ASCII stands as it is;
    `other` where nothing is certain."""
    name = codecs.lookup(encoding).name
    if name == "utf-8":
        return "utf-8"
    every = [bytes((byte,)).decode(encoding, "replace") for byte in range(256)]
    if every[:128] != [chr(byte) for byte in range(128)] or name.startswith(("utf", "iso2022", "hz", "idna")):
        return "other"
    known = [text for text in every if text != "\ufffd"]
    return "single" if len(known) > 200 and len(set(known)) == len(known) else "ascii"


def _encoded(requirement: Requirement | None, encoding: str) -> list[Text] | None:
    """The literals of a requirement as bytes; None where the encoding does not tell for sure."""
    if requirement is None or (kind := _kind(encoding)) == "other":
        return None
    texts: list[Text] = []
    for literal in requirement:
        if kind == "ascii" and not literal.text.isascii():
            return None
        try:
            texts.append(Text(literal.text.encode(encoding)[:_LONGEST], literal.caseless))
        except UnicodeEncodeError:
            # The log cannot have these characters; where it seems to, decoding invented them.
            return None
    return texts


class Prefilter:
    """The literals of all filters that read one log, as one engine; `encodings` as the filters read the log.

    A failregex without a usable literal makes every line a candidate (`complete` is True then), though for
    that regex alone.
    """

    @classmethod
    def of(cls, jails: Sequence[JailSpec]) -> Prefilter:
        """That of a log which these jails read."""
        return cls([jail.filter for jail in jails], [jail.logencoding for jail in jails])

    def __init__(self, specs: Sequence[FilterSpec], encodings: Sequence[str] = ()) -> None:
        # For each filter the bit of each failregex; 0 for one that every line may match.
        self._bits: list[list[int]] = []
        masks: dict[Text, int] = {}
        shared: dict[frozenset[Text], int] = {}
        for spec, encoding in zip(specs, encodings or ["utf-8"] * len(specs), strict=True):
            needed = [_encoded(r, encoding) for r in requirements(spec)]
            self._bits.append([0 if t is None else self._bit(frozenset(t), shared, masks) for t in needed])
        self.complete = any(bit == 0 for bits in self._bits for bit in bits)
        self._known: dict[int, Wanted] = {}
        # Wanted with and without case: without finds both.
        caseless = {text.text.lower(): mask for text, mask in masks.items() if text.caseless}
        for text in masks:
            if not text.caseless and text.text.lower() in caseless:
                caseless[text.text.lower()] |= masks[text]
        exact = {t: m for t, m in masks.items() if not t.caseless and t.text.lower() not in caseless}
        texts = [*exact, *(Text(text, caseless=True) for text in caseless)]
        # A line with an odd date is looked at by all.
        self._masks = [*exact.values(), *caseless.values(), -1]
        self._engine: Engine | None = engine(texts) if texts else None

    @staticmethod
    def _bit(texts: frozenset[Text], shared: dict[frozenset[Text], int], masks: dict[Text, int]) -> int:
        """A bit that a hit of any of these sets; failregexes with the same literals share it."""
        if texts not in shared:
            shared[texts] = 1 << len(shared)
            for text in texts:
                masks[text] = masks.get(text, 0) | shared[texts]
        return shared[texts]

    def _wanted(self, mask: int) -> Wanted:
        """What these bits ask for."""
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
        """A block of whole lines, sifted."""
        # CPython counts byte by byte; it takes newlines out at almost twice the speed.
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
                # `end` lies behind the literal's last byte, which is no newline.
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
