"""The log manager with a kind of log that lies in memory: what becomes of blocks, positions and errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.app.ingest import log_manager as module
from sidecar.model import Ban, Batch, Block, Failure, Position, SourceError
from sidecar.sources import kinds
from sidecar.sources.files.content import FileKey
from sidecar.sources.kinds import Opening, SourceKind
from sidecar.sources.lines.line_format import LONGEST
from sidecar.sources.log_lookup import Answer
from tests.app.running import InProcess, in_process

EVIL, OTHER = "198.51.100.7", "198.51.100.8"
LOG = "tape:one/zimbra.log"


def smtp(host: str) -> bytes:
    now = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
    says = f"warning: unknown[{host}]: SASL LOGIN authentication failed: x"
    return f"{now} mail postfix/smtps/smtpd[1]: {says}\n".encode()


def access(host: str) -> bytes:
    """A request for passwords, as nginx.access.log tells of it: its grammar names the client."""
    now = datetime.now().astimezone().strftime("%d/%b/%Y:%H:%M:%S %z")
    asks = '"GET https://mail.example.com/.env HTTP/1.1" 404 100 "-" "x" "10.0.0.2:8443" "10.0.0.1:443"'
    return f"{host}:40003 - - [{now}]  {asks}\n".encode()


class Tape:
    """A log in memory: what is put on it is read, or raised, in order; None ends its backlog."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        # How it was opened, each time.
        self.openings: list[Opening] = []
        self.sources: list[Source] = []

    def put(self, *items: bytes | Exception | None) -> None:
        for item in items:
            self.items.put_nowait(item)


class Source:
    """Reads a tape."""

    def __init__(self, tape: Tape, opening: Opening) -> None:
        self.length = LONGEST * 4
        self._tape, self._name = tape, opening.name
        self.positions: Sequence[Position] = opening.positions
        self.unread: Sequence[str] = ()
        self.renamed = None
        self.keys: Collection[FileKey] = ()
        self._reached: Callable[[], None] = lambda: None
        tape.openings.append(opening)
        tape.sources.append(self)

    def on_end(self, reached: Callable[[], None]) -> None:
        self._reached = reached

    async def blocks(self) -> AsyncGenerator[Block, None]:
        live = False
        while True:
            if self._tape.items.empty() and live:
                self._reached()
            item = await self._tape.items.get()
            if item is None:
                live = True
                continue
            if isinstance(item, Exception):
                raise item
            offset = self.positions[0].offset if self.positions else 0
            position = Position(self._name, 1, offset + len(item), b"head")
            self.positions = (position,)
            yield Block(item, position, live, time.time())


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """The log of every name `tape:...`; the name behind the last slash is that of its grammar."""
    tape = Tape()
    kind = SourceKind(
        lambda pattern, _: Answer({pattern: (7, hash(pattern))}, ""),
        lambda opening: Source(tape, opening),
        lambda name: name.rpartition("/")[2],
    )
    monkeypatch.setitem(kinds.KINDS, "tape", kind)
    monkeypatch.setattr(module, "_RETRY_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(module, "_LOOK_AT_START_SECONDS", 0.01)
    return tape


class World:
    """A service in a dry run whose logs are followed, and what its bus brought."""

    def __init__(self, service: InProcess) -> None:
        self.service, self.logs = service, service.logs
        self.batches: list[Batch] = []
        # At each batch, how far the log counts as read.
        self.positions: list[int] = []
        service.bus.subscribe(self)

    def handle(self, batch: Batch) -> None:
        self.batches.append(batch)
        known = self.service.commit_queue.positions()
        self.positions.append(max((p.offset for found in known.values() for p in found), default=0))

    def networks(self, kind: type[Ban] | type[Failure]) -> list[str]:
        """The addresses of the events of a kind, in order."""
        events = (event for batch in self.batches for event in batch.events)
        return [event.network.address for event in events if isinstance(event, kind)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def following(
    root: Path, tape: Tape, logpath: str = LOG, filter_: str = "zimbra-smtp", options: str = ""
) -> AsyncIterator[World]:
    jail = f"[tape]\nenabled = true\nfilter = {filter_}\nlogpath = {logpath}\nmaxretry = 2\n{options}\n"
    async with in_process(root, jail, dry_run=True) as service:
        world, before = World(service), len(tape.openings)
        task = asyncio.create_task(service.logs.run())
        try:
            await until(lambda: len(tape.openings) > before)
            yield world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def world(tmp_path: Path, tape: Tape) -> AsyncIterator[World]:
    async with following(tmp_path, tape) as one:
        yield one


async def test_lines_of_any_kind_of_log_become_events_of_its_jails(world: World, tape: Tape) -> None:
    tape.put(smtp(EVIL) + smtp(OTHER) + b"nothing of interest\n", smtp(EVIL))
    await until(lambda: world.networks(Ban) == [EVIL])
    assert world.networks(Failure) == [EVIL, OTHER, EVIL]
    assert [batch.source for batch in world.batches] == [LOG] * 2
    assert world.service.metric("lines_total", source=LOG) == 4


async def test_a_position_is_noted_behind_the_events_of_its_block(world: World, tape: Tape) -> None:
    first, second = smtp(EVIL), smtp(OTHER)
    tape.put(first, second)
    await until(lambda: len(world.batches) == 2)
    assert world.positions == [0, len(first)]
    await until(lambda: world.service.commit_queue.positions())
    await world.service.commit_queue.commit()
    database = world.service.commit_queue.database
    (position,) = database.positions()[LOG]
    assert position.offset == len(first + second)
    assert [failure.network.address for failure in database.failures()] == [EVIL, OTHER]


async def test_failures_behind_a_ban_that_led_to_no_new_one_are_not_kept(world: World, tape: Tape) -> None:
    tape.put(smtp(EVIL) * 5 + smtp(OTHER))
    await until(lambda: world.networks(Failure) == [EVIL] * 5 + [OTHER])
    await world.service.commit_queue.commit()
    database = world.service.commit_queue.database
    assert [ban.network.address for ban in database.bans()] == [EVIL]
    kept = [failure.network.address for failure in database.failures()]
    # Two are enough: the third and the fourth were enough again, and the fifth stands.
    assert kept == [EVIL, OTHER]


async def test_a_log_is_read_on_from_where_an_earlier_run_stopped(tmp_path: Path, tape: Tape) -> None:
    line = smtp(EVIL)
    for number, expected in enumerate((0, len(line))):
        root = tmp_path / str(number)
        root.mkdir()
        if number:
            (root / "state").symlink_to(tmp_path / "0/state")
        async with following(root, tape) as one:
            assert sum(position.offset for position in tape.openings[-1].positions) == expected
            tape.put(line)
            await until(lambda: one.batches)
            await until(lambda: tape.items.empty())
    assert one.networks(Ban) == [EVIL]


async def test_only_what_is_read_behind_the_backlog_is_live_and_the_log_is_ready_then(
    world: World, tape: Tape
) -> None:
    tape.put(smtp(EVIL))
    await until(lambda: world.batches)
    assert f"{LOG}: its backlog is being read" in [*world.logs.not_ready()]
    tape.put(None)
    await until(lambda: f"{LOG}: its backlog" not in "".join(world.logs.not_ready()))
    tape.put(smtp(OTHER))
    await until(lambda: len(world.batches) == 2)
    assert [batch.live for batch in world.batches] == [False, True]
    await until(world.logs.caught_up.is_set)


async def test_after_an_error_a_log_is_opened_again_where_its_source_stopped(
    world: World, tape: Tape, caplog: pytest.LogCaptureFixture
) -> None:
    line = smtp(EVIL)
    with caplog.at_level(logging.WARNING, "zmban.sources"):
        tape.put(line, SourceError("the tape is torn"), SourceError("the tape is torn"))
        await until(lambda: len(tape.openings) == 3)
        assert world.logs.sources()[LOG] == "the tape is torn"
        assert "the tape is torn" in [*world.logs.not_ready()]
        assert [p.offset for p in tape.openings[-1].positions] == [len(line)]
        tape.put(line)
        await until(lambda: world.networks(Ban) == [EVIL])
    assert world.logs.sources()[LOG] is None
    assert caplog.messages == ["the tape is torn; retrying"]


async def test_the_pause_between_tries_grows_and_is_short_again_behind_a_block(
    world: World, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(_: str, seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(world.logs._watcher, "pause", pause)
    tape.put(*[SourceError("x")] * 4, smtp(EVIL), SourceError("x"))
    await until(lambda: len(pauses) == 5)
    assert pauses == [0.01, 0.02, 0.04, 0.05, 0.01]


async def test_a_block_without_lines_ends_no_error(world: World, tape: Tape) -> None:
    """A source tells positions before it reads: a log that fails at each try would look good in between."""
    seen: list[str | None] = []
    reached = world.service.commit_queue.reached

    def noted(position: Position) -> None:
        seen.append(world.logs.sources()[LOG])
        reached(position)

    world.service.commit_queue.reached = noted  # type: ignore[method-assign]
    tape.put(SourceError("torn"), b"", SourceError("torn"), b"", smtp(EVIL))
    await until(lambda: len(seen) == 3)
    assert seen == ["torn", "torn", None]


async def test_a_fault_of_the_program_in_a_source_ends_the_service(tmp_path: Path, tape: Tape) -> None:
    jail = "[tape]\nenabled = true\nfilter = zimbra-smtp\nlogpath = tape:one/zimbra.log\n"
    async with in_process(tmp_path, jail, dry_run=True) as service:
        tape.put(ValueError("a fault of the program"))
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.timeout(10):
                await service.logs.run()
        assert raised.group_contains(ValueError)


async def test_a_block_that_takes_long_makes_the_next_ones_shorter_and_a_quick_one_longer(
    world: World, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = tape.sources
    monkeypatch.setattr(module, "_LONGEST_TURN", 0.0)
    tape.put(smtp(EVIL))
    await until(lambda: source.length == LONGEST * 2)
    monkeypatch.setattr(module, "_LONGEST_TURN", 1000.0)
    tape.put(smtp(OTHER))
    await until(lambda: source.length == LONGEST * 4)


@pytest.mark.parametrize(
    ("logpath", "options", "found"),
    [
        ("tape:one/nginx.access.log", "", [EVIL, EVIL]),
        ("tape:one/container.log", "", []),
        ("tape:one/container.log", "zmban.log = nginx.access.log", [EVIL, EVIL]),
        ("tape:one/nginx.access.log", "zmban.log = zimbra.log", []),
    ],
    ids=["by the name of its kind", "no such name", "by the jail", "the jail before the name"],
)
async def test_the_grammar_is_chosen_by_the_name_that_its_kind_or_its_jail_gives_a_log(
    tmp_path: Path, tape: Tape, logpath: str, options: str, found: list[str]
) -> None:
    async with following(tmp_path, tape, logpath, "zimbra-scan", options) as one:
        tape.put(access(EVIL) * 2, None)
        await until(lambda: one.logs.logs[logpath].caught_up)
        assert one.networks(Failure) == found


async def test_a_kind_that_nobody_knows_is_told_and_keeps_no_other_log_from_being_read(
    tmp_path: Path, tape: Tape
) -> None:
    async with following(tmp_path, tape, f"{LOG}\n  paper:x") as one:
        tape.put(smtp(EVIL))
        await until(lambda: one.batches)
        known = ", ".join(kinds.KINDS)
        assert one.logs.sources()["paper:x"] == f"paper:x: paper is no kind of log; there are: {known}"
