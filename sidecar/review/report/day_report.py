"""The record of a report: mail, decisions, new patterns and health of a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.model import Instant
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.report import mail_section

_NO_DECISIONS: dict[str, Any] = {
    "jails": {}, "bans": [], "near_misses": [], "accounts": [], "good_users": [], "framed": [],
}  # fmt: skip


def record(
    name: str,
    made: Instant,
    host: str,
    counts: DayCounts,
    decisions: Mapping[str, Any],
    patterns: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """The report as JSON. `name` is the day, or the files that were read; `more` has what only a running
    service knows: `proposals`, `masked`, `silent_jails`, `health`; and `sources`, `faults`."""
    return {
        "report": name,
        "made": made,
        "host": host,
        **mail_section.record(counts),
        "decisions": {**_NO_DECISIONS, **decisions},
        "patterns": [{"number": number, **one} for number, one in enumerate(patterns, 1)],
        "proposals": [], "masked": [], "silent_jails": [], "health": [], "sources": [], "faults": [],
        **more,
    }  # fmt: skip


def summary(report: Mapping[str, Any]) -> list[str]:
    """The report in some sentences, for a notification."""
    totals, decisions = report["totals"], report["decisions"]
    bans = sum(jail["bans"] for jail in decisions["jails"].values())
    lines = [
        f"mail: {totals['received']} received, {totals['delivered']} delivered, "
        f"{totals['deferred']} deferred, {totals['bounced']} bounced, {totals['rejected']} rejected",
        f"bans: {bans}, near misses: {len(decisions['near_misses'])}, "
        f"accounts under attack: {len(decisions['accounts'])}",
    ]
    if good := [one for one in decisions["good_users"] if one["banned"]]:
        lines.append(f"good users banned: {', '.join(one['network'] for one in good[:5])}")
    if report["patterns"]:
        lines.append(f"new patterns: {len(report['patterns'])}")
    if report["proposals"]:
        lines.append(f"networks worth a ban: {', '.join(one['network'] for one in report['proposals'][:5])}")
    return [*lines, *(f"health: {one}" for one in report["health"][:5])]
