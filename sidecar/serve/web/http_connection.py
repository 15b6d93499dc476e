"""One HTTP connection: its limits, and what a request says of its client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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


class Connection(RequestHandler):
    """Invalid requests get our own response, and are not logged."""

    __slots__ = ()

    @classmethod
    def over(cls, server: web.Server, loop: asyncio.AbstractEventLoop) -> Connection:
        """A connection with our limits."""
        return cls(
            server, loop=loop, keepalive_timeout=_PATIENCE, lingering_time=_LINGER,
            access_log=None,  # type: ignore[arg-type]  # as web.Server itself does it
            max_line_size=_LONGEST_HEADER, max_field_size=_LONGEST_HEADER, max_headers=_MOST_HEADERS,
        )  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current_request is not None

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


def idle_first(connections: Iterable[Any]) -> list[Any]:
    """Connections in the order in which they may be closed: those without a request first, oldest first."""
    return sorted(connections, key=lambda one: isinstance(one, Connection) and one.busy)


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
        last_event=headers.get("Last-Event-ID", ""),
        secure=headers.get("X-Forwarded-Proto", "") == "https",
    )
