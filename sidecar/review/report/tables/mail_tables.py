"""The tables that Zimbra's Daily Mail Report has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.review.mail.day_counts import HOURLY
from sidecar.review.report.tables.section import Section, size, table

_WORDS = (
    "received", "delivered", "forwarded", "deferred", "bounced", "rejected", "reject_warnings", "held",
    "discarded",
)  # fmt: skip
_REJECTIONS = {
    "rejects": "Message reject detail",
    "reject_warnings": "Message reject warnings",
    "holds": "Messages held",
    "discards": "Messages discarded",
}
_TRAFFIC = {
    "senders": "Senders by count",
    "senders_by_size": "Senders by size",
    "sender_domains": "Sending domains",
    "recipients": "Recipients by count",
    "recipients_by_size": "Recipients by size",
    "recipient_domains": "Recipient domains",
}
# Title, and the keys of the two texts.
_PAIRS = {
    "bounces": ("Bounces by relay", "relay", "reason"),
    "deferrals": ("Deferrals", "program", "reason"),
    "warnings": ("Warnings by service", "program", "text"),
    "fatals": ("Fatal errors", "program", "text"),
    "panics": ("Panics", "program", "text"),
    "delivery_failures": ("Delivery failures", "reason", "host"),
}
_HOSTS = 5


def totals(report: Mapping[str, Any]) -> Section:
    """The grand totals."""
    found = report["totals"]
    share = found["delivered"] + found["rejected"] + found["discarded"]
    notes = {
        "deferred": f"{found['deferrals']:,} deferrals",
        "rejected": f"{found['rejected'] * 100 // share} %" if share else "",
        "delivered": f"{found['filtered']:,} of them to the content filter" if found["filtered"] else "",
    }
    rows = [(word.replace("_", " "), f"{found[word]:,}", notes.get(word, "")) for word in _WORDS]
    rows += [(f"bytes {word}", size(found[f"bytes_{word}"]), "") for word in ("received", "delivered")]
    rows += [(name.replace("_", " "), f"{number:,}", "") for name, number in report["distinct"].items()]
    return Section("Messages", ("What", "#Number", "Note"), tuple(rows))


def tables(report: Mapping[str, Any]) -> Iterator[Section]:
    """Everything else."""
    hours = [
        {"hour": f"{hour:02}:00", **row} for hour, row in enumerate(report["hours"]) if any(row.values())
    ]
    yield table("Traffic per hour", hours, {"Hour": "hour", **{f"#{word}": word for word in HOURLY}})
    for name, title in _REJECTIONS.items():
        yield table(
            title,
            report[name],
            {
                "Stage": "stage",
                "Reason": "reason",
                "#Count": "count",
                "#Hosts": "hosts_total",
                "Hosts": _hosts,
            },
        )
    for name, title in _TRAFFIC.items():
        yield table(title, report[name], {"Name": "name", "#Messages": "count", "#Size": _size})
    yield table(
        "SASL logins",
        report["logins"],
        {"Account": "account", "#Messages": "count", "#Addresses": "addresses"},
    )
    for name, (title, first, second) in _PAIRS.items():
        yield table(
            title, report[name], {first.capitalize(): first, second.capitalize(): second, "#Count": "count"}
        )
    yield table("Master daemon messages", report["master"], {"Text": "text", "#Count": "count"})


def _hosts(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{one['host']} ({one['count']})" for one in row["hosts"][:_HOSTS])


def _size(row: Mapping[str, Any]) -> str:
    return size(row["bytes"])
