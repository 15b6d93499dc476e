"""Receives the kernel's announcements of changes to our routes, to rules, and to the host's addresses."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable

from sidecar.kernel.backend import Heard
from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import ENTRIES, PROTOCOL
from sidecar.kernel.netlink.connection import DATAGRAM, RECEIVE_BUFFER, grow
from sidecar.model import KernelError

_SO_ATTACH_FILTER = 26
# RTNLGRP_IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE, _IPV6_RULE of linux/rtnetlink.h.
_GROUPS = sum(1 << group - 1 for group in (5, 7, 8, 9, 11, 19))
_RULES = (codec.RTM_NEWRULE, codec.RTM_DELRULE)
_ROUTES = (codec.RTM_NEWROUTE, codec.RTM_DELROUTE)
_ADDRESSES = (20, 21)  # RTM_NEWADDR, RTM_DELADDR

# Instructions of the classic packet filter (linux/filter.h), which runs over each announcement.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _IF_EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
_WHOLE = 0xFFFFFFFF
_TYPE_AT, _PORT_AT, _LENGTH_AT, _PROTOCOL_AT = 4, 12, 17, 21


class Listener:
    """Announcements in the network namespace of the thread that makes it. Changes made by the sockets with
    these `ports` are left out, by a packet filter in the kernel. Raises KernelError.
    """

    def __init__(self, ports: Iterable[int], table: int, *, protocol: int = PROTOCOL) -> None:
        self._table, self._protocol = table, protocol
        with contextlib.ExitStack() as stack:
            try:
                self._socket = stack.enter_context(
                    socket.socket(
                        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
                    )
                )
                self._socket.setblocking(False)
                grow(self._socket, RECEIVE_BUFFER)
                _attach(self._socket, _program(ports, protocol))
                self._socket.bind((0, _GROUPS))
            except OSError as fault:
                raise KernelError(f"the kernel's announcements cannot be heard: {fault.strerror}") from fault
            stack.pop_all()

    def fileno(self) -> int:
        """Readable when there is something to read."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def read(self) -> Heard:
        """Everything announced so far; never blocks."""
        heard = Heard()
        while True:
            try:
                data = self._socket.recv(DATAGRAM)
            except BlockingIOError:
                return heard
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise KernelError(
                        f"the kernel's announcements cannot be read: {fault.strerror}"
                    ) from fault
                heard.lost = True
                continue
            for type_, _, _, start, end in codec.messages(data):
                self._take(heard, type_, data, start, end)

    def _take(self, heard: Heard, type_: int, data: bytes, start: int, end: int) -> None:
        heard.attachment |= type_ in _RULES
        heard.around |= type_ in _ADDRESSES
        if type_ not in _ROUTES:
            return
        route = codec.decode_route(data, start, end)
        entry = ENTRIES.get(route.type)
        if (route.table, route.protocol) == (self._table, self._protocol) and entry is not None:
            heard.entries[route.network] = entry if type_ == codec.RTM_NEWROUTE else None
        elif route.network.length == 0:
            heard.around = True


def _program(ports: Iterable[int], protocol: int) -> list[tuple[int, int, int, int]]:
    """The packet filter: no change by these ports; of the rest rules, addresses, routes of our protocol and
    default routes."""

    # The filter reads numbers in network byte order, netlink writes them in the host's.
    def answered(value: int, answer: int) -> list[tuple[int, int, int, int]]:
        return [(_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, answer)]

    steps = [(_LOAD_WORD, 0, 0, _PORT_AT)]
    for port in ports:
        steps += answered(socket.htonl(port), 0)
    steps.append((_LOAD_HALF, 0, 0, _TYPE_AT))
    for type_ in (*_RULES, *_ADDRESSES):
        steps += answered(socket.htons(type_), _WHOLE)
    # What is left of these groups are routes.
    steps += [(_LOAD_BYTE, 0, 0, _PROTOCOL_AT), *answered(protocol, _WHOLE)]
    steps += [(_LOAD_BYTE, 0, 0, _LENGTH_AT), *answered(0, _WHOLE)]
    return [*steps, (_RETURN, 0, 0, 0)]


def _attach(opened: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*step) for step in program))
    # struct sock_fprog: how many, and where they are; the kernel copies them.
    opened.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code))
    )
