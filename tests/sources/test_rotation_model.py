"""Every line that logrotate itself did not lose is judged exactly once, for any order of events.

A writer, a rotator in every mode, and a follower that is interrupted at any system call, crashes and restarts; on the
real file system with a fake clock. `ZMBAN_MODELS`: number of generated runs.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sidecar.model import Block, Position, SourceError
from sidecar.sources.files import compressed, descriptors, file_reader, follower, log_files, rotation
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import Follower
from sidecar.sources.kinds import LogSource

MODELS = int(os.environ.get("ZMBAN_MODELS", "100"))
# Number of rotated files to keep; more in an olddir, where a log is recognized by its older files.
_KEPT, _KEPT_BELOW = 4, 40
# The filling of each line is unique, as with dates and process ids, so that torn lines are unique too.
_LINE = re.compile(rb"<(\d{6}):\d*>")
_HOOKED = ("stat", "fstat", "open", "scandir", "pread", "preadv")
_MODES = ("create", "nocreate", "dateext", "compress", "delaycompress", "copytruncate", "copy")


class KilledError(BaseException):
    """Ends the simulated process."""


class Paused:
    """Yields control to the test that drives the follower."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class StillWake(FileWatcher):
    """A watcher without events: the follower looks when the test resumes it."""

    names: bool | None = None

    async def wait(self, path: str) -> bool | None:
        await Paused()
        return self.names

    def watch(self, path: str, directories: Any, file: str = "") -> None:
        return


class StillDisk(Disk):
    async def ask(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class Hooked:
    """The module os, with a hook before each call that looks at a file."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in _HOOKED:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self._before()
            return real(*args, **kwargs)

        return call


class World:
    """A log with its writer and rotator. `lost`: lines that the rotation itself may lose."""

    def __init__(self, root: Path) -> None:
        self.log = root / "x.log"
        self.lines: list[bytes] = []
        self.lost: set[int] = set()
        self._fd = self._opened()
        self._half = b""
        self._steps: Iterator[None] | None = None
        self._turn = 0
        # Lines in a file after the part that was copied.
        self._uncopied: list[int] | None = None

    def _opened(self) -> int:
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def close(self) -> None:
        os.close(self._fd)

    def write(self, count: int, length: int, *, half: bool = False) -> None:
        """Write numbered lines; perhaps only half of the last one for now."""
        self.finish_line()
        data = b""
        for _ in range(count):
            number = len(self.lines)
            filling = b"%06d" % number * length
            self.lines.append(b"<%06d:%s>" % (number, filling[:length]))
            if self._uncopied is not None:
                self._uncopied.append(number)
            data += self.lines[-1] + b"\n"
        cut = len(data) - (len(self.lines[-1]) // 2 if half else 0)
        os.write(self._fd, data[:cut])
        self._half = data[cut:]

    def finish_line(self) -> None:
        if self._half:
            if self._uncopied is not None:
                # The copy may have only its first half.
                self._uncopied.append(len(self.lines) - 1)
            os.write(self._fd, self._half)
            self._half = b""

    def step(self) -> None:
        """Do one step of the current rotation."""
        if self._steps is not None and next(self._steps, self) is self:
            self._steps = None

    def rotate(self, mode: str) -> None:
        """Begin a rotation after the previous one has ended."""
        while self._steps is not None:
            self.step()
        self._turn += 1
        self._steps = self._rotation(mode)

    def _rotation(self, mode: str) -> Iterator[None]:
        place = self.log.parent
        if mode == "olddir":
            place = self.log.parent / "old"
            place.mkdir(exist_ok=True)
        if mode == "dateext":
            aside = place / f"x.log-{20260000 + self._turn}"
        else:
            yield from self._cascade(place)
            aside = place / "x.log.1"
        yield
        if mode.startswith("copy"):
            yield from self._copy(aside, truncate=mode == "copytruncate")
        else:
            yield from self._rename(aside, create=mode != "nocreate")
        if mode == "compress":
            yield from self._pack(aside)
        if mode == "delaycompress" and (older := place / "x.log.2").exists():
            yield from self._pack(older)

    def _cascade(self, place: Path) -> Iterator[None]:
        most = _KEPT if place == self.log.parent else _KEPT_BELOW
        for number in range(most, 0, -1):
            for suffix in ("", ".gz"):
                old = place / f"x.log.{number}{suffix}"
                if not old.exists():
                    continue
                if number == most:
                    self._delete(old)
                else:
                    old.rename(place / f"x.log.{number + 1}{suffix}")
                yield

    def _delete(self, path: Path) -> None:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        self.lost |= {int(n) for n in _LINE.findall(data)}
        path.unlink()

    def _rename(self, aside: Path, *, create: bool) -> Iterator[None]:
        self.log.rename(aside)
        yield
        if create:
            os.close(self._opened())
            yield
        # postrotate makes the writer reopen the log.
        self.finish_line()
        old, self._fd = self._fd, self._opened()
        os.close(old)
        yield

    def _copy(self, aside: Path, *, truncate: bool) -> Iterator[None]:
        with self.log.open("rb") as source, aside.open("wb", buffering=0) as copy:
            yield
            while data := source.read(300):
                copy.write(data)
                if self._half:
                    # A reader of the copy sees a torn line.
                    self.lost.add(len(self.lines) - 1)
                yield
        if truncate:
            # Lines written from here until the truncation are lost.
            self._uncopied = [len(self.lines) - 1] if self._half else []
            yield
            os.truncate(self.log, 0)
            self.lost |= set(self._uncopied)
            self._uncopied = None
            if self._half:
                self.lost.add(len(self.lines) - 1)
            yield

    def _pack(self, plain: Path) -> Iterator[None]:
        data = gzip.compress(plain.read_bytes())
        target = plain.with_name(plain.name + ".gz")
        status = plain.stat()
        with target.open("wb", buffering=0) as packed_log:
            yield
            packed_log.write(data[: len(data) // 2])
            yield
            packed_log.write(data[len(data) // 2 :])
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        yield
        plain.unlink()
        yield

    def rest(self) -> None:
        """Finish the current rotation and line."""
        while self._steps is not None:
            self.step()
        self.finish_line()


class Rotations(RuleBasedStateMachine):
    """`judged` and `positions`: state in memory; `kept`: the committed state."""

    begun: Callable[[Path], World] = World
    # What a line looks like when it is read.
    line = _LINE

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="zmban-model-"))
        self.world = self.begun(self.root)
        self.now = 1000.0
        self.modes: tuple[str, ...] = _MODES
        self.hook: Callable[[], None] = lambda: None
        self.judged: Counter[int] = Counter()
        self.positions: dict[int, Position] = {}
        self.kept: tuple[Counter[int], dict[int, Position]] = Counter(), {}
        self.blocks: Any = None
        self.waiting: Any = None
        self.stack = contextlib.ExitStack()
        hooked = Hooked(lambda: self.hook())
        for module in (descriptors, log_files, rotation, compressed, file_reader):
            self.stack.enter_context(mock.patch.object(module, "os", hooked))
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now, time_ns=lambda: 0)
        for module in (follower, file_reader, rotation):
            self.stack.enter_context(mock.patch.object(module, "time", clock))
        self.stack.enter_context(
            mock.patch.object(file_reader, "asyncio", SimpleNamespace(timeout=_no_timeout))
        )
        self.stack.enter_context(mock.patch.object(file_reader, "aiofiles", _no_threads()))

    @initialize(
        lines=st.integers(0, 3), modes=st.sampled_from((*((m,) for m in _MODES), _MODES, ("olddir",)))
    )
    def begin(self, lines: int, modes: tuple[str, ...]) -> None:
        """Start with a first look, because rotated files of a log that was never read are skipped."""
        self.modes = modes
        self.follow()
        self.drive(1)
        self.commit()
        if lines:
            self.world.write(lines, 20)

    def follow(self) -> None:
        # Newest first, as from the database.
        known = list(reversed(self.positions.values()))
        self.blocks, self.waiting = self.opened(known).blocks(), None

    def opened(self, known: list[Position]) -> LogSource:
        return Follower(str(self.world.log), StillWake(), StillDisk("x.log"), known)

    def drive(self, count: int) -> bool:
        """Run the follower for this many blocks or until it waits; whether it waits."""
        if self.blocks is None:
            self.follow()
        for _ in range(count):
            try:
                if self.waiting is None:
                    self.waiting = self.blocks.__anext__()
                self.waiting.send(None)
            except StopIteration as block:
                self.waiting = None
                self.take(block.value)
            except SourceError:
                # The supervisor restarts the follower with the known positions.
                self.follow()
                return True
            except KilledError:
                self.blocks = self.waiting = None
                self.crash()
                return True
            else:
                return True
        return False

    def take(self, block: Block) -> None:
        for line in block.data.splitlines():
            found = self.line.fullmatch(line)
            if found and self.world.lines[int(found[1])] == line:
                self.judged[int(found[1])] += 1
                assert self.judged[int(found[1])] == 1, f"line {int(found[1])} is judged again"
        for position in (*block.told, block.position):
            self.positions.pop(position.content, None)
            self.positions[position.content] = position

    @rule(count=st.integers(1, 5), length=st.sampled_from((0, 30, 200, 500)), half=st.booleans())
    def write(self, count: int, length: int, half: bool) -> None:
        self.world.write(count, length, half=half)

    @rule(turn=st.integers(0, 100))
    def rotate(self, turn: int) -> None:
        self.world.rotate(self.modes[turn % len(self.modes)])

    @rule(count=st.integers(1, 4))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.world.step()

    @rule(count=st.integers(1, 6), data=st.data(), names=st.sampled_from((None, True)))
    def read(self, count: int, data: st.DataObject, names: bool | None) -> None:
        """Run the follower, with changes of the log between its system calls."""
        StillWake.names = names
        what = data.draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=4))
        calls = 0

        def hook() -> None:
            nonlocal calls
            calls += 1
            for at, action in what:
                if at == calls:
                    self.meanwhile(action)

        self.hook = hook
        try:
            self.drive(count)
        finally:
            self.hook = lambda: None

    def meanwhile(self, action: int) -> None:
        if action == 4:
            raise KilledError
        if action == 3:
            self.world.write(1, 20)
        for _ in range(action):
            self.world.step()

    @rule()
    def commit(self) -> None:
        self.kept = Counter(self.judged), dict(self.positions)

    @rule()
    def crash(self) -> None:
        """Crash: uncommitted state is lost."""
        self.stop()
        self.judged, self.positions = Counter(self.kept[0]), dict(self.kept[1])

    def stop(self) -> None:
        with contextlib.suppress(StopIteration, StopAsyncIteration, KilledError):
            if self.waiting is not None:
                self.waiting.throw(KilledError())
            elif self.blocks is not None:
                self.blocks.aclose().send(None)
        self.blocks = self.waiting = None

    @rule(seconds=st.sampled_from((1.0, 61.0)))
    def tick(self, seconds: float) -> None:
        self.world.finish_line()
        self.now += seconds

    def teardown(self) -> None:
        try:
            self.world.rest()
            StillWake.names = True
            for _ in range(3):
                for _ in range(500):
                    if self.drive(1):
                        break
                self.now += 61
            missing = [n for n in range(len(self.world.lines)) if not self.judged[n]]
            assert set(missing) <= self.world.lost, f"never judged: {sorted(set(missing) - self.world.lost)}"
        finally:
            self.stop()
            self.world.close()
            self.stack.close()
            shutil.rmtree(self.root)


@contextlib.asynccontextmanager
async def _no_timeout(seconds: float) -> AsyncIterator[None]:
    yield


def _no_threads() -> Any:
    """aiofiles without threads."""

    class AtOnce:
        def __init__(self, file: Any, executor: Any) -> None:
            self._file = file

        async def seek(self, offset: int) -> None:
            self._file.seek(offset)

        async def read(self, length: int) -> bytes:
            return bytes(self._file.read(length))

    return SimpleNamespace(threadpool=SimpleNamespace(wrap=AtOnce))


TestRotations = Rotations.TestCase
# The short form is deterministic; the long one is random.
TestRotations.settings = settings(
    derandomize="ZMBAN_MODELS" not in os.environ,
    max_examples=MODELS,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
