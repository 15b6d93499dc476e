"""Live events and curves: what happens now, for the page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import StringConstraints

from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.verifier import Verifier
from sidecar.app.live.event_feed import EventFeed, Told
from sidecar.app.live.rates import Curves, Rates
from sidecar.bans.table import BanTable
from sidecar.model import Seconds
from sidecar.serve.web.routing import WebError, WebRoute
from sidecar.threads import run_uncancellable

# Clients that follow at a time.
_MOST_CLIENTS = 64
# At least so much between two parts, so that a burst is sent in a few.
_GATHERED: Seconds = 0.2
_STATUS_SECONDS: Seconds = 5.0
_MOST_AT_ONCE = 500

Position = Annotated[str, StringConstraints(max_length=64)]


class LiveRoutes:
    """Sends the events of the feed. A client has no queue of its own: it is as far behind as the feed
    reaches, or has lost some and is told."""

    def __init__(
        self,
        feed: EventFeed,
        rates: Rates,
        enforcer: Enforcer,
        verifier: Verifier,
        table: BanTable,
        not_ready: Callable[[], list[str]],
    ) -> None:
        self._feed, self._rates, self._enforcer = feed, rates, enforcer
        self._verifier, self._table, self._not_ready = verifier, table, not_ready
        self._clients = 0
        # The same bytes for all clients.
        self._last: tuple[Seconds, bytes] = (float("-inf"), b"")
        self._encoded: dict[int, bytes] = {}
        self._turn = asyncio.Lock()

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        return [
            WebRoute("GET", "/api/events", self.events, stream=True),
            WebRoute("GET", "/api/rates", self.rates, answer=Curves),
        ]

    async def rates(self) -> Curves:
        """Bans and failures of the last hour by minute, and of the last day by quarter of an hour."""
        return self._rates.curves()

    async def events(self, client: Any, after: Position = "") -> AsyncIterator[bytes]:
        """Bans, unbans and refusals as they happen, as server-sent events; resumes behind Last-Event-ID."""
        if self._clients >= _MOST_CLIENTS:
            text = f"{_MOST_CLIENTS} clients follow already; close some"
            raise WebError(HTTPStatus.SERVICE_UNAVAILABLE, text, _STATUS_SECONDS)
        return self._stream(client.last_event or after or None)

    async def _stream(self, position: str | None) -> AsyncIterator[bytes]:
        self._clients += 1
        try:
            missed = self._feed.after(position)
            yield b"retry: 2000\n\n"
            if missed.lost:
                yield _event("reset", {}, missed.position)
                missed = missed._replace(events=[])
            while True:
                for begin in range(0, len(missed.events), _MOST_AT_ONCE):
                    yield b"".join(map(self._encode, missed.events[begin : begin + _MOST_AT_ONCE]))
                yield await self._status(missed.position)
                position = missed.position
                if await self._feed.changed(_STATUS_SECONDS):
                    await asyncio.sleep(_GATHERED)
                missed = self._feed.after(position)
                if missed.lost:
                    # With the position of what was sent last: who resumes from there is told what is lost.
                    yield _event("dropped", {}, position)
                    return
        finally:
            self._clients -= 1

    def _encode(self, told: Told) -> bytes:
        """An event as it is sent. Encoded once for all clients that are not far behind."""
        known = self._encoded.get(told.sequence)
        if known is None:
            record = told.record()
            known = _event(record.pop("event"), record, self._feed.name(told.sequence))
            self._encoded[told.sequence] = known
            while len(self._encoded) > 2 * _MOST_AT_ONCE:
                del self._encoded[next(iter(self._encoded))]
        return known

    async def _status(self, position: str) -> bytes:
        """A short status, made anew once a second at most."""
        async with self._turn:
            now = time.monotonic()
            made, known = self._last
            if now > made + 1.0:
                known = json.dumps(await self._facts()).encode()
                self._last = (now, known)
            return _framed("status", known, position)

    async def _facts(self) -> dict[str, Any]:
        refused = await run_uncancellable(self._table.refused_among, list(self._table.networks()))
        return {
            "enforced": self._verifier.status.enforced,
            "ready": not self._not_ready(),
            "dry_run": self._enforcer.dry,
            "suspended": self._enforcer.suspended,
            "networks_banned": len(refused),
            "bans": self._rates.bans,
            "failures": self._rates.failures,
        }


def _event(kind: str, record: dict[str, Any], position: str) -> bytes:
    """One server-sent event. JSON has no line breaks, so nothing in a record can end it."""
    return _framed(kind, json.dumps(record).encode(), position)


def _framed(kind: str, data: bytes, position: str) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position.encode(), kind.encode(), data)
