"""The words of a comparison, for tables and for its page."""

from __future__ import annotations

from typing import Any

from sidecar.app.config_reload import ConfigDifference
from sidecar.local_time import moment
from sidecar.model import counted
from sidecar.offline.compare.comparison import Comparison

FIGURES = ("gained", "lost", "earlier", "later", "longer", "shorter")
_MOST_ACCOUNTS = 5


def jail_rows(compared: Comparison, difference: ConfigDifference) -> tuple[list[list[str]], list[str]]:
    """A row for each jail that has bans or differs: its name, banned networks before and after, FIGURES,
    known-good networks, and what changed; and the names of the other jails."""
    rows, quiet = [], []
    for jail in compared.jails():
        told = remarks(jail, difference)
        if not (told or jail["networks_before"] or jail["networks_after"]):
            quiet.append(jail["jail"])
            continue
        before = str(jail["networks_before"]) if jail["in"] != "after" else "-"
        after = str(jail["networks_after"]) if jail["in"] != "before" else "-"
        known = f"{jail['known_good_before']} → {jail['known_good_after']}"
        rows.append(
            [jail["jail"], before, after, *(str(jail[name]) for name in FIGURES), known, "; ".join(told)]
        )
    return rows, quiet


def remarks(jail: dict[str, Any], difference: ConfigDifference) -> list[str]:
    """What differs in a jail beside its bans: where it exists, its changed options, its refusals."""
    found = [f"only {jail['in']}"] if jail["in"] != "both" else []
    found += difference.changed.get(jail["jail"], ())
    for name in ("before", "after"):
        if jail[f"dry_{name}"]:
            found.append(f"dry run {name}")
    before, after = jail["refused_before"], jail["refused_after"]
    for reason in sorted(before.keys() | after.keys()):
        if before.get(reason, 0) != after.get(reason, 0):
            found.append(f"refused as {reason}: {before.get(reason, 0)} → {after.get(reason, 0)}")
    return found


def what(change: dict[str, Any]) -> str:
    """Who is hit by a ban, its failures and its end, and the jails that ban the network in both cases."""
    parts = [who(change)] if change["known_good"] else []
    parts.append(f"{counted(change['failures'], 'failure')}, until {moment(change['until'])}")
    if change["bans"] > 1:
        parts.append(f"{change['bans']} bans")
    if change["other_jails"]:
        word = "already" if change["event"] == "gained" else "still"
        parts.append(f"{word} banned by {', '.join(change['other_jails'])}")
    return "; ".join(parts)


def who(record: dict[str, Any]) -> str:
    """Why a network is known-good: the accounts that logged in from it, or that it is a mail server."""
    parts = ["mail server"] if record["mail_server"] else []
    if accounts := record["accounts"]:
        shown = ", ".join(accounts[:_MOST_ACCOUNTS])
        more = f" and {len(accounts) - _MOST_ACCOUNTS} more" if len(accounts) > _MOST_ACCOUNTS else ""
        parts.append(f"logins of {shown}{more}")
    return f"KNOWN-GOOD: {', '.join(parts)}"


def sentences(total: dict[str, Any]) -> list[str]:
    """The result as text."""
    known = [total[f"known_good_{name}"] for name in ("before", "after", "gained", "lost")]
    before, after = total["before"], total["after"]
    bans = "No ban gained or lost"
    if total["gained"] or total["lost"]:
        bans = (
            f"{counted(total['gained'], 'ban')} gained, {total['lost']} lost; networks that "
            f"no other jail bans: {total['networks_gained']} gained, {total['networks_lost']} lost"
        )
    return [
        bans,
        f"Bans of known-good addresses: {known[0]} before, {known[1]} after "
        f"({known[2]} gained, {known[3]} lost)",
        f"{counted(before['lines'], 'line')} read before, {after['lines']} after, "
        f"in {before['seconds'] + after['seconds']:.2f} s",
        *(suspect["told"] for suspect in total["after"]["suspected_proxies"]),
    ]
