"""The part of the report that Zimbra's Daily Mail Report has: the counts of the mail log as a JSON record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sidecar.review.mail.bounded_counts import BoundedCounts
from sidecar.review.mail.day_counts import HOURLY, SEPARATOR, DayCounts

# Rows of a table, and hosts of a reason.
MOST, _MOST_HOSTS = 50, 10
# A sender domain that was rejected as often is worth a look.
_OFTEN = 10
_DISTINCT = ("senders", "sender_domains", "recipients", "recipient_domains")
_REJECTIONS = ("rejects", "reject_warnings", "holds", "discards")
# Tables of a program or a relay with a text.
_PAIRS = {
    "bounces": ("relay", "reason"), "deferrals": ("program", "reason"), "warnings": ("program", "text"),
    "fatals": ("program", "text"), "panics": ("program", "text"), "delivery_failures": ("reason", "host"),
}  # fmt: skip


def of_days(days: Iterable[DayCounts]) -> DayCounts:
    """The counts of several days together."""
    whole = DayCounts()
    for day in days:
        whole.join(day)
    return whole


def record(counts: DayCounts) -> dict[str, Any]:
    """`totals`, `hours` (24 objects), and the tables, the largest first. `incomplete` has the number of
    events that a table does not show since it had too many keys."""
    tables = counts.tables
    return {
        "totals": dict(counts.totals),
        "hours": [dict(zip(HOURLY, row, strict=True)) for row in counts.hours],
        "senders": _traffic(tables["senders"]),
        "senders_by_size": _traffic(tables["senders"], by_size=True),
        "sender_domains": _traffic(tables["sender_domains"]),
        "recipients": _traffic(tables["recipients"]),
        "recipients_by_size": _traffic(tables["recipients"], by_size=True),
        "recipient_domains": _traffic(tables["recipient_domains"]),
        "deferred_domains": _traffic(tables["deferred_domains"]),
        "distinct": {name: len(tables[name]) for name in _DISTINCT},
        **{name: _rejections(tables[name]) for name in _REJECTIONS},
        **{name: _pairs(tables[name], *words) for name, words in _PAIRS.items()},
        "master": [{"text": key, "count": number} for key, number, _ in tables["master"].by_count(MOST)],
        "logins": _logins(tables["logins"], tables["login_clients"]),
        "domains": _domains(counts),
        "incomplete": {name: table.dropped for name, table in tables.items() if table.dropped},
    }  # fmt: skip


def _traffic(table: BoundedCounts, *, by_size: bool = False) -> list[dict[str, Any]]:
    rows = table.by_size(MOST) if by_size else table.by_count(MOST)
    return [{"name": key, "count": number, "bytes": size} for key, number, size in rows]


def _rejections(table: BoundedCounts) -> list[dict[str, Any]]:
    """By stage and reason, each with the hosts that were rejected most."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for key, number in table.counts.items():
        stage, reason, host = key.split(SEPARATOR) if key.count(SEPARATOR) == 2 else ("?", key, "")
        found.setdefault((stage, reason), {})[host] = number
    rows: list[dict[str, Any]] = []
    for (stage, reason), hosts in found.items():
        largest = sorted(((-number, host) for host, number in hosts.items() if host))[:_MOST_HOSTS]
        shown = [{"host": host, "count": -number} for number, host in largest]
        count = sum(hosts.values())
        rows.append(
            {"stage": stage, "reason": reason, "count": count, "hosts_total": len(hosts), "hosts": shown}
        )
    return sorted(rows, key=lambda row: (-row["count"], row["stage"], row["reason"]))[:MOST]


def _pairs(table: BoundedCounts, first: str, second: str) -> list[dict[str, Any]]:
    rows = []
    for key, number, _ in table.by_count(MOST):
        one, _, other = key.partition(SEPARATOR)
        rows.append({first: one, second: other, "count": number})
    return rows


def _domains(counts: DayCounts) -> list[dict[str, Any]]:
    """Sender domains that may be worth refusing: rejected often, never accepted, and nobody here wrote to
    them."""
    known = counts.tables["sender_domains"].counts.keys() | counts.tables["recipient_domains"].counts.keys()
    found: dict[str, dict[str, int]] = {}
    for key, number in counts.tables["rejected_domains"].counts.items():
        domain, _, host = key.partition(SEPARATOR)
        if domain not in known:
            found.setdefault(domain, {})[host] = number
    rows: list[dict[str, Any]] = [
        {"domain": domain, "count": sum(hosts.values()), "hosts": len(hosts)}
        for domain, hosts in found.items()
    ]
    worth = [row for row in rows if row["count"] >= _OFTEN]
    return sorted(worth, key=lambda row: (-row["count"], row["domain"]))[:MOST]


def _logins(logins: BoundedCounts, clients: BoundedCounts) -> list[dict[str, Any]]:
    """Accounts that sent mail after a login, with the number of addresses they came from: an account with
    many may be stolen."""
    addresses: dict[str, int] = {}
    for key in clients.counts:
        account = key.partition(SEPARATOR)[0]
        addresses[account] = addresses.get(account, 0) + 1
    return [
        {"account": account, "count": number, "addresses": addresses.get(account, 0)}
        for account, number, _ in logins.by_count(MOST)
    ]
