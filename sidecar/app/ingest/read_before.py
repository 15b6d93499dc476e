"""What was already read of a log, under its name or another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sidecar.model import Position
from sidecar.sources.files.content import FileKey


class ReadBefore:
    """The positions by log, the content that was read last first."""

    def __init__(
        self, positions: Mapping[str, Sequence[Position]], rotated_of: Callable[[str], Iterable[str]]
    ) -> None:
        self._positions = positions
        self._by_inode: dict[int, list[Position]] = {}
        self._rotated: dict[str, list[str]] = {}
        for path, known in positions.items():
            for position in known:
                self._by_inode.setdefault(position.inode, []).append(position)
            for log in rotated_of(path):
                self._rotated.setdefault(log, []).append(path)

    def elsewhere(self, path: str, key: FileKey | None) -> list[Position]:
        """Positions of other logs in the same file, and in files that are now rotated files of this log by
        their name."""
        # An inode of 0 is unknown: a compressed file, or one that could not be examined.
        same = [p for p in self._by_inode.get(key[1], ()) if p.path != path] if key and key[1] else []
        return same + [p for other in self._rotated.get(path, ()) for p in self._positions[other]]

    def of(self, path: str, elsewhere: Iterable[Position] = ()) -> list[Position]:
        """The positions of a log, including those from other names: a position belongs to a content, which is
        not read again."""
        known = list(self._positions.get(path, ()))
        number = max((position.content for position in known), default=0)
        others = enumerate(elsewhere, number + 1)
        return known + [replace(p, path=path, content=n) for n, p in others]
