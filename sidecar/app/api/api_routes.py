"""All routes of the API, with the status and the document that describes them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

from sidecar.app.report.build_status import StatusBuilder
from sidecar.model import Seconds
from sidecar.serve.web import openapi
from sidecar.serve.web.routing import Access, WebRoute

# Many pages that look at the same time share an answer.
_FRESH: Seconds = 1.0


class HasRoutes(Protocol):
    """A class that answers some routes."""

    def routes(self) -> list[WebRoute]: ...


class ApiRoutes:
    """The routes of several classes, and two of its own."""

    def __init__(self, status: StatusBuilder, others: Iterable[HasRoutes]) -> None:
        self._status = status
        self._document: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}
        self._made: Seconds = float("-inf")
        self._routes = [
            WebRoute("GET", "/api/status", self.status, answer=dict[str, Any]),
            WebRoute("GET", "/api/openapi.json", self.document, Access.OPEN, dict[str, Any]),
            *(route for other in others for route in other.routes()),
        ]

    def routes(self) -> list[WebRoute]:
        """All routes."""
        return self._routes

    async def status(self) -> dict[str, Any]:
        """The state of jails, logs and kernel as of the last check."""
        if time.monotonic() > self._made + _FRESH:
            self._last, self._made = await self._status.build(verify=False), time.monotonic()
        return self._last

    async def document(self) -> dict[str, Any]:
        """This document."""
        if self._document is None:
            self._document = openapi.document(self._routes)
        return self._document
