"""Searches the files of logs for lines about given networks, newest files first, within bounds."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from io import FileIO

from sidecar.detect import grammar
from sidecar.detect.address_search import AddressSearch
from sidecar.detect.grammar import Trust
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.match.secrets import without_secrets
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.model import Seconds, SourceError
from sidecar.network import Network
from sidecar.sources.files import compressed
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.kept_files import LogFile, files_of
from sidecar.sources.plain_blocks import plain_part
from sidecar.sources.whole_lines import whole_lines

# Of all networks together; a network gets its share, but not more than a ban of a log has.
MOST_LINES, MOST_BYTES, MOST_OF_ONE = 1000, 1 << 20, 100
_BLOCK = 1 << 20
# So many lines of a network are judged for each one that is kept: lines that blame it are preferred.
_JUDGED = 4


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a search stops: after so many bytes (decompressed), or so much time."""

    bytes: int = 2 << 30
    seconds: Seconds = 60.0


@dataclass(slots=True)
class SearchResult:
    """`lines` of each network in order of time. `stopped`: where the bounds ended the search, "" if it was
    complete. `unread`: why a file was not read."""

    lines: dict[Network, list[str]] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    seconds: Seconds = 0.0
    stopped: str = ""
    unread: list[str] = field(default_factory=list)


class LogSearch:
    """One search. `run` blocks on the disk: call it in a thread."""

    def __init__(self, networks: Collection[Network], trust: Trust, bounds: Bounds) -> None:
        self._search, self._trust, self._bounds = AddressSearch(networks), trust, bounds
        self._share = max(1, min(MOST_OF_ONE, MOST_LINES // len(networks)))
        self._kept = {network: _Lines(self._share) for network in networks}
        self._dates = LineDates(UTC)
        self._found = SearchResult()
        self._end = 0.0

    def run(self, logs: Iterable[tuple[str, str]]) -> SearchResult:
        """Search the files of these logs (path and name of the grammar's log)."""
        begun, found = time.monotonic(), self._found
        self._end = begun + self._bounds.seconds
        files, found.unread = files_of(logs)
        for number, file in enumerate(files):
            if self._is_over():
                break
            try:
                self._read(file)
                found.files += 1
            except SourceError as error:
                found.unread.append(str(error))
            except compressed.BROKEN as error:
                found.unread.append(f"{file.path}: {error}")
            if found.stopped:
                older = len(files) - number - 1
                found.stopped += f"; {older} older files were not searched" if older else ""
                break
        found.seconds = time.monotonic() - begun
        self._keep()
        return found

    def _is_over(self) -> bool:
        """Whether each network has all lines it can get."""
        return all(lines.full for lines in self._kept.values())

    def _read(self, file: LogFile) -> None:
        if compressed.is_packed(file.path):
            # Only forwards; its last lines are judged.
            self._judge(file, self._candidates(self._bounded(file, whole_lines(file.path))))
            return
        with open_regular(file.path) as opened:
            for block in self._bounded(file, _backwards(opened)):
                self._judge(file, self._candidates([block]))
                if self._is_over():
                    return

    def _bounded(self, file: LogFile, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._found.bytes += len(block)
            yield plain_part(file.name, block)
            if self._found.bytes >= self._bounds.bytes:
                self._found.stopped = f"after {self._bounds.bytes >> 20} MiB in {file.path}"
            elif time.monotonic() >= self._end:
                self._found.stopped = f"after {self._bounds.seconds:g} s in {file.path}"
            if self._found.stopped:
                return

    def _candidates(self, blocks: Iterable[bytes]) -> dict[Network, deque[bytes]]:
        """The last lines of these blocks that name an address of each network."""
        found: dict[Network, deque[bytes]] = {}
        for block in blocks:
            for line, networks in self._search.lines(block):
                for network in networks:
                    if not self._kept[network].full:
                        lines = found.setdefault(network, deque(maxlen=_JUDGED * self._share))
                        lines.append(line[:LONGEST_LINE])
        return found

    def _judge(self, file: LogFile, candidates: dict[Network, deque[bytes]]) -> None:
        """Keep lines, the newest first."""
        blame = grammar.chosen("log", file.log)
        for network, lines in candidates.items():
            for raw in reversed(lines):
                text = raw.rstrip(b"\r").decode("utf-8", "replace")
                facts = blame(self._dates.of(text, time.time())[1], self._trust) if blame else None
                client = facts.client if facts else None
                self._kept[network].add(without_secrets(text), blames=_is_inside(client, network))

    def _keep(self) -> None:
        room = MOST_BYTES
        for network, lines in self._kept.items():
            chosen = []
            for line in lines.newest():
                if (room := room - len(line)) < 0:
                    break
                chosen.append(line)
            self._found.lines[network] = chosen[::-1]


class _Lines:
    """The newest lines of one network: those whose server blames it, and others that name it."""

    def __init__(self, most: int) -> None:
        self._most, self._number = most, 0
        self._blaming: list[tuple[int, str]] = []
        self._naming: list[tuple[int, str]] = []

    @property
    def full(self) -> bool:
        return len(self._blaming) >= self._most

    def add(self, line: str, *, blames: bool) -> None:
        """Add a line that is older than all before."""
        self._number += 1
        lines = self._blaming if blames else self._naming
        if len(lines) < self._most:
            lines.append((self._number, line))

    def newest(self) -> Sequence[str]:
        """The lines to keep, the newest first."""
        kept = self._blaming + self._naming[: self._most - len(self._blaming)]
        return [line for _, line in sorted(kept)]


def _is_inside(client: str | None, network: Network) -> bool:
    try:
        return client is not None and network.covers(Network.parse(client))
    except ValueError:
        return False


def _backwards(file: FileIO) -> Iterator[bytes]:
    """The blocks of a file from its end, each of whole lines. A line longer than a block is left out."""
    at, rest = os.fstat(file.fileno()).st_size, b""
    while at > 0:
        begin = max(0, at - _BLOCK)
        data = os.pread(file.fileno(), at - begin, begin) + rest
        at = begin
        whole = data.find(b"\n") + 1 if begin else 0
        if whole or not begin:
            yield data[whole:]
        rest = data[:whole] if whole or len(data) > 2 * _BLOCK else data
