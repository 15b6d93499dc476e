"""The kernel refuses, forgets, or the process dies between two messages: a reconcile brings what is wanted, and
nobody who is protected is cut off meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from sidecar.app.enforce.proof import CANARY
from sidecar.kernel.backend import Entry, NoNetAdmin
from sidecar.kernel.netlink.connection import Netlink, Receipt
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.model import KernelError
from sidecar.network import Network
from tests.kernel.entries import reconcile, standing
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT
WIDE = Network.parse("203.0.113.0/24")
SPARED = Network.parse("203.0.113.9")


def wanted(first: int) -> dict[Network, Entry]:
    """120 addresses, a wide ban, and who stays reachable under it."""
    routes = {Network(4, 0xC6336400 + number, 32): BAN for number in range(first, first + 120)}
    return {**routes, Network.parse("2001:db8:1::/64"): BAN, WIDE: BAN, SPARED: EXEMPT}


@pytest.fixture
def table(host: Namespace) -> Iterator[RoutingTable]:
    host.wire("mail0", "192.0.2.1/24")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    with contextlib.closing(RoutingTable()) as made:
        made.ensure_rules()
        yield made


def dies(work: Callable[[], object], after: int) -> bool:
    """Whether a process that does this is killed right before its message of this number."""
    child = os.fork()
    if not child:
        sent = 0
        transmit = Netlink._transmit

        def counted(self: Netlink, data: bytes | bytearray) -> None:
            nonlocal sent
            if sent == after:
                os.kill(os.getpid(), signal.SIGKILL)
            sent += 1
            transmit(self, data)

        Netlink._transmit = counted  # type: ignore[method-assign]
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("widening", [True, False], ids=["a wide ban comes", "a wide ban goes"])
def test_killed_between_any_two_messages_it_goes_on_where_it_was(table: RoutingTable, widening: bool) -> None:
    narrow = {n: kind for n, kind in wanted(0).items() if n not in (WIDE, SPARED)}
    before, after = (narrow, wanted(60)) if widening else (wanted(60), narrow)

    def work() -> None:
        other = RoutingTable()
        other._netlink._per_send = 10
        reconcile(other, after)

    steps = 0
    while True:
        reconcile(table, before)
        finished = not dies(work, steps)
        assert not table.refuses(SPARED)
        assert finished is (standing(table) == after)
        reconcile(table, after)
        assert standing(table) == after
        if finished:
            break
        steps += 1
    assert steps > 10


def refusing(monkeypatch: pytest.MonkeyPatch, code: int, times: int) -> None:
    """So often the kernel refuses the third of every batch with this errno, and takes nothing behind it."""
    write, left = Netlink._write, [times]

    def some(
        self: Netlink, message: int, kind: Entry, table: int, protocol: int, networks: Sequence[Network]
    ) -> Receipt:
        if not left[0] or len(networks) < 4:
            return write(self, message, kind, table, protocol, networks)
        left[0] -= 1
        write(self, message, kind, table, protocol, networks[:2])
        return Receipt(dict.fromkeys(range(2, len(networks)), code))

    monkeypatch.setattr(Netlink, "_write", some)


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.ENOBUFS])
def test_what_the_kernel_has_no_memory_for_is_tried_again(
    table: RoutingTable, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refusing(monkeypatch, code, times=2)
    made = reconcile(table, wanted(0))
    assert made.faults == ()
    assert standing(table) == wanted(0)


def test_what_the_kernel_never_has_memory_for_is_a_fault_each_and_the_rest_stands(
    table: RoutingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, errno.ENOMEM, times=1000)
    made = reconcile(table, wanted(0))
    assert {fault.network for fault in made.faults} == {*wanted(0), CANARY} - table.present().keys()
    assert {fault.code for fault in made.faults} == {errno.ENOMEM}
    assert not table.refuses(SPARED)


def test_a_right_that_is_lost_meanwhile_ends_the_batch_with_its_name(
    table: RoutingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Netlink, data: bytes, first: int, count: int) -> Receipt:
        return Receipt(dict.fromkeys(range(count), errno.EPERM))

    with monkeypatch.context() as patch:
        patch.setattr(Netlink, "_send", denied)
        with pytest.raises(NoNetAdmin):
            reconcile(table, wanted(0))
    reconcile(table, wanted(0))
    assert standing(table) == wanted(0)


def test_a_socket_that_takes_nothing_is_an_error_and_changes_nothing(
    table: RoutingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(table._netlink, "_socket", Broken(table._netlink._socket))
        with pytest.raises(KernelError, match="takes no messages"):
            reconcile(table, wanted(0))
    assert standing(table) == {}


class Broken:
    """A socket whose sends fail as they do when the kernel is out of buffers."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def send(self, data: bytes) -> int:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
