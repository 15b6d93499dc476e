"""One rtnetlink socket: routes in bulk, dumps, our rules, single lookups.

Writes are answered before `send` returns, so no reply is ever waited for; only dumps block, and have a
timeout. Errors of single messages are results here; a socket that fails is KernelError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.kernel.backend import NOTHING, Entries, Entry, NoNetAdmin
from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import PROTOCOL, Rule
from sidecar.kernel.netlink.route_dump import RouteDump
from sidecar.kernel.netlink.sweep import Sweep
from sidecar.model import KernelError
from sidecar.network import Network

# The answers to 1,000 refused messages need about 1 MiB of receive buffer: with less the kernel drops some.
RECEIVE_BUFFER = 8 << 20
_MESSAGES, _MESSAGES_SMALL_BUFFER = 1000, 100
DATAGRAM = 65536  # the kernel never sends a longer part of a dump than 32 KiB
_TIMEOUT = 10.0
_REPEATS = 5

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 12
_SO_RCVBUFFORCE = 33

# Answers to a lookup when no packet can be sent; a blackhole is a bare EINVAL.
_UNREACHABLE = {errno.EINVAL, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EAGAIN}
# Answers to a dump by a kernel without IPv6, without this table, or without nexthop objects.
_NOTHING_THERE = {errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.ESRCH}


@dataclass(slots=True)
class Receipt:
    """What the kernel answered to a bulk write.

    `errors` is errno by position in the written sequence, successes are absent; `complete` is False when
    answers were lost, so that nothing is known about the messages without an error.
    """

    errors: dict[int, int] = field(default_factory=dict)
    complete: bool = True


class Netlink:
    """One rtnetlink socket of the network namespace of the thread that makes it.

    `receive_buffer` in bytes. Threads may share it: a lock is held for one send of at most 1,000 messages
    (about 3 ms); dumps use a socket of their own. Raises KernelError if there is no such socket.
    """

    def __init__(self, receive_buffer: int = RECEIVE_BUFFER) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket = _open()
        self._socket.setblocking(False)  # the kernel has answered when `send` returns
        granted = grow(self._socket, receive_buffer)
        self._per_send = _MESSAGES if granted >= RECEIVE_BUFFER else _MESSAGES_SMALL_BUFFER

    @property
    def port(self) -> int:
        """The netlink port, by which the kernel marks who made a change."""
        return int(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def can_write(self) -> bool:
        """Whether the process holds NET_ADMIN here; changes nothing."""
        with self._lock:
            first = self._numbers(1)
            receipt = self._send(codec.encode_probe(first), first, 1)
        return receipt.errors.get(0) not in (errno.EPERM, errno.EACCES)

    def add_routes(
        self, entry: Entry, table: int, networks: Sequence[Network], protocol: int = PROTOCOL
    ) -> Receipt:
        """Write these routes in this order. EEXIST among the errors: some route stands on that prefix, ours
        or foreign. Raises NoNetAdmin, KernelError."""
        return self._write(codec.RTM_NEWROUTE, entry, table, protocol, networks)

    def delete_routes(
        self, entry: Entry, table: int, networks: Sequence[Network], protocol: int = PROTOCOL
    ) -> Receipt:
        """Delete these routes of ours. ESRCH among the errors: it was not there. Raises NoNetAdmin,
        KernelError."""
        return self._write(codec.RTM_DELROUTE, entry, table, protocol, networks)

    def routes(
        self,
        version: int,
        table: int,
        types: Mapping[int, Entry],
        protocol: int = PROTOCOL,
        wanted: Entries = NOTHING,
    ) -> RouteDump:
        """Our routes of one family and table that are not as wanted, read from the kernel.

        A table that changed meanwhile is read again, at most 5 times; then the last dump is returned, because
        a write that follows it gets EEXIST or ESRCH. Raises KernelError.
        """
        for _ in range(_REPEATS):
            reading = RouteDump(table, protocol, types, 1, wanted)
            for datagram in self._dump(codec.encode_route_dump(version, table, protocol, 1), reading):
                reading.feed(datagram)
            if reading.error and reading.error not in _NOTHING_THERE:
                raise KernelError(f"the kernel refuses to list table {table}: {os.strerror(reading.error)}")
            if not reading.interrupted:
                break
        return reading

    def sweep(self, version: int, table: int, types: Mapping[int, Entry], protocol: int) -> int:
        """Delete our routes of one family and table as the kernel lists them. Returns how many. Messages of
        an unusual shape are left. Raises NoNetAdmin, KernelError."""
        sweep = Sweep(table, protocol, types)
        for datagram in self._dump(codec.encode_route_dump(version, table, protocol, 1), sweep):
            sweep.feed(datagram)
        failed = 0
        for part in sweep.parts:
            with self._lock:
                self._transmit(part)
                codes = [c for data in self._replies() for c in codec.error_codes(data)]
            if errno.EPERM in codes:
                raise NoNetAdmin
            failed += len(codes)
        return sweep.count - failed

    def rules(self, version: int) -> list[Rule]:
        """All policy rules of one family, foreign ones too. Raises KernelError."""
        dump = codec.encode_rule_dump(version, 1)
        return [codec.decode_rule(*found) for found in self.listed(dump, codec.RTM_NEWRULE)]

    def listed(self, request: bytes, wanted: int) -> Iterator[tuple[bytes, int, int]]:
        """(datagram, start, end) of each message of type `wanted` in the answer to a dump with sequence
        number 1; empty if the kernel does not know such objects. Raises KernelError."""
        end = RouteDump(0, 0, {}, 1)
        for data in self._dump(request, end):
            end.feed(data)
            for type_, _, _, start, stop in codec.messages(data):
                if type_ == wanted:
                    yield data, start, stop
        if end.error and end.error not in _NOTHING_THERE:
            raise KernelError(f"the kernel refuses a list: {os.strerror(end.error)}")

    def add_rule(self, rule: Rule) -> None:
        """Add this rule; success if it exists already. Raises NoNetAdmin, KernelError."""
        self._write_rule(codec.RTM_NEWRULE, rule, errno.EEXIST)

    def delete_rule(self, rule: Rule) -> None:
        """Delete one rule of this family, preference, table and protocol; success if there is none.
        Raises NoNetAdmin, KernelError."""
        self._write_rule(codec.RTM_DELRULE, rule, errno.ENOENT)

    def lookup(self, address: Network) -> int:
        """0 if the kernel knows a route to this single address, -1 if it is the host's own; else the errno of
        the refusal: EINVAL is a blackhole, ENETUNREACH no route at all. Raises KernelError."""
        with self._lock:
            first = self._numbers(1)
            self._transmit(codec.encode_lookup(address, first))
            for data in self._replies():
                for type_, _, sequence, start, end in codec.messages(data):
                    if sequence != first:
                        continue
                    if type_ != codec.NLMSG_ERROR:
                        route = codec.decode_route(data, start, end)
                        return 0 if route.type == codec.UNICAST else -1
                    code = codec.error_code(data, start)
                    if code in _UNREACHABLE:
                        return code
                    raise KernelError(f"the kernel cannot look up {address.address}: {os.strerror(code)}")
        raise KernelError(f"the kernel does not answer a lookup of {address.address}")

    def _write(
        self, message: int, entry: Entry, table: int, protocol: int, networks: Sequence[Network]
    ) -> Receipt:
        whole = Receipt()
        position = 0
        while position < len(networks):
            with self._lock:
                part = networks[position : position + self._per_send]
                first = self._numbers(len(part))
                data = codec.encode_routes(message, entry, table, protocol, part, first)
                receipt = self._send(data, first, len(part))
                if not receipt.complete:
                    self._per_send = max(1, self._per_send // 10)
            whole.complete &= receipt.complete
            for index, code in receipt.errors.items():
                if code == errno.EPERM:
                    raise NoNetAdmin
                whole.errors[position + index] = code
            position += len(part)
        return whole

    def _write_rule(self, message: int, rule: Rule, success: int) -> None:
        with self._lock:
            first = self._numbers(1)
            receipt = self._send(codec.encode_rule(message, rule, first), first, 1)
        code = receipt.errors.get(0, 0)
        if code == errno.EPERM:
            raise NoNetAdmin
        if code not in (0, success):
            raise KernelError(f"the kernel refuses the IPv{rule.version} rule: {os.strerror(code)}")

    def _numbers(self, count: int) -> int:
        """The first of `count` fresh sequence numbers; 32 bits, and never 0."""
        if self._sequence + count >= 1 << 32:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _send(self, data: bytes, first: int, count: int) -> Receipt:
        """Send messages numbered from `first`, collect errors until the last of them is answered."""
        receipt = Receipt()
        self._transmit(data)
        for reply in self._replies(receipt):
            for type_, _, sequence, start, _ in codec.messages(reply):
                index = sequence - first
                if type_ != codec.NLMSG_ERROR or not 0 <= index < count:
                    continue
                code = codec.error_code(reply, start)
                if code:
                    receipt.errors[index] = code
                if index == count - 1:
                    return receipt
        receipt.complete = False
        return receipt

    def _transmit(self, data: bytes | bytearray) -> None:
        try:
            self._socket.send(data)
        except OSError as fault:
            raise KernelError(f"the kernel takes no messages: {fault.strerror}") from fault

    def _replies(self, receipt: Receipt | None = None) -> Iterator[bytes]:
        """The datagrams waiting on the socket. ENOBUFS (answers were dropped) marks the receipt."""
        while True:
            try:
                yield self._socket.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise KernelError(f"the kernel's answers cannot be read: {fault.strerror}") from fault
                if receipt is not None:
                    receipt.complete = False

    def _dump(self, request: bytes, reading: RouteDump | Sweep) -> Iterator[bytes]:
        """The datagrams of a dump on a fresh strict socket, until `reading` has seen the end."""
        with contextlib.closing(_open()) as dumping:
            try:
                dumping.send(request)
                while not reading.done:
                    yield dumping.recv(DATAGRAM)
            except OSError as fault:
                raise KernelError(f"the kernel's tables cannot be read: {fault}") from fault


def _open() -> socket.socket:
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    except OSError as fault:
        raise KernelError(f"no rtnetlink socket here: {fault.strerror}") from fault
    opened.settimeout(_TIMEOUT)
    opened.bind((0, 0))
    # Neither is known to kernels before 4.20; CAP_ACK spares the copy of our message in each error.
    for option in (_NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK):
        with contextlib.suppress(OSError):
            opened.setsockopt(_SOL_NETLINK, option, 1)
    return opened


def grow(opened: socket.socket, size: int) -> int:
    """Ask for a receive buffer of `size` bytes, return what was granted."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    # The kernel doubles the requested size, for its own bookkeeping.
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
