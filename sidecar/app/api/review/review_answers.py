"""The shapes of the JSON that the routes of the review answer, for the OpenAPI document."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class ReviewSection(TypedDict):
    """A titled table of the report. Columns whose name begins with # are numbers; `lines` are log lines.
    `act`: what can be done with each row by its first cell (`ban`, `domain`) or with `subject` (`adopt`)."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str
    lines: list[str]
    important: bool
    act: str
    subject: int


class ReviewAnswer(TypedDict):
    """The report of a day, `made` at this time. `days` have a report, the newest first; `hours` are 24."""

    day: str
    days: list[str]
    made: float
    hours: list[dict[str, int]]
    sections: list[ReviewSection]


class AdoptedAnswer(TypedDict):
    """The files that were written for a pattern: text by path below `directory`."""

    name: str
    directory: str
    files: dict[str, str]
    by: str | None


class RefusedDomain(TypedDict):
    """A refused sender domain; `unicode` is the domain as people read it."""

    domain: str
    unicode: str
    reason: str
    since: float
    until: float | None
    by: str
    evidence: list[str]


class DomainsAnswer(TypedDict):
    """The refused sender domains, sorted."""

    domains: list[RefusedDomain]


class DomainActed(TypedDict):
    """What was done with a domain: `result` is `refused-now`, `extended`, `standing`, `lifted`, `absent` or
    `rejected`; `confirmable`: accepted with `yes`."""

    domain: str
    unicode: str
    result: str
    reason: str
    confirmable: bool
    place: NotRequired[str]


class DomainsActedAnswer(TypedDict):
    """One answer for each domain, in order."""

    answers: list[DomainActed]
