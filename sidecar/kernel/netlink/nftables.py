"""Writes one nftables table of our own and reads its counters, as plain netlink messages.

Numbers are those of linux/netfilter/nf_tables.h; integers are in network byte order there. pyroute2 cannot
combine the flags of a `fib` expression, which the ingress rule needs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from sidecar.kernel.netlink.connection import DATAGRAM
from sidecar.model import KernelError

Expression = tuple[str, bytes]

_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM = 10
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _GETRULE, _DELRULE, _DELCHAIN = 0, 2, 3, 6, 7, 8, 5
_GROUP = 1 << 6  # NFNLGRP_NFTABLES
_NESTED = 0x8000
_INET, _PREROUTING, _RAW = 1, 0, -300
_TABLE_ATTRIBUTE = 1  # the name of the table, in tables, chains and rules alike
_RULE_CHAIN, _RULE_EXPRESSIONS, _RULE_USERDATA = 2, 4, 7
_CHAIN = "ingress"
_TIMEOUT = 5.0
_HEADER = struct.Struct("=IHHIIBBH")


def attribute(type_: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", len(payload) + 4, type_) + payload + bytes(-len(payload) % 4)


def nested(type_: int, *attributes: bytes) -> bytes:
    """Nested attributes."""
    return attribute(type_ | _NESTED, b"".join(attributes))


def word(type_: int, value: int) -> bytes:
    """A 32-bit number."""
    return attribute(type_, struct.pack(">i" if value < 0 else ">I", value))


def text(type_: int, value: str) -> bytes:
    """A null-terminated string."""
    return attribute(type_, value.encode() + b"\0")


class FilterTable:
    """The table of this name, of family inet, with one chain at prerouting, raw. Raises KernelError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, rules: Iterable[tuple[str, Sequence[Expression]]]) -> None:
        """Replace the table by these rules, each with its comment, in one transaction. Without a rule the
        table is deleted."""
        table = text(_TABLE_ATTRIBUTE, self._name)
        # Created first, so that there is a table to delete.
        messages = [(_NEWTABLE, NLM_F_CREATE, table), (_DELTABLE, 0, table)]
        told = list(rules)
        if told:
            hook = nested(4, word(1, _PREROUTING), word(2, _RAW))
            chain = table + text(3, _CHAIN) + hook + word(5, 1) + text(7, "filter")
            messages += [(_NEWTABLE, NLM_F_CREATE, table), (_NEWCHAIN, NLM_F_CREATE, chain)]
        for comment, expressions in told:
            listed = (nested(1, text(1, name), attribute(2 | _NESTED, data)) for name, data in expressions)
            note = bytes((0, len(comment) + 1)) + comment.encode() + b"\0"
            rule = table + text(_RULE_CHAIN, _CHAIN) + nested(_RULE_EXPRESSIONS, *listed)
            messages.append((_NEWRULE, NLM_F_CREATE | 0x800, rule + attribute(_RULE_USERDATA, note)))
        self._transact(messages)

    def counters(self) -> dict[str, int]:
        """The packets that each rule counted, by its comment; empty without a table."""
        found: dict[str, int] = {}
        request = text(_TABLE_ATTRIBUTE, self._name) + text(_RULE_CHAIN, _CHAIN)
        with _opened() as opened:
            opened.send(_message(_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, 1, request))
            for type_, data, start, end in _answers(opened):
                if type_ == _NEWRULE:
                    comment, packets = _rule(data, start, end, self._name)
                    if comment is not None:
                        found[comment] = found.get(comment, 0) + packets
        return found

    def _transact(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        begin, end = (
            _HEADER.pack(_HEADER.size, mark, NLM_F_REQUEST, 0, 0, 0, 0, socket.htons(_SUBSYSTEM))
            for mark in (_BATCH_BEGIN, _BATCH_END)
        )
        parts = [
            _message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, number, body)
            for number, (kind, flags, body) in enumerate(messages, 1)
        ]
        with _opened() as opened:
            opened.send(begin + b"".join(parts) + end)
            for _ in parts:
                data = opened.recv(DATAGRAM)
                for type_, _, _, start, _ in codec.messages(data):
                    if type_ == NLMSG_ERROR and (code := codec.error_code(data, start)):
                        raise KernelError(f"nftables refuses our table: {os.strerror(code)}")


def listener() -> socket.socket:
    """A socket that receives the announcements of changes in nftables; see `touches`. Raises KernelError."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        opened.setblocking(False)
        opened.bind((0, _GROUP))
    except OSError as fault:
        raise KernelError(f"changes in nftables cannot be heard: {fault.strerror}") from fault
    return opened


def touches(opened: socket.socket, name: str) -> bool:
    """Whether the announcements waiting at a listener say that a part of this table was removed. Never
    blocks."""
    touched = False
    while True:
        try:
            data = opened.recv(DATAGRAM)
        except BlockingIOError:
            return touched
        except OSError:
            return True  # more was announced than fitted
        for type_, _, _, start, end in codec.messages(data):
            if type_ >> 8 == _SUBSYSTEM and type_ & 255 in (_DELTABLE, _DELCHAIN, _DELRULE):
                found = dict(codec.attributes(data, start + 20, end))
                touched |= found.get(_TABLE_ATTRIBUTE) == name.encode() + b"\0"


def _message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return (
        _HEADER.pack(_HEADER.size + len(body), _SUBSYSTEM << 8 | kind, flags, number, 0, _INET, 0, 0) + body
    )


@contextlib.contextmanager
def _opened() -> Iterator[socket.socket]:
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        ) as opened:
            opened.settimeout(_TIMEOUT)
            opened.bind((0, 0))
            yield opened
    except OSError as fault:
        raise KernelError(f"nftables cannot be asked: {fault.strerror or fault}") from fault


def _answers(opened: socket.socket) -> Iterator[tuple[int, bytes, int, int]]:
    """Type, datagram, start and end of each message up to the end of a dump."""
    while True:
        data = opened.recv(DATAGRAM)
        for type_, _, _, start, end in codec.messages(data):
            if type_ == NLMSG_DONE:
                return
            if type_ == NLMSG_ERROR:
                code = codec.error_code(data, start)
                if code in (0, 2):  # ENOENT: there is no such table
                    return
                raise KernelError(f"nftables does not answer: {os.strerror(code)}")
            yield type_ & 255, data, start, end


def _rule(data: bytes, start: int, end: int, name: str) -> tuple[str | None, int]:
    """Comment and packets of the rule in a message; None for a rule of another table or without a comment."""
    found = dict(codec.attributes(data, start + 20, end))
    note = found.get(_RULE_USERDATA, b"")
    if found.get(_TABLE_ATTRIBUTE) != name.encode() + b"\0" or len(note) < 3:
        return None, 0
    packets = 0
    expressions = found.get(_RULE_EXPRESSIONS, b"")
    for _, expression in codec.attributes(expressions, 0, len(expressions)):
        parts = dict(codec.attributes(expression, 0, len(expression)))
        if parts.get(1) == b"counter\0":
            counted = dict(codec.attributes(parts.get(2, b""), 0, len(parts.get(2, b""))))
            packets += int.from_bytes(counted.get(2, b""), "big")
    return note[2:-1].decode(errors="replace"), packets
