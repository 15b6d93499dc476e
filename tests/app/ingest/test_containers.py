"""Logs of containers in the service: an attacker is banned once, over restarts of pods and of the service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from sidecar.app.ingest import followed_log, log_manager
from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.model import Ban, Batch, Failure
from sidecar.sources.files import follower
from sidecar.sources.kinds import kind_of
from tests.app.ingest.test_log_manager import until
from tests.app.running import InProcess, in_process

EVIL = "198.51.100.7"
LABEL = "zimbra/mta-0/postfix"


class Node:
    """The directories of a node's kubelet, with one pod; `number` counts the starts of its container."""

    def __init__(self, root: Path) -> None:
        self.links, self.place = root / "containers", root / "pods/zimbra_mta-0_6f1c-22/postfix"
        self.links.mkdir()
        self.place.mkdir(parents=True)
        self.number = -1
        self.start()

    @property
    def file(self) -> Path:
        return self.place / f"{self.number}.log"

    def link(self, number: int) -> Path:
        return self.links / f"mta-0_zimbra_postfix-{number:064x}.log"

    def start(self) -> None:
        """Start the container, which has a file and a link of its own."""
        self.number += 1
        self.file.touch()
        self.link(self.number).symlink_to(self.file)

    def fail(self, host: str, *, parts: int = 1, zone: str = "") -> None:
        """A failed login, written in parts."""
        now = datetime.now(UTC)
        text = f"{now:%b} {now.day:2d} {now:%H:%M:%S} mta postfix/smtps/smtpd[1]: warning: unknown[{host}]: "
        self.say(f"{text}SASL LOGIN authentication failed: x{zone}", parts)

    def say(self, text: str, parts: int = 1) -> None:
        """A line of the program."""
        stamp, size = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}123Z", len(text) // parts + 1
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        with self.file.open("a") as log:
            for number, piece in enumerate(pieces, start=1):
                log.write(f"{stamp} stdout {'F' if number == len(pieces) else 'P'} {piece}\n")

    def rotate(self) -> None:
        """What the kubelet does with a file of 10 MiB."""
        self.file.rename(self.file.with_name(f"{self.file.name}.20261127-{time.monotonic_ns() % 10**6:06d}"))
        self.file.touch()


class Heard:
    """What the bus brought."""

    def __init__(self, service: InProcess) -> None:
        self.service, self.batches = service, list[Batch]()
        service.bus.subscribe(self)

    def handle(self, batch: Batch) -> None:
        self.batches.append(batch)

    @property
    def logs(self) -> list[FollowedLog]:
        """The logs of containers that are followed."""
        return [log for name, log in self.service.logs.logs.items() if name.startswith("cri:")]

    def hosts(self, kind: type[Ban] | type[Failure]) -> list[str]:
        return [e.network.address for b in self.batches for e in b.events if isinstance(e, kind)]


@contextlib.asynccontextmanager
async def following(root: Path, node: Node) -> AsyncIterator[Heard]:
    jail = "[mta]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 3\nlogtimezone = UTC\n"
    jail += f"logpath = cri:{node.links}/mta-*_zimbra_*.log\nzmban.log = zimbra.log\n"
    async with in_process(root, jail, dry_run=True) as service:
        heard = Heard(service)
        task = asyncio.create_task(service.logs.run())
        try:
            await until(lambda: service.logs.caught_up.is_set())
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await service.commit_queue.commit()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(log_manager, "_LOOK_SECONDS", 0.03)
    monkeypatch.setattr(log_manager, "_RETRY_SECONDS", (0.02, 0.1))
    monkeypatch.setattr(followed_log, "_GONE_SECONDS", 0.3)
    monkeypatch.setattr(followed_log, "LATE_SECONDS", 0.6)
    monkeypatch.setattr(follower, "_GONE_SECONDS", 0.1)
    return Node(tmp_path)


async def test_an_attacker_is_banned_over_a_rotation_and_a_restart_of_the_container(
    tmp_path: Path, node: Node
) -> None:
    async with following(tmp_path, node) as heard:
        node.fail(EVIL, parts=3)
        await until(lambda: heard.hosts(Failure) == [EVIL])
        node.rotate()
        node.fail(EVIL)
        await until(lambda: heard.hosts(Failure) == [EVIL] * 2)
        node.start()
        node.fail(EVIL, parts=2)
        await until(lambda: heard.hosts(Ban) == [EVIL])
        assert len(heard.logs) == 2
        assert heard.service.metric("lines_total", source=LABEL) == 3
        assert heard.service.logs.sources_by_label()[LABEL] is None


async def test_a_restart_of_the_service_repeats_and_loses_nothing(tmp_path: Path, node: Node) -> None:
    for number in range(3):
        root = tmp_path / str(number)
        root.mkdir()
        if number:
            (root / "state").symlink_to(tmp_path / "0/state")
        async with following(root, node) as heard:
            node.fail(EVIL)
            await until(partial(heard.hosts, Failure))
            await asyncio.sleep(0.1)
            assert heard.hosts(Failure) == [EVIL]
            assert heard.hosts(Ban) == ([EVIL] if number == 2 else [])


async def test_a_pod_that_is_gone_takes_its_series_away(tmp_path: Path, node: Node) -> None:
    async with following(tmp_path, node) as heard:
        node.fail(EVIL)
        await until(lambda: heard.hosts(Failure))
        metrics = heard.service.metrics
        node.start()
        await until(lambda: len(heard.logs) == 2)
        # The kubelet removes the older container first: the pod's label stays.
        (node.place / "0.log").unlink()
        await until(lambda: len(heard.logs) == 1)
        assert LABEL.encode() in metrics.taken("")()[0]
        # A link that leads nowhere is a log that is gone.
        node.file.unlink()
        await until(lambda: not heard.logs)
        assert LABEL.encode() not in metrics.taken("")()[0]


async def test_the_container_s_date_counts_where_the_line_has_none(tmp_path: Path, node: Node) -> None:
    async with following(tmp_path, node) as heard:
        (log,) = heard.logs
        line = kind_of(log.path).line(b"2026-11-27T10:00:00.5Z stdout F no date here")
        assert log.scanner.when(line, time.time()) == datetime(2026, 11, 27, 10, tzinfo=UTC).timestamp() + 0.5
        node.say("no date here")
        await until(lambda: heard.service.metric("lines_total", source=LABEL) == 1)


async def test_links_without_their_files_are_told_with_the_cure(tmp_path: Path, node: Node) -> None:
    node.file.unlink()
    pattern = f"cri:{node.links}/*.log"
    answer = kind_of(pattern).look_up(pattern, ())
    assert answer.found == {}
    assert (
        answer.why
        == f"{node.link(0)} is a link to {node.file}, which is not there: mount the directory it lies in too"
    )
