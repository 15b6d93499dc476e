"""WebSessions of the page: who is signed in, and how often a token may be tried."""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from sidecar.model import Seconds
from sidecar.serve.web.sign_in.tokens import TokenFile, digest

# A session ends after a pause, and in any case after a week.
_PAUSE: Seconds = 12 * 3600.0
_LONGEST: Seconds = 7 * 86400.0
_MOST = 256
# Wrong tokens in a minute, from one peer and from all together. Behind a reverse proxy all are one peer.
_MINUTE: Seconds = 60.0
_MOST_WRONG, _MOST_WRONG_ALL = 5, 30
_MOST_PEERS = 1000


@dataclass
class Session:
    """Somebody who is signed in by the token `name`. `csrf` must come with each request that acts."""

    name: str
    csrf: str
    token: bytes
    begun: Seconds
    used: Seconds


class WebSessions:
    """WebSessions in memory: a restart ends them all. Cookies are kept as digests. `clock` is monotonic."""

    def __init__(self, tokens: TokenFile, clock: Callable[[], Seconds]) -> None:
        self._tokens, self._clock = tokens, clock
        self._known: dict[bytes, Session] = {}

    def begin(self, token: str) -> tuple[str, Session] | None:
        """Sign in. Returns the cookie and the session; None for a wrong token."""
        name = self._tokens.name_of(token)
        if name is None:
            return None
        now = self._clock()
        while len(self._known) >= _MOST:
            del self._known[min(self._known, key=lambda key: self._known[key].used)]
        cookie = secrets.token_urlsafe(32)
        session = Session(name, secrets.token_urlsafe(32), digest(token), now, now)
        self._known[_key(cookie)] = session
        return cookie, session

    def of(self, cookie: str | None) -> Session | None:
        """The session of a cookie, if it has not ended and its token is still valid."""
        session = self._known.get(_key(cookie)) if cookie else None
        if session is None or cookie is None:
            return None
        now = self._clock()
        over = now > session.used + _PAUSE or now > session.begun + _LONGEST
        if over or not self._tokens.knows(session.token):
            self.end(cookie)
            return None
        session.used = now
        return session

    def end(self, cookie: str) -> None:
        """Sign out."""
        self._known.pop(_key(cookie), None)


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _key(cookie: str) -> bytes:
    return sha256(cookie.encode("utf-8", "replace")).digest()


class Attempts:
    """The wrong tokens of the last minute. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], Seconds]) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[Seconds]] = {}
        self._all: deque[Seconds] = deque(maxlen=_MOST_WRONG_ALL)

    def wait(self, peer: str) -> Seconds:
        """Seconds until this peer may try a token again, 0 for now."""
        now = self._clock()
        of_peer = self._wrong.get(peer, deque())
        ends = [
            times[0] + _MINUTE
            for times, most in ((of_peer, _MOST_WRONG), (self._all, _MOST_WRONG_ALL))
            if len(times) >= most
        ]
        return max(0.0, max(ends, default=now) - now)

    def wrong(self, peer: str) -> None:
        """A wrong token was tried."""
        now = self._clock()
        if peer not in self._wrong and len(self._wrong) >= _MOST_PEERS:
            del self._wrong[next(iter(self._wrong))]
        self._wrong.setdefault(peer, deque(maxlen=_MOST_WRONG)).append(now)
        self._all.append(now)
