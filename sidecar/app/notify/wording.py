"""What a message says about each event: a title in our own words, a line, and the record of the event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from sidecar.app.notify.message import Message, shown
from sidecar.model import Ban, Instant, Refused, counted
from sidecar.network import Network
from sidecar.records import Decision, event_record

# The unit of an attacker: an IPv4 address, an IPv6 /64. A shorter prefix is wide.
_UNIT = {4: 32, 6: 64}
_TITLES = {
    "wide-ban": "wide ban",
    "known-good-ban": "known-good client banned",
    "brake": "brake on bans of known-good clients",
    "masked": "clients hidden by a proxy",
}
_MOST_REASONS = 5
Row: TypeAlias = tuple[str, dict[str, Any]]


def is_wide(network: Network) -> bool:
    """Whether a ban of this network bans more than one client."""
    return network.length < _UNIT[network.version]


def of_rows(event: str, at: Instant, rows: Sequence[Row], number: int) -> Message:
    """A message about `number` events, with the rows of the first ones."""
    lines, items = zip(*rows, strict=True)
    return Message(event, at, _TITLES[event], number, lines, items)


def wide_ban(ban: Ban, good: int) -> Row:
    """`good`: the number of networks inside with recent logins."""
    size = counted(ban.network.addresses, "address", "addresses") if ban.network.version == 4 else ""
    logins = f"recent logins from {counted(good, 'network')} inside" if good else ""
    return _ban(ban, ", ".join(filter(None, (size, logins))))


def known_good_ban(ban: Ban, accounts: int, inside: int = 0) -> Row:
    """`accounts` logged in from the banned network recently, or from `inside` networks in it."""
    of_them = f"{counted(inside, 'network')} inside" if inside else counted(accounts, "account")
    return _ban(ban, f"recent logins: {of_them}")


def _ban(ban: Ban, note: str) -> Row:
    word = "Would ban" if ban.dry else "Ban"
    by = f", by {ban.by}" if ban.by else ""
    last = f"; {ban.evidence[-1]}" if ban.evidence else ""
    about = f" ({note})" if note else ""
    line = f"[{ban.jail}] {word} {ban.network.text}{about}: {ban.reason}{by}{last}"
    return shown(line), _record(ban) | {"reason": shown(ban.reason)}


def brake(refused: Refused) -> Row:
    """A jail stopped banning known-good clients."""
    line = f"[{refused.jail}] {refused.host} is not banned: many known-good clients were; check the server"
    return shown(line), _record(refused)


def masked(proxy: str, cure: str, at: Instant) -> Row:
    """A proxy hides its clients."""
    item = {"event": "masked", "at": at, "proxy": shown(proxy), "cure": shown(cure)}
    return shown(f"{proxy} hides clients: {cure}"), item


def enforcement(missing: Collection[str], at: Instant) -> Message:
    """Bans are not enforced for these reasons, or (none) enforced again."""
    title = "bans are NOT ENFORCED" if missing else "bans are enforced again"
    reasons = [shown(one) for one in missing][:_MOST_REASONS]
    item = {"event": "not-enforced", "at": at, "enforced": not missing, "reasons": reasons}
    line = shown(f"not enforced: {'; '.join(reasons)}" if missing else "enforced again")
    return Message("not-enforced", at, title, lines=(line,), items=(item,))


def trial(at: Instant) -> Message:
    """What `zmban notify` sends."""
    return Message("test", at, "test message")


def _record(event: Decision) -> dict[str, Any]:
    """The record of an event, with its last line only."""
    record = event_record(event)
    return record | {"evidence": [shown(line) for line in record.get("evidence", [])[-1:]]}
