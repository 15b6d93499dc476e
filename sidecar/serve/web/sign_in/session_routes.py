"""The routes to sign in and out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import StringConstraints
from typing_extensions import TypedDict

from sidecar.serve.web.routing import Access, Signed, WebRoute
from sidecar.serve.web.sign_in.gate import Gate

Token = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1024)]


class SessionAnswer(TypedDict):
    """Who is signed in, None for nobody. `tokens`: a file of tokens is configured; `csrf` must be sent as the
    header X-Zmban-CSRF with each request that acts."""

    name: str | None
    can_act: bool
    tokens: bool
    csrf: str | None


class SessionRoutes:
    """Signs in by a token. The cookie is out of reach of scripts."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        path = "/api/session"
        return [
            WebRoute("GET", path, self.ask, Access.OPEN, SessionAnswer),
            WebRoute("POST", path, self.sign_in, Access.OPEN, SessionAnswer, most=4096),
            WebRoute("DELETE", path, self.sign_out, Access.OPEN),
        ]

    async def ask(self, client: Any) -> SessionAnswer:
        """Who is signed in."""
        name, session = self._gate.who(client)
        return self._answer(name, session.csrf if session else None)

    async def sign_in(self, token: Token, client: Any) -> Signed:
        """Sign in with a token of the token file."""
        cookie, session = self._gate.sign_in(client, token)
        return Signed(self._answer(session.name, session.csrf), cookie, client.secure)

    async def sign_out(self, client: Any) -> Signed:
        """End the session."""
        self._gate.sign_out(client.cookie)
        return Signed(None, "", client.secure)

    def _answer(self, name: str | None, csrf: str | None) -> SessionAnswer:
        tokens = self._gate.tokens is not None
        return {"name": name, "can_act": name is not None, "tokens": tokens, "csrf": csrf}
