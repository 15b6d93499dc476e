"""A table has one owner in each network namespace, as long as that lives."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.kernel import owner
from sidecar.kernel.owner import Holder
from tests.netns import Namespace, program

pytestmark = pytest.mark.kernel

TABLE, STATE = 2520, "/var/lib/zmban"


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[int]:
    """A process that has done this, and waits until it is killed; its id."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            kept = work()
            os.write(writing, b"1" if kept else b"0")
            signal.pause()
        os._exit(0)
    try:
        assert os.read(reading, 1) == b"1"
        yield pid
    finally:
        for end in (reading, writing):
            os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def squat(*, listening: bool = True) -> socket.socket:
    """Take the name as a user without any rights."""
    os.setuid(65534)
    held = socket.socket(socket.AF_UNIX)
    held.bind(owner._name(TABLE))
    if listening:
        held.listen(0)
    return held


def test_a_table_is_owned_once_and_free_again_when_it_is_given_back(host: Namespace) -> None:
    first = owner.take(TABLE, STATE)
    assert first is not None
    assert owner.take(TABLE, "/other") is None
    told = owner.holder(TABLE)
    assert told == Holder(os.getpid(), os.geteuid(), str(os.getpid()), STATE)
    assert told.counts and str(told) == f"process {os.getpid()} with state {STATE}"
    for table in (254, 2521):
        other = owner.take(table, STATE)
        assert other is not None
        other.close()
    first.close()
    assert owner.holder(TABLE) is None
    second = owner.take(TABLE, STATE)
    assert second is not None
    second.close()


def test_in_another_network_namespace_the_same_table_is_another_one(host: Namespace) -> None:
    far = Namespace()
    first = owner.take(TABLE, STATE)
    try:
        with far.inside():
            second = owner.take(TABLE, STATE)
        assert first is not None and second is not None
        second.close()
        first.close()
    finally:
        far.remove()


def test_a_process_that_is_killed_holds_nothing(host: Namespace) -> None:
    with child(lambda: owner.take(TABLE, STATE)) as pid:
        assert owner.take(TABLE, "/other") is None
        told = owner.holder(TABLE)
        assert told is not None and (told.pid, told.state) == (pid, STATE)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        mine = owner.take(TABLE, "/other")
        assert mine is not None
        mine.close()


def test_one_that_hangs_is_known_by_its_process_all_the_same(host: Namespace) -> None:
    with child(lambda: owner.take(TABLE, STATE)) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        told = owner.holder(TABLE)
        assert told is not None and told.counts
        assert str(told) == f"process {pid}"


def test_of_many_who_start_at_once_one_owns_the_table(host: Namespace) -> None:
    begin, many = threading.Barrier(8), list[owner.Owner | None]()

    def work() -> None:
        begin.wait()
        many.append(owner.take(TABLE, STATE))

    for _ in range(20):
        many.clear()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (one,) = (each for each in many if each is not None)
        one.close()


def test_a_user_without_rights_who_takes_the_name_is_no_owner(host: Namespace) -> None:
    with child(squat) as pid:
        assert owner.take(TABLE, STATE) is None
        told = owner.holder(TABLE)
        assert told is not None and not told.counts
        assert (told.pid, told.uid) == (pid, 65534)
    with child(lambda: squat(listening=False)):
        assert owner.take(TABLE, STATE) is None
        assert owner.holder(TABLE) is None


def test_what_a_holder_says_reaches_nobody_s_terminal_as_it_came(host: Namespace) -> None:
    held = owner.take(TABLE, "/var/\x1b[2Jlib\n" + "x" * 100_000)
    told = owner.holder(TABLE)
    assert held is not None and told is not None
    assert told.state.isprintable() and told.state.startswith("/var/\\x1b[2Jlib\\n")
    assert len(told.state) < 10_000
    held.close()


def test_one_in_another_pid_namespace_is_known_by_what_it_says_of_itself(host: Namespace) -> None:
    text = f"from sidecar.kernel import owner; print(owner.take({TABLE}, '/'), owner.holder({TABLE}).counts, end=' ')"
    command = [program("unshare", "util-linux"), "--pid", "--fork", sys.executable, "-c"]
    command += [f"{text}; print(owner.holder({TABLE}))"]
    held = owner.take(TABLE, STATE)
    assert held is not None
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(owner.__file__).parents[2]
    )
    here = f"a process of another container, there {os.getpid()}, with state {STATE}"
    assert done.stdout == f"None True {here}\n"
    held.close()
