"""Tries a failregex and explains lines, each in a process of its own: no regex that somebody types stops a
ban."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sidecar.app.active import ActiveConfiguration
from sidecar.app.api.answers import ExplainAnswer, Host, TryAnswer
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.protect.protection import Protection
from sidecar.app.report.explain_address import AddressExplainer
from sidecar.decide.known_good import KnownGood
from sidecar.detect.grammar import LOGS
from sidecar.host import side_process
from sidecar.host.side_process import SideProcessError
from sidecar.model import Seconds
from sidecar.network import Network
from sidecar.serve.web.routing import WebError, WebRoute

# Longer than the process gives itself.
_PATIENCE: Seconds = 30.0
_MOST_HOSTS = 100
# Requests that wait for the one that is answered. Clients that are gone are not noticed.
_MOST_WAITING = 4
_AGAIN: Seconds = 5.0
_WORKBENCH = "sidecar.offline.lines.workbench"

_CURES = {
    "late": "it took too long and was ended; make the regex more specific, or read fewer lines",
    "died": "it used too much time or memory and was ended; make the regex more specific",
}

Text = Annotated[str, StringConstraints(max_length=500)]
Line = Annotated[str, StringConstraints(max_length=20_000)]
Regex = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Lines = Annotated[int, Field(ge=1, le=1_000_000)]


class WorkbenchRoutes:
    """One process at a time; a few further requests wait."""

    def __init__(
        self,
        active: ActiveConfiguration,
        logs: LogManager,
        known_good: KnownGood,
        protection: Protection,
        explainer: AddressExplainer,
    ) -> None:
        self._active, self._logs, self._known_good = active, logs, known_good
        self._protection, self._explainer = protection, explainer
        self._turn = asyncio.Lock()
        self._waiting = 0

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        return [
            WebRoute("GET", "/api/explain", self.explain, answer=ExplainAnswer),
            WebRoute("POST", "/api/try", self.try_, answer=TryAnswer),
        ]

    async def explain(
        self, address: Text = "", account: Text = "", line: Line = "", log: Text = ""
    ) -> dict[str, Any]:
        """Why an address, a network or an account is or is not banned; or what a line of a log does."""
        if len([one for one in (address, account, line) if one]) != 1:
            raise WebError(HTTPStatus.BAD_REQUEST, "give one of: address, account, line")
        if not line:
            return await self._explainer.explain(address or account)
        if log and log not in LOGS:
            raise WebError(HTTPStatus.BAD_REQUEST, f"log is one of: {', '.join(LOGS)}")
        return await self._asked("explain", line=line, log=log, zone=None)

    async def try_(self, log: Text, failregex: Regex, lines: Lines = 10_000) -> dict[str, Any]:
        """What a failregex would do with the last lines of a followed log."""
        followed = self._logs.logs.get(log)
        if followed is None:
            raise WebError(HTTPStatus.BAD_REQUEST, "this log is not followed; see /api/logs")
        zone = str(followed.clock.zone) if followed.clock else None
        found = await self._asked("try", log=log, failregex=failregex, lines=lines, zone=zone)
        hosts = [self._host(name, failures) for name, failures in found["hosts"]]
        known = sum(host["known_good"] for host in hosts)
        return {**found, "hosts": hosts[:_MOST_HOSTS], "known_good": known}

    def _host(self, name: str, failures: int) -> Host:
        good, now = self._known_good, time.time()
        try:
            network = Network.parse(name)
        except ValueError:
            return {"network": name, "failures": failures, "known_good": False, "protected": None}
        known = good.clients.is_known(network, now) or good.mail_servers.is_known(network, now)
        refusal = self._protection.refuse(network)
        return {"network": name, "failures": failures, "known_good": known, "protected": refusal}

    async def _asked(self, work: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a process. WebError if it refuses, or takes too long."""
        config = [str(Path(one).absolute()) for one in self._active.loaded.given]
        request = {"do": work, **arguments, "config": config}
        if self._waiting >= _MOST_WAITING:
            text = "others try or explain something just now; try again in some seconds"
            raise WebError(HTTPStatus.SERVICE_UNAVAILABLE, text, _AGAIN)
        self._waiting += 1
        try:
            return await self._run(request)
        finally:
            self._waiting -= 1

    async def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._turn:
            try:
                return await side_process.asked(_WORKBENCH, request, _PATIENCE)
            except SideProcessError as error:
                told = _CURES.get(error.ended, str(error))
                raise WebError(HTTPStatus.BAD_REQUEST, told) from None
