"""Decides who may use a route: by Host, Origin, address, token and session."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from sidecar.model import Seconds
from sidecar.serve.web.routing import Access, WebError
from sidecar.serve.web.sign_in.sessions import Attempts, Session, WebSessions, same
from sidecar.serve.web.sign_in.tokens import TokenFile

COOKIE = "zmban_session"
CSRF = "X-Zmban-CSRF"
_LOCAL = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_HOW = "to sign in, give zmban run a file of tokens (ZMBAN_TOKEN_FILE)"


@dataclass(frozen=True)
class Client:
    """What a request says of its client. `peer` and `local` are the addresses of the connection; `forwarded`:
    a proxy passed the request on; `site` and `origin` are what the browser says of the page that asks;
    `secure`: it speaks TLS to that proxy; `last_event`: the last event that it got; `passed_on_for`: the
    client that the last proxy saw; `accept`: the content types that it takes."""

    peer: str
    local: str
    host: str = ""
    origin: str | None = None
    site: str = ""
    mode: str = ""
    forwarded: bool = False
    bearer: str | None = None
    cookie: str | None = None
    csrf: str | None = None
    secure: bool = False
    last_event: str = ""
    passed_on_for: str = ""
    accept: str = ""

    @property
    def near(self) -> bool:
        """Whether both ends of the connection are on this host, and no proxy lies between."""
        return _loopback(self.peer) and _loopback(self.local) and not self.forwarded


class Gate:
    """`tokens` None: nobody can sign in, and only this host may read."""

    def __init__(
        self, names: Iterable[str], tokens: TokenFile | None, clock: Callable[[], Seconds] = time.monotonic
    ) -> None:
        self._names = _LOCAL | {socket.gethostname().lower()} | {bare(name) for name in names}
        self.tokens = tokens
        self._sessions = WebSessions(tokens, clock) if tokens else None
        self._attempts = Attempts(clock)

    def check_host(self, host: str) -> None:
        """WebError for a Host header that DNS rebinding could bring here. An address cannot be rebound, and a
        request without a host does not come from a browser."""
        name = bare(host)
        if not name or name in self._names:
            return
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            text = "unknown host name; use the address, or add the name to [serve] names"
            raise WebError(HTTPStatus.FORBIDDEN, text) from None

    def admit(self, client: Client, access: Access, *, changes: bool) -> str | None:
        """The name of who may use a route of this access, None for somebody who is not signed in. `changes`:
        the request is no GET. WebError if it is refused."""
        if access is Access.OPEN and not changes:
            return None
        _check_origin(client, changes=changes)
        name, session = self.who(client)
        if access is Access.OPEN:
            return name
        if name is None and (access is Access.ACT or not client.near):
            raise WebError(HTTPStatus.UNAUTHORIZED, self._why_not(access))
        if changes and client.bearer is None:
            # A page of another origin cannot set this header without being asked first.
            expected = session.csrf if session and access is Access.ACT else client.csrf
            if not client.csrf or not same(client.csrf, expected or ""):
                cure = "sign in again" if access is Access.ACT else "send it with any value"
                raise WebError(HTTPStatus.FORBIDDEN, f"the header {CSRF} is missing or wrong; {cure}")
        return name

    def who(self, client: Client) -> tuple[str | None, Session | None]:
        """Who is signed in, by a token in this request or by a session. WebError for a wrong token."""
        if client.bearer is not None:
            return self._by_token(client), None
        session = self.session(client.cookie)
        return (session.name if session else None), session

    def _by_token(self, client: Client) -> str:
        if self.tokens is None:
            raise WebError(HTTPStatus.UNAUTHORIZED, self._why_not(Access.ACT))
        self._check_attempts(client)
        name = self.tokens.name_of(client.bearer or "")
        if name is None:
            self._attempts.wrong(_peer(client))
            raise WebError(HTTPStatus.UNAUTHORIZED, "unknown token")
        return name

    def _check_attempts(self, client: Client) -> None:
        if wait := self._attempts.wait(_peer(client)):
            text = f"too many wrong tokens; try again in {wait:.0f} s"
            raise WebError(HTTPStatus.TOO_MANY_REQUESTS, text, wait)

    def _why_not(self, access: Access) -> str:
        if self.tokens is not None:
            return "sign in with a token"
        if access is Access.ACT:
            return f"this page only reads; {_HOW}"
        return f"the page is shown on this host only, at a loopback address; {_HOW}"

    def session(self, cookie: str | None) -> Session | None:
        """The session of a cookie, None if there is none."""
        return self._sessions.of(cookie) if self._sessions else None

    def sign_in(self, client: Client, token: str) -> tuple[str, Session]:
        """The cookie and the session for a token. WebError for a wrong one."""
        if self._sessions is None:
            raise WebError(HTTPStatus.FORBIDDEN, self._why_not(Access.ACT))
        self._check_attempts(client)
        found = self._sessions.begin(token)
        if found is None:
            self._attempts.wrong(_peer(client))
            raise WebError(HTTPStatus.UNAUTHORIZED, "unknown token")
        return found

    def sign_out(self, cookie: str | None) -> None:
        """End the session of a cookie."""
        if self._sessions and cookie:
            self._sessions.end(cookie)


def _check_origin(client: Client, *, changes: bool) -> None:
    """WebError for a request that a page of another origin makes."""
    refusal = WebError(HTTPStatus.FORBIDDEN, "requests of other sites are refused")
    if client.origin is not None:
        scheme, _, rest = client.origin.partition("://")
        if scheme not in ("http", "https") or _with_port(rest, scheme) != _with_port(client.host, scheme):
            raise refusal
    elif client.site not in ("", "same-origin", "none") and (changes or client.mode != "navigate"):
        raise refusal


def _with_port(host: str, scheme: str) -> str:
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or not port.isdecimal():
        name, port = host.strip().lower(), {"http": "80", "https": "443"}[scheme]
    return f"{name}:{port}"


def _peer(client: Client) -> str:
    """What wrong tokens are counted by: the address, or the /64 of an IPv6 one; behind a proxy of this host,
    the address that the proxy itself saw."""
    text = client.passed_on_for if client.passed_on_for and _loopback(client.peer) else client.peer
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return client.peer
    if address.version == 6:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def bare(host: str) -> str:
    """A host name or address without port, brackets and trailing dot."""
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or (port and not port.isdecimal()) or (":" in name and not name.startswith("[")):
        name = host.strip().lower()
    return name.strip("[]").rstrip(".")
