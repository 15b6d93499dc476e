"""Prints refused domains, and what a command did with each domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from sidecar.cli import DATA
from sidecar.cli.output.printing import emit, say, table
from sidecar.cli.output.tables import Column
from sidecar.domains.domain_judge import DomainVerdict
from sidecar.domains.domain_name import unicode_form
from sidecar.domains.refusal import DomainAnswer, DomainRefusal
from sidecar.local_time import moment
from sidecar.model import counted

# Answers printed one by one; of more only the counts and what was rejected.
_MOST_SHOWN = 20
_COLUMNS = (
    Column("domain"), Column("since", 3), Column("until"), Column("by", 2), Column("reason", 1, 8, 20),
)  # fmt: skip


def shown(domain: str) -> str:
    """A domain in both forms: `xn--bcher-kva.example (bücher.example)`."""
    readable = unicode_form(domain)
    return domain if readable == domain else f"{domain} ({readable})"


def report(answers: Sequence[DomainAnswer], *, as_json: bool, jsonl: bool) -> None:
    """Print the answers; exit code 65 if a domain or a line was rejected."""
    if as_json or jsonl:
        emit((one.record() for one in answers), jsonl=jsonl)
    else:
        _print(answers)
    if any(one.result == "rejected" for one in answers):
        raise click.exceptions.Exit(DATA)


def _print(answers: Sequence[DomainAnswer]) -> None:
    brief = len(answers) > _MOST_SHOWN
    told = 0
    for one in answers:
        rejected = one.result == "rejected"
        if brief and not (rejected and told < _MOST_SHOWN):
            continue
        told += rejected
        place = f"{one.place}: " if one.place else ""
        say(f"{place}{shown(one.domain) or repr(one.domain)} {one.reason}", err=rejected)
    if brief:
        results = Counter(one.result for one in answers)
        if (more := results["rejected"] - told) > 0:
            say(f"and {more:,} more rejected; --jsonl lists all", err=True)
        counts = ", ".join(f"{number:,} {result}" for result, number in results.most_common())
        say(f"{len(answers):,}: {counts}")


def show_refusals(refusals: Sequence[DomainRefusal], foreign: int) -> None:
    """Print a table of refused domains; their evidence stands in JSON and in the map."""
    if refusals:
        rows = (
            (shown(one.domain), moment(one.since), moment(one.until), one.by or "-", one.reason or "-")
            for one in refusals
        )
        table(_COLUMNS, rows)
    else:
        say("no domain is refused")
    if foreign:
        say(f"{counted(foreign, 'rule')} in the maps not of zmban, kept as they are", err=True)


def show_verdict(subject: str, verdict: DomainVerdict, foreign: int) -> None:
    """Print what the maps do with an address, a domain or a header."""
    where = f" by {verdict.map}" if verdict.map else ""
    words = {"reject": "rejected", "warn": "accepted with a warning in the log", "accept": "accepted"}
    say(f"{subject}: {words[verdict.action]}{where}: {verdict.why}")
    if refusal := verdict.refusal:
        by = f" by {refusal.by}" if refusal.by else ""
        say(f"  refused since {moment(refusal.since)}, until {moment(refusal.until)}{by}")
        for line in refusal.evidence:
            say(f"  {line}")
    if foreign:
        say(f"not looked at: {counted(foreign, 'rule')} in the maps not of zmban", err=True)
