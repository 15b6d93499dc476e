"""The HTTP server: listens, admits, dispatches to a route, and answers."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from sidecar.model import ConfigError, ZmbanError
from sidecar.serve.door import BACKLOG, Door, share
from sidecar.serve.web.assets import Asset
from sidecar.serve.web.http_connection import Connection, OpenConnections, client_of
from sidecar.serve.web.routing import Access, PlainText, Router, Signed, WebError, WebRoute
from sidecar.serve.web.sign_in.gate import COOKIE, Gate
from sidecar.serve.web.stream import sent
from sidecar.serve.web.web_config import WebConfigFile

# Maximum number of connections. A further one closes the one that has been idle for longest.
_MOST = 256
_BODY_SECONDS, _HANDSHAKE_SECONDS = 20.0, 10.0
_MOST_HANDSHAKES = 64
# Connections accepted in a turn of the event loop: each takes some tenths of a millisecond, and bans wait.
_AT_ONCE = 2
_NO_ASSETS: Mapping[str, Asset] = MappingProxyType({})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Site:
    """Serves `routes`, and `assets` by path, on the addresses that are opened; with `secured` by TLS, or to
    those who know a password."""

    def __init__(
        self,
        routes: Iterable[WebRoute],
        gate: Gate,
        assets: Mapping[str, Asset] = _NO_ASSETS,
        secured: WebConfigFile | None = None,
    ) -> None:
        self._router, self._gate, self._assets = Router(routes), gate, assets
        self._secured, self._handshakes = secured, 0
        self._server = web.Server(self._answer)
        self._open = OpenConnections()
        self._doors: list[Door] = []

    @property
    def fault(self) -> str:
        """Why a changed file of TLS and passwords is not in force, "" if it is."""
        return self._secured.fault if self._secured is not None else ""

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._open.begin(request.protocol)
        try:
            return await self._answered(request)
        finally:
            self._open.end(request.protocol)

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            answer = await self._dispatch(request)
        except WebError as error:
            answer = _refusal(request, error.status, str(error))
            if error.wait is not None:
                answer.headers["Retry-After"] = str(int(error.wait) + 1)
            if error.status == HTTPStatus.UNAUTHORIZED and self._secured is not None:
                answer.headers["WWW-Authenticate"] = 'Basic realm="zmban"'
            if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
                answer.headers["Allow"] = str(error).removeprefix("only ")
        except (ZmbanError, ValueError) as error:
            answer = _refusal(request, _status(error), str(error))
        if not answer.prepared:
            answer.headers.update(_HEADERS)
            answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        client = client_of(request)
        if self._secured is not None:
            await self._secured.check(request.headers.get("Authorization", ""), client.peer)
        self._gate.check_host(client.host)
        path = request.rel_url.raw_path
        if asset := self._assets.get(path):
            return self._asset(request, asset)
        route, values = self._router.find(request.method, path)
        actor = self._gate.admit(client, route.access, changes=route.method != "GET")
        given = {**await _given(request, route), **values}
        found = await route.answered(given, actor, client)
        if isinstance(found, PlainText):
            return web.Response(body=found.body, status=found.status, headers={"Content-Type": found.kind})
        if hasattr(found, "__anext__"):
            if request.method == "HEAD":
                await found.aclose()
                return web.Response(headers={"Content-Type": "text/event-stream"})
            return await sent(request, found, _HEADERS)
        return _signed(found) if isinstance(found, Signed) else _json_response(found)

    def _asset(self, request: web.BaseRequest, asset: Asset) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise WebError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET, HEAD")
        if request.can_read_body:
            raise WebError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no request body allowed")
        if self._gate.tokens is None:
            # With tokens, the page can be loaded from elsewhere to sign in: it contains no data.
            self._gate.admit(client_of(request), Access.READ, changes=False)
        headers = {"ETag": asset.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == asset.tag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Type"] = asset.kind
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=asset.packed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=asset.body, headers=headers)

    async def open(self, address: str) -> None:
        """Listen on HOST:PORT too. ConfigError if that fails; other addresses stay open."""
        if self._secured is not None:
            await self._secured.context()
        host, _, port = address.rpartition(":")
        before = len(self._doors)
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, place in dict.fromkeys(found):
                self._listen(socket.socket(family, kind, protocol), place, f"[serve] {address}")
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
        self._doors.append(Door(name, listening, self._enter, self._room, _AT_ONCE))

    def _room(self) -> bool:
        if len(self._open) >= share(_MOST):
            self._open.abort_one()
        return True

    def _protocol(self) -> Connection:
        return Connection.over(self._server, asyncio.get_running_loop(), self._open)

    async def _enter(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            context = await self._secured.context() if self._secured is not None else None
            if context is None:
                await loop.connect_accepted_socket(self._protocol, connection)
            elif self._handshakes >= share(_MOST_HANDSHAKES):
                connection.close()
            else:
                await self._shake_hands(loop, connection, context)
        except (OSError, ConfigError):
            connection.close()

    async def _shake_hands(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, context: ssl.SSLContext
    ) -> None:
        # A client that does not answer is no connection yet, and must not take memory without bound.
        self._handshakes += 1
        try:
            await loop.connect_accepted_socket(
                self._protocol, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
        finally:
            self._handshakes -= 1

    def close(self) -> None:
        """Close all sockets and connections."""
        for door in self._doors:
            door.close()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _json_response(found: Any) -> web.Response:
    if found is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    return web.Response(body=_json(found), content_type="application/json")


def _signed(found: Signed) -> web.Response:
    response = _json_response(found.answer)
    age = None if found.cookie else 0
    response.set_cookie(
        COOKIE, found.cookie, httponly=True, samesite="Strict", path="/", secure=found.secure, max_age=age
    )
    return response


async def _given(request: web.BaseRequest, route: WebRoute) -> dict[str, Any]:
    """The parameters of the query or of the JSON body."""
    if route.method != "POST":
        if request.can_read_body:
            raise WebError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no request body allowed")
        if len(request.rel_url.query) != len(set(request.rel_url.query)):
            raise WebError(HTTPStatus.BAD_REQUEST, "a parameter stands twice")
        return dict(request.rel_url.query)
    if request.content_type != "application/json":
        raise WebError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")
    try:
        found = json.loads(await _body(request, route.most))
        # A lone surrogate is valid JSON, but no text: nothing could be saved with it.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise WebError(HTTPStatus.BAD_REQUEST, "the request body is no JSON") from error
    if not isinstance(found, dict):
        raise WebError(HTTPStatus.BAD_REQUEST, "the request body is no JSON object")
    return found


async def _body(request: web.BaseRequest, most: int) -> bytes:
    too_long = WebError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request body is longer than {most >> 10} KiB"
    )
    if (request.content_length or 0) > most:
        raise too_long
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > most:
                    raise too_long
    except TimeoutError:
        raise WebError(HTTPStatus.REQUEST_TIMEOUT, "the request body did not arrive in time") from None
    return bytes(data)


def _status(error: Exception) -> HTTPStatus:
    """The status for an error of a command, by its exit code."""
    found = {69: HTTPStatus.SERVICE_UNAVAILABLE, 77: HTTPStatus.FORBIDDEN, 65: HTTPStatus.CONFLICT}
    return found.get(getattr(error, "exit_code", 64), HTTPStatus.BAD_REQUEST)


def _json(found: Any) -> bytes:
    try:
        return to_json(found)
    except ValueError:
        # to_json rejects surrogates, which stand for bytes that are not UTF-8.
        return json.dumps(found).encode()


def _refusal(request: web.BaseRequest, status: int, text: str) -> web.Response:
    """An error response that closes the connection. It never quotes the request."""
    if request.rel_url.raw_path.startswith("/api/"):
        answer = web.Response(status=status, body=_json({"error": text}), content_type="application/json")
    else:
        answer = web.Response(status=status, text=f"{text}\n")
    answer.force_close()
    return answer
