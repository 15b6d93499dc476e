"""The kind of log `cri:PATH`: the logs of containers on a node of Kubernetes, followed as files are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from sidecar.model import Block, Instant, Position
from sidecar.sources.container.container_lines import ContainerLines, SkippedLines
from sidecar.sources.container.container_names import container_label, file_of
from sidecar.sources.files.content import Beginning, FileKey
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import Follower
from sidecar.sources.files.rotation import Found


class ContainerLog:
    """Follows the log of one container: the files as `Follower` does, in the format of its lines."""

    def __init__(
        self,
        name: str,
        watcher: FileWatcher,
        disk: Disk,
        positions: Sequence[Position] = (),
        *,
        beginning: Beginning = lambda _: 0,
        oldest: Callable[[], Instant] = lambda: 0.0,
    ) -> None:
        self._name, self._skipped = name, SkippedLines()
        self._files = Follower(
            name, watcher, disk, positions, beginning=beginning, oldest=oldest,
            file=file_of(name), lines=lambda: ContainerLines(self._skipped),
        )  # fmt: skip

    @property
    def length(self) -> int:
        """How much to read in one go."""
        return self._files.length

    @length.setter
    def length(self, length: int) -> None:
        self._files.length = length

    @property
    def positions(self) -> list[Position]:
        """How far each content of the log was read, in raw bytes, the one read last first."""
        return self._files.positions

    @property
    def unread(self) -> list[str]:
        """Why some files and lines are not read."""
        return [*self._files.unread, *self._skipped.told(container_label(self._name))]

    @property
    def renamed(self) -> Found | None:
        """The file that had the name of the log last, if it may still be written to."""
        return self._files.renamed

    @property
    def keys(self) -> set[FileKey]:
        """The files that are open for reading."""
        return self._files.keys

    def on_end(self, reached: Callable[[], None]) -> None:
        """Set a callback for whenever the end of the log is reached."""
        self._files.on_end(reached)

    def blocks(self) -> AsyncGenerator[Block, None]:
        """Blocks of plain lines until cancelled. SourceError if the log cannot be opened or read."""
        return self._files.blocks()
