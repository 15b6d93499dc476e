"""Every line of a container is judged exactly once, for any order of parts, rotations, crashes and restarts.

The machine of `test_rotation_model.py` with a runtime that writes lines of two streams in parts, and a kubelet that
rotates the file behind a link.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings

from sidecar.model import Position
from sidecar.sources.container.container_lines import ContainerLines
from sidecar.sources.container.container_log import ContainerLog
from sidecar.sources.files import follower
from sidecar.sources.kinds import LogSource
from tests.sources.test_rotation_model import MODELS, Rotations, StillDisk, StillWake, World

_KEPT = 4


def stamp(number: int) -> str:
    """The time of the `number`-th raw line, without zeros at its end, as Go writes it."""
    return f"2026-11-27T10:00:00.{number:09d}".rstrip("0") + "Z"


def entry(number: int, text: str, stream: str, *, whole: bool, docker: bool) -> bytes:
    """A raw line of a file, the `number`-th that the runtime writes."""
    if docker:
        record = {"log": text + ("\n" if whole else ""), "stream": stream, "time": stamp(number)}
        return json.dumps(record).encode() + b"\n"
    return f"{stamp(number)} {stream} {'F' if whole else 'P'} {text}\n".encode()


class Pod(World):
    """A container with its runtime and kubelet. Each third line is in Docker's format, and each second one has a
    date of its own."""

    def __init__(self, root: Path) -> None:
        place = root / "pods/zimbra_mta-0_6f1c/postfix"
        place.mkdir(parents=True)
        (root / "containers").mkdir()
        self.link = root / "containers/mta-0_zimbra_postfix-0123456789abcdef.log"
        self.link.symlink_to(place / "0.log")
        # Of each stream the parts that are not written yet: number of the line, text, whether it ends there.
        self._queues: dict[str, list[tuple[int, str, bool]]] = {"stdout": [], "stderr": []}
        # The lines of which a part was written to a file, by its inode; and the line that is open in each stream.
        self._holds: dict[int, set[int]] = {}
        self._turns = self._entries = 0
        super().__init__(root)

    def _opened(self) -> int:
        self.log = self.link.resolve()
        return super()._opened()

    def write(self, count: int, length: int, *, half: bool = False) -> None:
        for _ in range(count):
            self._queue(length)
        # Not all that is there, and in any order of the streams.
        for _ in range(count * 2):
            self._turns += 1
            self._put("stdout" if self._turns * 7 % 5 < 2 else "stderr")
        if half:
            self._put("stdout", half=True)

    def _queue(self, length: int) -> None:
        number = len(self.lines)
        filling = f"{number:06d}" * length
        text = ("Nov 27 10:00:00 " if number % 2 else "") + f"<{number:06d}:{filling[:length]}>"
        self.lines.append(text.encode())
        stream, parts = ("stderr", "stdout")[number // 2 % 2], 1 + number * 5 % 4
        size = len(text) // parts + 1
        for begin in range(0, len(text), size):
            part, whole = text[begin : begin + size], begin + size >= len(text)
            self._queues[stream].append((number, part, whole))

    def _put(self, stream: str, *, half: bool = False) -> None:
        self._finish_entry()
        if not self._queues[stream]:
            return
        number, part, whole = self._queues[stream].pop(0)
        self._entries += 1
        raw = entry(self._entries, part, stream, whole=whole, docker=number % 3 == 0)
        if number % 2 == 0 and self.lines[number].startswith(b"<"):
            # It has no date, and gets that of its first part.
            self.lines[number] = stamp(self._entries).encode() + b" " + self.lines[number]
        self._holds.setdefault(os.fstat(self._fd).st_ino, set()).add(number)
        cut = len(raw) // 2 if half else len(raw)
        os.write(self._fd, raw[:cut])
        self._half = raw[cut:]

    def _finish_entry(self) -> None:
        os.write(self._fd, self._half)
        self._half = b""

    def finish_line(self) -> None:
        """Write all parts: what stays open for ten seconds is given up."""
        for stream in self._queues:
            while self._queues[stream]:
                self._put(stream)
        self._finish_entry()

    def _rotation(self, mode: str) -> Iterator[None]:
        place = self.log.parent
        rotated = sorted(place.glob("0.log.*"))
        for old in [one for one in rotated if one.suffix == ".tmp"]:
            old.unlink()
        while len(rotated) > _KEPT:
            old = rotated.pop(0)
            self._lose(self._holds.get(old.stat().st_ino, set()))
            old.unlink()
            yield
        for plain in [one for one in rotated if one.suffix != ".gz"]:
            yield from self._packed(plain)
        self.log.rename(place / f"0.log.20261127-{100000 + self._turn:06d}")
        yield
        # The runtime opens the new file between two entries, not between two lines.
        self._finish_entry()
        old_fd, self._fd = self._fd, self._opened()
        os.close(old_fd)
        yield

    def _lose(self, numbers: set[int]) -> None:
        """These lines may be lost, and the next one of the same stream: it follows on a beginning without an end."""
        for number in numbers:
            self.lost |= {number, number + (1 if number % 2 == 0 else 3)}

    def _packed(self, plain: Path) -> Iterator[None]:
        holds = self._holds.get(plain.stat().st_ino, set())
        # A line that was divided by the rotation of this file: its beginning is no longer held back there.
        self._lose({n for n in holds if any(n in more for more in self._holds.values() if more is not holds)})
        self._lose({number for queue in self._queues.values() for number, *_ in queue[:1] if number in holds})
        unfinished = plain.with_name(plain.name + ".tmp")
        unfinished.write_bytes(gzip.compress(plain.read_bytes()))
        yield
        self._holds[unfinished.stat().st_ino] = holds
        unfinished.rename(plain.with_name(plain.name + ".gz"))
        yield
        plain.unlink()
        yield


class Containers(Rotations):
    """Reads of some lines at a time, so that blocks end everywhere."""

    begun = Pod
    line = re.compile(rb"(?:Nov 27 10:00:00|2026-11-27T10:00:00\.\d{1,9}Z) <(\d{6}):\d*>")

    def __init__(self) -> None:
        super().__init__()
        self.stack.enter_context(mock.patch.object(follower, "LONGEST", 1))
        self.stack.enter_context(mock.patch.object(ContainerLines, "longest", 1000))

    def opened(self, known: list[Position]) -> LogSource:
        assert isinstance(self.world, Pod)
        log = ContainerLog(f"cri:{self.world.link}", StillWake(), StillDisk("x.log"), known)
        log.length = 1
        return log


TestContainers = Containers.TestCase
TestContainers.settings = settings(
    derandomize="ZMBAN_MODELS" not in os.environ,
    max_examples=MODELS,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
