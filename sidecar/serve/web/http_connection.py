"""One HTTP connection: its limits, and what a request says of its client."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.model import Seconds
from sidecar.serve.web.sign_in.gate import COOKIE, CSRF, Client

# Timeout for a complete request, and between two requests of a connection.
_PATIENCE: Seconds = 20.0
# How long an unexpected request body is read, so that the client gets to read the response.
_LINGER: Seconds = 1.0
_LONGEST_HEADER = 4096
_MOST_HEADERS = 64
# A header that a proxy adds.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class OpenConnections:
    """The connections, and which of them wait for a request, in the order of their last request."""

    def __init__(self) -> None:
        self._all: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}

    def add(self, connection: Connection) -> None:
        """A connection was opened."""
        self._all[connection] = self._idle[connection] = None

    def remove(self, connection: Connection) -> None:
        """A connection was closed."""
        self._all.pop(connection, None)
        self._idle.pop(connection, None)

    def begin(self, connection: Any) -> None:
        """A request of it is answered from now on."""
        self._idle.pop(connection, None)

    def end(self, connection: Any) -> None:
        """The request was answered."""
        if connection in self._all:
            self._idle[connection] = None

    def __len__(self) -> int:
        return len(self._all)

    def abort_one(self) -> None:
        """Close the one that has been idle for longest; if none is, the oldest."""
        chosen = next(iter(self._idle or self._all))
        self.remove(chosen)
        if chosen.transport is not None:
            chosen.transport.abort()


class Connection(RequestHandler):
    """Invalid requests get our own response, and are not logged."""

    __slots__ = ("_open",)
    _open: OpenConnections

    @classmethod
    def over(cls, server: web.Server, loop: asyncio.AbstractEventLoop, known: OpenConnections) -> Connection:
        """A connection with our limits."""
        made = cls(
            server, loop=loop, keepalive_timeout=_PATIENCE, lingering_time=_LINGER,
            access_log=None,  # type: ignore[arg-type]  # as web.Server itself does it
            max_line_size=_LONGEST_HEADER, max_field_size=_LONGEST_HEADER, max_headers=_MOST_HEADERS,
        )  # fmt: skip
        made._open = known
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is idle until a request is complete."""
        super().connection_made(transport)
        self._open.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        self._open.remove(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that cannot be handled."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            answer = web.Response(status=status, text="bad request\n")
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)


def client_of(request: web.BaseRequest) -> Client:
    """What a request says of its client."""
    transport, headers = request.transport, request.headers
    peer, local = (transport.get_extra_info(n) if transport else None for n in ("peername", "sockname"))
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    try:
        cookie = request.cookies.get(COOKIE)
    except Exception:
        cookie = None
    return Client(
        peer=str(peer[0]) if peer else "",
        local=str(local[0]) if local else "",
        host=headers.get("Host", ""),
        origin=headers.get("Origin"),
        site=headers.get("Sec-Fetch-Site", ""),
        mode=headers.get("Sec-Fetch-Mode", ""),
        forwarded=any(name in headers for name in _FORWARDED),
        bearer=token.strip() if scheme.lower() == "bearer" else None,
        cookie=cookie,
        csrf=headers.get(CSRF),
        accept=headers.get("Accept", ""),
        passed_on_for=headers.get("X-Forwarded-For", "").rpartition(",")[2].strip(),
        last_event=headers.get("Last-Event-ID", ""),
        secure=headers.get("X-Forwarded-Proto", "") == "https",
    )
