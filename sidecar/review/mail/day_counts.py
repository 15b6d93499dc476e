"""What is counted of one day of a mail log."""

from __future__ import annotations

from typing import Any

from sidecar.review.mail.bounded_counts import BoundedCounts

# Messages, as pflogsumm counts them; `deferrals` are tries, `deferred` messages. `filtered` of the delivered
# ones were handed to the content filter of this host (amavis) and come back as new messages.
TOTALS = (
    "received", "delivered", "forwarded", "deferred", "deferrals", "bounced", "rejected", "reject_warnings",
    "held", "discarded", "filtered", "bytes_received", "bytes_delivered",
)  # fmt: skip
# The columns of traffic per hour.
HOURLY = ("received", "delivered", "deferred", "bounced", "rejected")
# How many keys each table keeps; keys of several parts are joined by SEPARATOR.
_MOST = {
    "senders": 20_000, "sender_domains": 5_000, "recipients": 20_000, "recipient_domains": 5_000,
    "rejects": 5_000, "reject_warnings": 1_000, "holds": 1_000, "discards": 1_000, "bounces": 2_000,
    "deferrals": 2_000, "deferred_domains": 2_000, "warnings": 2_000, "fatals": 200, "panics": 200,
    "delivery_failures": 1_000, "rejected_domains": 5_000, "master": 200, "logins": 5_000,
    "login_clients": 20_000,
}  # fmt: skip
TABLES = tuple(_MOST)
SEPARATOR = "\x1f"


class DayCounts:
    """Totals, traffic per hour (24 rows with the columns of HOURLY), and the tables by name.

    Keys: `rejects` and the like (stage, reason, host), `bounces` (relay, reason), `deferrals`, `warnings`,
    `fatals`, `panics` (program, text), `delivery_failures` (reason, host), `login_clients` (account,
    address), `rejected_domains` (domain of the sender, client).
    """

    __slots__ = ("hours", "tables", "totals")

    def __init__(self) -> None:
        self.totals = dict.fromkeys(TOTALS, 0)
        self.hours = [[0] * len(HOURLY) for _ in range(24)]
        self.tables = {name: BoundedCounts(most) for name, most in _MOST.items()}

    def join(self, other: DayCounts) -> None:
        """Add the counts of another part of the day."""
        for name, number in other.totals.items():
            self.totals[name] += number
        for mine, its in zip(self.hours, other.hours, strict=True):
            mine[:] = [a + b for a, b in zip(mine, its, strict=True)]
        for name, table in other.tables.items():
            self.tables[name].join(table)

    def dumped(self) -> dict[str, Any]:
        """As JSON."""
        tables = {name: table.dumped() for name, table in self.tables.items() if len(table)}
        return {"totals": self.totals, "hours": self.hours, "tables": tables}

    @classmethod
    def loaded(cls, read: dict[str, Any]) -> DayCounts:
        """The reverse of `dumped`. KeyError, TypeError or ValueError if it is damaged."""
        made = cls()
        made.totals |= {name: int(number) for name, number in read["totals"].items() if name in made.totals}
        for mine, its in zip(made.hours, read["hours"], strict=True):
            mine[:] = [int(number) for _, number in zip(mine, its, strict=True)]
        for name, table in read["tables"].items():
            if name in _MOST:
                made.tables[name] = BoundedCounts.loaded(table, _MOST[name])
        return made
