"""A service in this process with its HTTP API, and a client of it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from sidecar.app import doors
from sidecar.serve.web.assets import assets
from sidecar.serve.web.sign_in.gate import Gate
from sidecar.serve.web.sign_in.tokens import TokenFile
from sidecar.serve.web.site import Site
from tests.app.running import InProcess

TOKEN = "0123456789abcdef-token-of-alice"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Client:
    """Asks the API of a service."""

    def __init__(self, one: InProcess, site: Site, port: int, http: aiohttp.ClientSession) -> None:
        self.one, self.site, self.port, self.http = one, site, port, http
        self.csrf = "-"

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer (None without a body)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"X-Zmban-CSRF": self.csrf, **named}
        async with self.http.request(method, self.url + path, json=body, headers=given) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith(("{", "[")) else text or None

    async def get(self, path: str) -> Any:
        """The JSON of an answer with status 200."""
        status, found = await self.ask("GET", path)
        assert status == 200, found
        return found

    async def sign_in(self, token: str = TOKEN) -> None:
        """Sign in; the client of aiohttp keeps the cookie, though it is an address."""
        status, found = await self.ask("POST", "/api/session", {"token": token})
        assert status == 200, found
        self.csrf = found["csrf"]


@contextlib.asynccontextmanager
async def served(one: InProcess, tokens: str | None = f"alice:{TOKEN}\n") -> AsyncIterator[Client]:
    """The API of a service, with tokens or (None) without."""
    file = None
    if tokens is not None:
        path: Path = one.parts.options.state / "tokens"
        path.write_text(tokens, encoding="utf-8")
        path.chmod(0o600)
        file = TokenFile(path)
    gate = Gate(["zmban.example.com"], file)
    site = Site(doors.api(one.parts, doors.answered_by(one.parts), gate).routes(), gate, assets())
    port = free_port()
    await site.open(f"127.0.0.1:{port}")
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        try:
            yield Client(one, site, port, http)
        finally:
            site.close()
