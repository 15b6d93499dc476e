"""Metrics and health over HTTP, read-only."""

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

# Maximum number of connections. A further one closes the oldest.
_MOST = 64
# Timeout for a complete request, and between two requests of a connection.
_PATIENCE: Seconds = 20.0
# How long an unexpected request body is read, so that the client gets to read the response.
_LINGER: Seconds = 1.0
_LONGEST_HEADER = 4096
_MOST_HEADERS = 64
_LOCAL = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


@dataclass(frozen=True)
class Answers:
    """The content of the pages. `ready` returns the reasons for not being ready, empty if ready."""

    metrics: Callable[[], bytes]
    ready: Callable[[], list[str]]


def pages(answers: Answers) -> Mapping[str, Callable[[], web.Response]]:
    """The handler of each path."""

    def metrics() -> web.Response:
        return web.Response(body=answers.metrics(), content_type="text/plain", charset="utf-8")

    def healthz() -> web.Response:
        # A part that fails ends the process, so a response means that the service works.
        return web.Response(text="ok\n")

    def readyz() -> web.Response:
        reasons = answers.ready()
        return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)

    return {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}


class _Connection(RequestHandler):
    """One connection. Invalid requests get our own response, and are not logged."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that cannot be handled."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return _refusal(status, "bad request")
        return super().handle_error(request, status, exc, message)


class Site:
    """The pages on some addresses, until `close`. Besides addresses, only the host names in `names` are
    accepted in the Host header, as protection from DNS rebinding."""

    def __init__(self, answers: Answers, names: Iterable[str]) -> None:
        self._pages = pages(answers)
        self._names = _LOCAL | {socket.gethostname().lower()} | {_bare(name) for name in names}
        self._server = web.Server(self._answer)
        self._doors: list[Door] = []

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._known(request.headers.get("Host", "")):
            text = "unknown host name; use the address, or add the name to [serve] names"
            return _refusal(HTTPStatus.FORBIDDEN, text)
        if request.method not in ("GET", "HEAD"):
            refusal = _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        if request.can_read_body:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no request body allowed")
        page = self._pages.get(request.path)
        return _refusal(HTTPStatus.NOT_FOUND, "no such page") if page is None else page()

    def _known(self, host: str) -> bool:
        """Whether the Host header is acceptable. An address cannot be rebound by DNS, and a request without a
        host does not come from a browser."""
        bare = _bare(host)
        if not bare or bare in self._names:
            return True
        try:
            ipaddress.ip_address(bare.partition("%")[0])
        except ValueError:
            return False
        return True

    async def open(self, address: str) -> None:
        """Listen on HOST:PORT too. ConfigError if that fails; other addresses stay open."""
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
            text = f"[serve] cannot listen on {address}: {error.strerror or error}"
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

        def protocol() -> _Connection:
            return _Connection(
                self._server, loop=loop, keepalive_timeout=_PATIENCE, lingering_time=_LINGER,
                access_log=None,  # type: ignore[arg-type]  # as web.Server itself does it
                max_line_size=_LONGEST_HEADER, max_field_size=_LONGEST_HEADER, max_headers=_MOST_HEADERS,
            )  # fmt: skip

        try:
            await loop.connect_accepted_socket(protocol, connection)
        except OSError:
            connection.close()

    def close(self) -> None:
        """Close all sockets and connections."""
        for door in self._doors:
            door.close()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _bare(host: str) -> str:
    """A host name or address without port, brackets and trailing dot."""
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or (port and not port.isdecimal()) or (":" in name and not name.startswith("[")):
        name = host.strip().lower()
    return name.strip("[]").rstrip(".")


def _refusal(status: int, text: str) -> web.Response:
    """An error response that closes the connection. It never quotes the request."""
    answer = web.Response(status=status, text=f"{text}\n")
    answer.force_close()
    return answer
