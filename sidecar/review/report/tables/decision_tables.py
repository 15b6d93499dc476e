"""The tables that only zmban can fill: what it decided, what a person should look at, new patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from sidecar.model import Instant, counted
from sidecar.review.report.tables.section import Section, table

Moment: TypeAlias = Callable[[Instant | None], str]
# An account that sent mail from so many addresses may be stolen.
_RISK = 10
_MOST_BANS, _MOST_NAMED = 50, 10


def attention(report: Mapping[str, Any]) -> Iterator[Section]:
    """What a person should look at."""
    decisions = report["decisions"]
    yield Section("Health", lines=tuple(report["health"]), important=True)
    yield table(
        "Good users who were banned, or nearly",
        decisions["good_users"],
        {
            "Network": "network", "Jail": "jail", "#Failures": "failures", "#Accounts": "accounts",
            "Banned": "banned",
        },
        "Accounts logged in from these networks lately. To let one in: zmban unban NETWORK, then zmban allow "
        "NETWORK --for 7d.",
        important=True,
    )  # fmt: skip
    yield table(
        "Accounts under attack",
        decisions["accounts"],
        {
            "Account": "account", "#Failures": "failures", "#Networks": "from", "Distributed": "distributed",
            "Some of them": lambda one: " ".join(one["networks"][:3]),
        },
    )  # fmt: skip
    yield from _worth(report)
    yield table(
        "Accounts that sent mail from many addresses",
        [one for one in report["logins"] if one["addresses"] >= _RISK],
        {"Account": "account", "#Messages": "count", "#Addresses": "addresses"},
        "The password of such an account may be known to others.",
    )


def _worth(report: Mapping[str, Any]) -> Iterator[Section]:
    """What a person may refuse."""
    yield table(
        "Networks worth a ban as a whole",
        report["proposals"],
        {
            "Network": "network", "#Banned inside": "banned", "#Addresses": "addresses",
            "#Good logins": lambda one: one.get("good_logins", 0),
            "#Mail servers": lambda one: one.get("delivered_to", 0),
            "Command": lambda one: f"zmban ban {one['network']} --reason ...",
        },
        act="ban",
    )  # fmt: skip
    yield table(
        "Sender domains worth refusing",
        report["domains"],
        {
            "Domain": "domain", "#Rejected": "count", "#Hosts": "hosts",
            "Command": lambda one: f"zmban domain add {one['domain']} --reason ...",
        },
        "Rejected often, never accepted, and nobody here wrote to them.",
        act="domain",
    )  # fmt: skip


def decided(report: Mapping[str, Any], moment: Moment) -> Iterator[Section]:
    """What the jails did."""
    decisions = report["decisions"]
    words = ("matches", "failures", "bans", "dry_bans", "unbans")
    yield table(
        "Jails",
        [{"jail": name, **jail} for name, jail in sorted(decisions["jails"].items())],
        {
            "Jail": "jail",
            **{f"#{word.replace('_', ' ').capitalize()}": word for word in words},
            "Refused": lambda one: ", ".join(f"{n} {why}" for why, n in sorted(one["refused"].items())),
        },
    )
    silent = tuple(report["silent_jails"])
    yield Section("Jails that found nothing for 30 days", lines=(", ".join(silent),) if silent else ())
    yield table(
        "Newest bans",
        reversed(decisions["bans"][-_MOST_BANS:]),
        {
            "Network": "network", "Jail": "jail", "At": lambda one: moment(one["at"]),
            "Until": lambda one: moment(one["until"]),
            "Reason": lambda one: f"{'dry run: ' if one.get('dry') else ''}{one['reason']}",
            "Evidence": lambda one: (one["evidence"] or [""])[-1],
        },
    )  # fmt: skip
    yield table(
        "Near misses",
        decisions["near_misses"],
        {"Network": "network", "Jail": "jail", "#Failures": "failures", "#maxretry": "maxretry"},
        "At most one failure short of maxretry in the day, and no ban; some are too slow for findtime.",
    )
    yield table(
        "Clients that a proxy hides", report["masked"], {"Proxy": "proxy", "#Lines": "lines", "Cure": "cure"}
    )
    yield table(
        "Lines that try to name somebody else",
        decisions["framed"],
        {"Jail": "jail", "Named": "named", "Client": "client", "Line": "line"},
        "Nobody was banned because of them.",
    )


def patterns(report: Mapping[str, Any]) -> Iterator[Section]:
    """Each new pattern with its samples, its failregex, and what that would have done."""
    for one in report["patterns"]:
        rows = [("pattern", one["template"]), ("failregex", one["failregex"] or f"none: {one['why_not']}")]
        rows += _trial(one["trial"]) if one.get("trial") else []
        if one["failregex"]:
            day = f" --day {report['report']}" if report["report"][:4].isdecimal() else ""
            rows.append(("to adopt", f"zmban report{day} --adopt {one['number']} --to DIR"))
        lines, clients = counted(one["count"], "line"), counted(one["clients"], "client")
        title = f"New pattern {one['number']}: {lines} of {one['log']} by {clients}"
        samples = tuple(sample["line"] for sample in one["samples"][:3])
        act = "adopt" if one["failregex"] else ""
        yield Section(title, ("", ""), tuple(rows), lines=samples, act=act, subject=one["number"])


def _trial(trial: Mapping[str, Any]) -> list[tuple[str, str]]:
    banned, good = trial["banned"][:_MOST_NAMED], trial["known_good"][:_MOST_NAMED]
    more = f" and {trial['bans'] - len(banned)} more" if trial["bans"] > len(banned) else ""
    named = ", ".join(f"{one['client']} ({', '.join(one['accounts'][:3]) or 'known'})" for one in good)
    rows = [
        ("hits", f"{trial['hits']:,} by {counted(trial['clients'], 'client')}"),
        ("would ban", f"{', '.join(banned) or 'nobody'}{more}"),
        ("known-good hits", f"{trial['known_good_hits']:,}: {named}" if good else "none"),
    ]
    if not trial["complete"]:
        rows.append(("not read", "some of the logs, since it took too long"))
    return rows
