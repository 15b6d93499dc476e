"""With fewer descriptors than logs, unopened logs are reported and retried, and everything else works."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.kernel.facts.links import links
from sidecar.model import KernelError
from sidecar.sources.files.descriptors import must_leave_some, open_regular, reason
from tests.app.running import Running, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
JAIL = "[more]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 2\nlogpath = {}/more*.log\n"
LIMIT, LOGS = 64, 100


def sources(running: Running) -> dict[str, str | None]:
    """The reason why each log is not read; None if it is."""
    told: list[dict[str, Any]] = running.ask("status")[0]["sources"]
    return {one["source"]: one["error"] for one in told}


def read(running: Running) -> list[Path]:
    return [Path(path) for path, why in sources(running).items() if why is None and "more" in path]


def test_with_fewer_descriptors_than_logs_the_rest_is_told_and_everything_else_goes_on(
    host: Namespace, running: Running
) -> None:
    for number in range(LOGS):
        running.log.with_name(f"more{number}.log").touch()
    with (running.root / "config/jail.d/test.conf").open("a", encoding="utf-8") as file:
        file.write(JAIL.format(running.log.parent))
    running.by = ["prlimit", f"--nofile={LIMIT}:{LIMIT}"]
    running.launch()
    until(lambda: running.get("/healthz")[0] == 200)
    told = f"cannot be read: too many open files: the limit is {LIMIT}; raise the hard limit"
    until(lambda: sum(told in (why or "") for why in sources(running).values()) > LOGS // 2)
    until(lambda: len(sources(running)) == LOGS + 1)
    first = read(running)
    assert len(first) >= 5
    assert sum(told in (why or "") for why in sources(running).values()) == LOGS - len(first)
    with contextlib.ExitStack() as idle:
        for _ in range(2 * LIMIT):
            client = idle.enter_context(socket.create_connection(("127.0.0.1", 9177)))
            client.sendall(b"GET /metrics HT")
            silent = idle.enter_context(socket.socket(socket.AF_UNIX))
            silent.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                silent.connect(str(running.socket))
        running.attack(EVIL, log=first[0])
        until(lambda: blackholes(host) == {EVIL})
        assert running.ask("status")[0]["enforced"]
        assert running.ask("bans")[0]["network"] == f"{EVIL}/32"
    # Deleted logs free descriptors for others.
    for path in first[1:]:
        path.unlink()
    until(lambda: len(set(read(running)) - set(first)) > 3, 90)
    other = next(path for path in read(running) if path not in first)
    running.attack(OTHER, log=other)
    until(lambda: blackholes(host) == {EVIL, OTHER})
    assert running.metric("zmban_enforced") == 1
    until(lambda: running.metric(f'zmban_source_up{{source="{other}"}}') == 1)
    for word in ("Traceback", "_ssock", "Exception ignored"):
        assert word not in running.said()
    assert running.stop() == 0
    running.launch()
    until(lambda: running.get("/healthz")[0] == 200)
    until(lambda: running.banned() == {f"{EVIL}/32", f"{OTHER}/32"})


@contextlib.contextmanager
def limited(more: int) -> Iterator[None]:
    """Limit the free descriptors of this process."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_logs_leave_descriptors_to_everybody_else(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.touch()
    with contextlib.ExitStack() as held, limited(60):

        def take_all() -> None:
            while True:
                held.callback(open_regular(str(log)).close)

        with pytest.raises(OSError, match="Too many open files") as refused:
            take_all()
        assert refused.value.errno == errno.EMFILE
        assert reason(refused.value).startswith("too many open files: the limit is ")
        for _ in range(20):
            held.callback(os.close, os.dup(0))


def test_a_program_that_has_few_descriptors_from_the_beginning_may_use_most_of_them() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
        must_leave_some(9)
        with pytest.raises(OSError, match="Too many"):
            must_leave_some(10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("left", range(8))
def test_without_descriptors_the_interfaces_are_not_known_and_that_is_one_sentence(
    left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    links()
    with contextlib.ExitStack() as held, limited(40):
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for descriptor in taken[:left]:
            os.close(descriptor)
        for descriptor in taken[left:]:
            held.callback(os.close, descriptor)
        with pytest.raises(KernelError, match=r"cannot be read: .*Too many open files"):
            links()
    assert "_ssock" not in capfd.readouterr().err
