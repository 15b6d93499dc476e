"""Metrics and health over HTTP: reading only, a request changes nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.model import ConfigError, Seconds
from sidecar.serve.door import BACKLOG, Door, share

# With more connections than these the oldest gives way: whoever asks next is let in.
_MOST = 64
# For a request to come whole, and between two requests of one connection.
_PATIENCE: Seconds = 20.0
# How long what somebody sends though he should not is taken from him, so that he reads our answer.
_LINGER: Seconds = 1.0
_LONGEST_HEADER = 4096
_MOST_HEADERS = 64
_LOCAL = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


@dataclass(frozen=True)
class Answers:
    """What the pages are made of. `ready` gives the reasons why not; none is ready."""

    metrics: Callable[[], bytes]
    ready: Callable[[], list[str]]


def pages(answers: Answers) -> Mapping[str, Callable[[], web.Response]]:
    """Who answers for which path."""

    def metrics() -> web.Response:
        return web.Response(body=answers.metrics(), content_type="text/plain", charset="utf-8")

    def healthz() -> web.Response:
        # A part that fails ends the process; whoever answers here, works.
        return web.Response(text="ok\n")

    def readyz() -> web.Response:
        reasons = answers.ready()
        return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)

    return {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}


class _Visit(RequestHandler):
    """One connection. What it sends that is no request is answered in our words, and is no fault to log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be handled."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _refusal(status, "this is no request that is understood here")
        return super().handle_error(request, status, exc, message)


class Site:
    """The pages on some addresses, until `close`. `names` are the host names that a request may be for,
    beside addresses: a page of somebody else whose name leads here is refused (DNS rebinding)."""

    def __init__(self, answers: Answers, names: Iterable[str]) -> None:
        self._pages = pages(answers)
        self._names = _LOCAL | {socket.gethostname().lower()} | {_bare(name) for name in names}
        self._server = web.Server(self._answer)
        self._doors: list[Door] = []

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._known(request.headers.get("Host", "")):
            text = "this host name is not known here; ask by address, or add the name to [serve] names"
            return _refusal(HTTPStatus.FORBIDDEN, text)
        if request.method not in ("GET", "HEAD"):
            refusal = _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        if request.can_read_body:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no request here has a body")
        page = self._pages.get(request.path)
        return _refusal(HTTPStatus.NOT_FOUND, "no such page") if page is None else page()

    def _known(self, host: str) -> bool:
        """Whether a request may be for this host. No name leads to an address, so that it can be no other's;
        and who names none is no browser."""
        bare = _bare(host)
        if not bare or bare in self._names:
            return True
        try:
            ipaddress.ip_address(bare.partition("%")[0])
        except ValueError:
            return False
        return True

    async def open(self, address: str) -> None:
        """Answer on HOST:PORT too. ConfigError where that cannot be listened on; other addresses stay."""
        host, _, port = address.rpartition(":")
        before = len(self._doors)
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, place in dict.fromkeys(found):
                listening = socket.socket(family, kind, protocol)
                self._listen(listening, place, f"[serve] {address}")
        except OSError as error:
            for door in self._doors[before:]:
                door.close()
            del self._doors[before:]
            text = f"[serve] {address} cannot be listened on: {error.strerror or error}"
            raise ConfigError(text) from error

    def _listen(self, listening: socket.socket, place: object, name: str) -> None:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listening.family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(place)  # type: ignore[arg-type]  # as getaddrinfo gave it
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        self._doors.append(Door(name, listening, self._enter, self._room))

    def _room(self) -> bool:
        inside = [
            v.transport for v in self._server.connections if v.transport and not v.transport.is_closing()
        ]
        if len(inside) >= share(_MOST):
            inside[0].abort()
        return True

    async def _enter(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def visit() -> _Visit:
            return _Visit(
                self._server, loop=loop, keepalive_timeout=_PATIENCE, lingering_time=_LINGER,
                access_log=None,  # type: ignore[arg-type]  # as web.Server itself does it
                max_line_size=_LONGEST_HEADER, max_field_size=_LONGEST_HEADER, max_headers=_MOST_HEADERS,
            )  # fmt: skip

        try:
            await loop.connect_accepted_socket(visit, connection)
        except OSError:
            connection.close()

    def close(self) -> None:
        """Answer nobody any more."""
        for door in self._doors:
            door.close()
        for visit in self._server.connections:
            if visit.transport is not None:
                visit.transport.abort()


def _bare(host: str) -> str:
    """A host name or address without its port, brackets, and the dot at its end."""
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or (port and not port.isdecimal()) or (":" in name and not name.startswith("[")):
        name = host.strip().lower()
    return name.strip("[]").rstrip(".")


def _refusal(status: int, text: str) -> web.Response:
    """In words of our own, never in those of the request; the connection ends with it."""
    answer = web.Response(status=status, text=f"{text}\n")
    answer.force_close()
    return answer
