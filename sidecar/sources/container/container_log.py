"""The kind of log `cri:PATH`: the logs of containers on a node of Kubernetes, followed as files are."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Collection, Sequence

from sidecar.model import Block, Instant, Position
from sidecar.sources.container.container_lines import ContainerLines, SkippedLines
from sidecar.sources.files.content import Beginning, FileKey
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import Follower
from sidecar.sources.files.rotation import Found
from sidecar.sources.log_lookup import Answer, look_up

CONTAINER = "cri"
_PREFIX = f"{CONTAINER}:"
# The kubelet's names: a link of each container, and the file it leads to. The names of pods and namespaces
# hold no underscore.
_LINK = re.compile(r".*/(?P<pod>[^/_]+)_(?P<namespace>[^/_]+)_(?P<container>[^/_]+)-[0-9a-f]{8,}\.log")
_FILE = re.compile(r".*/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_[^/_]+/(?P<container>[^/_]+)/\d+\.log")


def file_of(name: str) -> str:
    """The path or glob in the name of a log of this kind."""
    return name.removeprefix(_PREFIX)


def container_label(name: str) -> str:
    """Whose log it is: NAMESPACE/POD/CONTAINER; the name itself where the path does not say it.

    >>> container_label("cri:/var/log/containers/mta-0_zimbra_postfix-0123456789abcdef.log")
    'zimbra/mta-0/postfix'
    """
    path = file_of(name)
    found = _LINK.fullmatch(path) or _FILE.fullmatch(path)
    return f"{found['namespace']}/{found['pod']}/{found['container']}" if found else name


def grammar_name(name: str) -> str:
    """The name by which the grammar of a log is chosen: of a file that is no container's, its own."""
    label = container_label(name)
    return file_of(name) if label == name else label


def look_up_containers(pattern: str, known: Collection[str]) -> Answer:
    """As `look_up`, with the prefix of the kind. A link whose file is gone is a log that is gone: the kubelet
    removes it within minutes."""
    answer = look_up(file_of(pattern), [file_of(name) for name in known])
    dead = {path for path, key in answer.found.items() if key and _leads_nowhere(path)}
    found = {
        _PREFIX + path: None if path in dead else key
        for path, key in answer.found.items()
        if path not in dead or _PREFIX + path in known
    }
    why = answer.why
    if dead and not any(found.values()):
        link = min(dead)
        target = os.path.realpath(link)
        why = f"{link} is a link to {target}, which is not there: mount the directory it lies in too"
    return Answer(found, why)


def _leads_nowhere(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH114, PTH110 - a text, not a Path


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
