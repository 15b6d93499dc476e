"""The routes of the daily review: the report of a day, what it proposes, and refused sender domains."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sidecar.app.api.review.review_answers import (
    AdoptedAnswer,
    DomainsActedAnswer,
    DomainsAnswer,
    ReviewAnswer,
)
from sidecar.app.commands.review_commands import Day
from sidecar.app.review.daily_report import DailyReport
from sidecar.app.review.refused_domains import RefusedDomains
from sidecar.app.review.review_work import today
from sidecar.local_time import moment
from sidecar.model import ConfigError, ZmbanError
from sidecar.offline.arguments import Actor, Reason, Time
from sidecar.offline.review import filter_adoption
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.report.tables.sections import sections
from sidecar.serve.web.routing import Access, WebError, WebRoute
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.domains")

Domain = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Domains = Annotated[list[Domain], Field(min_length=1, max_length=1000)]
Number = Annotated[int, Field(ge=1, le=1000)]


class ReviewRoutes:
    """Reads reports that were built, and builds one on request. Adopted patterns go into `adopted`."""

    def __init__(self, daily: DailyReport, domains: RefusedDomains, adopted: Path) -> None:
        self._daily, self._domains, self._adopted = daily, domains, adopted

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        return [
            WebRoute("GET", "/api/review", self.review, answer=ReviewAnswer),
            WebRoute("POST", "/api/review/adopt", self.adopt, Access.ACT, AdoptedAnswer),
            WebRoute("GET", "/api/domains", self.domains, answer=DomainsAnswer),
            WebRoute("POST", "/api/domains", self.refuse, Access.ACT, DomainsActedAnswer),
            WebRoute("POST", "/api/domains/remove", self.remove, Access.ACT, DomainsActedAnswer),
        ]

    async def review(self, day: Day = "", fresh: bool = False) -> dict[str, Any]:
        """The report of a day, today if none is given, as it was built last; `fresh` builds it now."""
        wanted = day or today(time.time())
        report = await self._report(wanted, fresh=fresh)
        days = await run_detached(self._daily.files.days)
        shown = [one._asdict() for one in sections(report, moment)]
        return {
            "day": wanted,
            "days": days,
            "made": report["made"],
            "hours": report["hours"],
            "sections": shown,
        }

    async def _report(self, day: str, *, fresh: bool) -> dict[str, Any]:
        try:
            return await (self._daily.build(day) if fresh else self._daily.kept(day))
        except ZmbanError as error:
            raise WebError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def adopt(self, by: Actor, day: Day, number: Number) -> dict[str, Any]:
        """Write a new pattern of a report as a filter and a dry-run jail, for the administrator to take."""
        report = await self._report(day, fresh=False)
        found = next((one for one in report["patterns"] if one["number"] == number), None)
        if found is None:
            raise WebError(HTTPStatus.NOT_FOUND, f"the report of {day} has no new pattern {number}")
        try:
            pattern = MinedPattern.of_record(found)
            name = f"zimbra-new-{pattern.id}"
            files = filter_adoption.files(pattern, name)
            await run_detached(self._write, pattern, name)
        except ZmbanError as error:
            raise WebError(HTTPStatus.CONFLICT, str(error)) from error
        return {"name": name, "directory": str(self._adopted), "files": files, "by": by}

    def _write(self, pattern: MinedPattern, name: str) -> None:
        try:
            self._adopted.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._adopted}: {error.strerror}") from error
        filter_adoption.write(pattern, name, self._adopted)

    async def domains(self) -> dict[str, Any]:
        """The refused sender domains."""
        try:
            return {"domains": [one.record() for one in await self._domains.refusals()]}
        except ZmbanError as error:
            raise WebError(HTTPStatus.CONFLICT, str(error)) from error

    async def refuse(
        self, domains: Domains, reason: Reason, by: Actor, until: Time | None = None, yes: bool = False
    ) -> dict[str, Any]:
        """Refuse mail from sender domains and their sub-domains; `yes` also those of big providers."""
        try:
            answers = await self._domains.add(domains, reason, until, by, yes=yes)
        except ZmbanError as error:
            raise WebError(HTTPStatus.CONFLICT, str(error)) from error
        return {"answers": [one.record() for one in answers]}

    async def remove(self, domains: Domains, by: Actor) -> dict[str, Any]:
        """Accept mail from sender domains again."""
        try:
            answers = await self._domains.remove(domains)
        except ZmbanError as error:
            raise WebError(HTTPStatus.CONFLICT, str(error)) from error
        _log.info("sender domains accepted again by %s: %s", by, ", ".join(one.domain for one in answers))
        return {"answers": [one.record() for one in answers]}
