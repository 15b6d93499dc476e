"""Metrics and health, for Prometheus and Kubernetes."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from sidecar.serve.web.routing import Access, Call, PlainText, WebRoute
from sidecar.serve.web.sign_in.gate import Client
from sidecar.threads import run_detached


class HealthRoutes:
    """`metrics` takes all values, and returns a function that formats them as an Accept header asks for:
    bytes and content type. `not_ready` returns the reasons for not being ready."""

    def __init__(
        self, metrics: Callable[[str], Callable[[], tuple[bytes, str]]], not_ready: Callable[[], list[str]]
    ) -> None:
        self._metrics, self._not_ready = metrics, not_ready

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        found: dict[str, Call] = {"/metrics": self.metrics, "/healthz": self.healthz, "/readyz": self.readyz}
        return [WebRoute("GET", path, call, Access.OPEN) for path, call in found.items()]

    async def metrics(self, client: Client) -> PlainText:
        """All metrics in the text format of Prometheus, or as OpenMetrics."""
        # Formatting takes 20 ms for a large host: no block of a log waits for that.
        body, kind = await run_detached(self._metrics(client.accept))
        return PlainText(body, kind=kind)

    async def healthz(self) -> PlainText:
        """`ok`. A part that fails ends the process, so a response means that the service works."""
        return PlainText(b"ok\n")

    async def readyz(self) -> PlainText:
        """`ok`, or the reasons for not being ready."""
        reasons = self._not_ready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return PlainText(("\n".join(reasons or ["ok"]) + "\n").encode(), status)
