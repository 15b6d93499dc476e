"""The clients with a TCP connection to a port of this host, by sock_diag (linux/inet_diag.h)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import FAMILIES, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from sidecar.kernel.netlink.connection import DATAGRAM
from sidecar.model import KernelError
from sidecar.network import Network

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_ESTABLISHED = 1 << 1
_TIMEOUT = 10.0
# Header; family, protocol, extensions, states; ports, addresses, interface, cookie. Ports and addresses are
# in network byte order, but a port is only compared.
_REQUEST = struct.Struct("=IHHIIBBBxI2s2s16s16sI8s")
_PEER = struct.Struct("=16x4x2s2s16s16s4x8s")


def peers(ports: Iterable[int]) -> dict[bytes, Network]:
    """The far end of each established connection to one of these ports, by the kernel's cookie, which is
    unique. Raises KernelError."""
    found: dict[bytes, Network] = {}
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        ) as opened:
            opened.settimeout(_TIMEOUT)
            for port in ports:
                for version in FAMILIES:
                    opened.send(_request(version, port))
                    found |= _answers(opened, version, port)
    except OSError as fault:
        raise KernelError(f"the kernel does not tell of connections: {fault}") from fault
    return found


def _request(version: int, port: int) -> bytes:
    flags = NLM_F_REQUEST | NLM_F_DUMP
    nobody, family = bytes(16), FAMILIES[version]
    return _REQUEST.pack(
        _REQUEST.size, _SOCK_DIAG_BY_FAMILY, flags, 1, 0, family, socket.IPPROTO_TCP, 0, _ESTABLISHED,
        port.to_bytes(2, "big"), bytes(2), nobody, nobody, 0, b"\xff" * 8,
    )  # fmt: skip


def _answers(opened: socket.socket, version: int, port: int) -> dict[bytes, Network]:
    found: dict[bytes, Network] = {}
    while True:
        data = opened.recv(DATAGRAM)
        for type_, _, _, start, end in codec.messages(data):
            if type_ == NLMSG_DONE:
                return found
            if type_ == NLMSG_ERROR:
                raise OSError(codec.error_code(data, start), "it refuses the question")
            if type_ == _SOCK_DIAG_BY_FAMILY and end - start >= _PEER.size:
                here, _, _, there, cookie = _PEER.unpack_from(data, start)
                if int.from_bytes(here, "big") == port:
                    address = socket.inet_ntop(FAMILIES[version], there[: 4 if version == 4 else 16])
                    found[cookie] = Network.parse(address)
