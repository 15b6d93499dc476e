"""Joins the lines of a container's log that its runtime wrote in parts."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.model import counted, plural, printable
from sidecar.sources.container.container_line import dated, parsed, whole_lines
from sidecar.sources.lines.line_format import LONGEST, Ends, Part, Taken

_SHOWN = 80


class SkippedLines:
    """What was not read of a log: raw lines in no format that is known, and lines whose rest never came."""

    def __init__(self) -> None:
        self.malformed = self.unfinished = 0
        self.example = b""

    def told(self, name: str) -> list[str]:
        """One sentence for each kind; none if all was read."""
        found = []
        if self.malformed:
            are = f"{counted(self.malformed, 'line')} {plural(self.malformed, 'is', 'are')}"
            shown = printable(self.example[:_SHOWN].decode("utf-8", "replace"))
            cure = "if this is no log of a container, name it without cri:"
            text = "neither in CRI format nor Docker's JSON, and skipped; the first begins with"
            found.append(f"{name}: {are} {text} {shown!r}; {cure}")
        if self.unfinished:
            lines = counted(self.unfinished, "line")
            found.append(f"{name}: {lines} without an end: the runtime wrote only parts; skipped")
        return found


class ContainerLines:
    """The lines of one open file. Parts of a stream are joined, also between those of the other stream.

    Nothing is taken from the first unfinished part on, so that a position never lies between the parts of a
    line. What was given up, and the rest of an overlong line, is skipped up to its last part: it is text that
    a client may have chosen, not a line.
    """

    # Docker escapes a byte of its 16 KiB by six.
    longest, before, joins = 1 << 18, 1 << 18, True

    def __init__(self, skipped: SkippedLines | None = None) -> None:
        self.skipped = skipped or SkippedLines()
        self._skipping: frozenset[bytes] = frozenset()
        self._first, self.ends = Ends(), Ends()

    def look_back(self, raw: bytes) -> None:
        """Skip the rest of each line of which a part lies before the position."""
        # What is before the first newline may be the middle of a line: text of a client.
        begun = raw.split(b"\n")[1:] if len(raw) == self.before else raw.split(b"\n")
        lines = [line for line in map(parsed, begun) if line is not None]
        whole = {line.stream: line.whole for line in lines}
        self._skipping = frozenset(stream for stream, ended in whole.items() if not ended)

    def begin_with(self, ends: Ends) -> None:
        """Begin with the parts and lines that were held back at the end of the file before. If this file
        stays empty, the next one begins with them."""
        self._first = self.ends = ends

    def take(self, raw: bytes, *, over: bool) -> Taken:
        """See `LineFormat`."""
        if not (self._skipping or self._first.parts or self._first.lines):
            text = whole_lines(raw)
            if text is not None:
                self.ends = Ends(last=_written(raw))
                return Taken(len(raw), text)
        joining = _Joining(self._first, self._skipping)
        for line in raw.split(b"\n")[:-1]:
            joining.add(line)
        if over:
            joining.give_up()
        if joining.length:
            self._skipping, self._first = joining.skipping_then, Ends()
            self._count(joining.malformed[: joining.malformed_then], len(joining.given_up))
        parts, lines = {**joining.open, **joining.given_up}, tuple(joining.lines[joining.lines_then :])
        self.ends = Ends(parts, lines, _written(raw) or self.ends.last)
        taken = joining.lines[: joining.lines_then]
        return Taken(joining.length, b"\n".join([*taken, b""]) if taken else b"")

    def cut(self, raw: bytes) -> bytes:
        """Nothing: no runtime writes lines so long."""
        self._count([raw], 0)
        return b""

    def _count(self, malformed: Iterable[bytes], unfinished: int) -> None:
        for line in malformed:
            self.skipped.malformed += 1
            self.skipped.example = self.skipped.example or line[:_SHOWN]
        self.skipped.unfinished += unfinished


def _written(raw: bytes) -> bytes:
    """When the last of these lines was written; empty if that cannot be told."""
    line = parsed(raw[raw.rfind(b"\n", 0, -1) + 1 : -1])
    if line is None:
        return b""
    # Runtimes leave out zeros at the end of a fraction.
    return line.stamp[:19] + line.stamp[20:].rstrip(b"Z").partition(b"+")[0].ljust(9, b"0")


class _Joining:
    """One pass over raw lines. The fields `*_then` are how it was when nothing was unfinished last."""

    def __init__(self, first: Ends, skipping: frozenset[bytes]) -> None:
        self.open: dict[bytes, Part] = dict(first.parts)
        self.lines: list[bytes] = list(first.lines)
        self.malformed: list[bytes] = []
        self.given_up: dict[bytes, Part] = {}
        self._skipping, self._at = set(skipping), 0
        self.length = self.lines_then = self.malformed_then = 0
        self.skipping_then = skipping

    def add(self, raw: bytes) -> None:
        """Add a raw line without its newline."""
        self._at += len(raw) + 1
        line = parsed(raw)
        if line is None:
            self.malformed.append(raw)
        elif line.stream in self._skipping:
            if line.whole:
                self._skipping.remove(line.stream)
        else:
            self._join(line.stream, line.stamp, line.text, whole=line.whole)
        if not self.open:
            self._settle()

    def _join(self, stream: bytes, stamp: bytes, text: bytes, *, whole: bool) -> None:
        begun = self.open.pop(stream, None)
        if begun is not None:
            stamp, text = begun.stamp, begun.text + text
        if whole:
            self.lines.append(dated(stamp, text))
        elif len(text) < LONGEST:
            self.open[stream] = Part(stamp, text)
        else:
            # Long enough to be refused and counted as any overlong line.
            self.lines.append(dated(stamp, text[:LONGEST]))
            self._skipping.add(stream)

    def give_up(self) -> None:
        """Skip what is unfinished, up to its end."""
        self.given_up, self.open = self.open, {}
        self._skipping |= self.given_up.keys()
        self._settle()

    def _settle(self) -> None:
        self.length, self.lines_then, self.malformed_then = self._at, len(self.lines), len(self.malformed)
        self.skipping_then = frozenset(self._skipping)
