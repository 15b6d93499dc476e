"""The JSON records of bans, events and refusals (docs/commands.md)."""

from __future__ import annotations

from typing import Any, TypeAlias

from sidecar.model import Ban, Extended, Refused, Unban
from sidecar.network import Network

Decision: TypeAlias = Ban | Extended | Unban | Refused


def ban_record(ban: Ban, *, enforced: bool, suspended: str | None = None) -> dict[str, Any]:
    """An active ban. `enforced`: the kernel has its route. `suspended`: why it is not enforced at the
    moment."""
    return {
        "network": str(ban.network),
        "jail": ban.jail,
        "since": ban.at,
        "until": ban.until,
        "count": ban.times,
        "origin": ban.origin,
        "reason": ban.reason,
        "by": ban.by,
        "enforced": enforced and not (ban.dry or suspended),
        "suspended": suspended,
        "dry": ban.dry,
        "failures": ban.failures,
        "evidence": list(ban.evidence),
    }


def event_record(event: Decision) -> dict[str, Any]:
    """A decision: `event` is `ban`, `extend`, `unban` or `refused`."""
    match event:
        case Ban():
            return _ban_event("ban", event)
        case Extended(ban=ban):
            return _ban_event("extend", ban)
        case Unban():
            return {
                "event": "unban", "at": event.at, "network": str(event.network), "jail": event.jail,
                "reason": event.reason, **({"by": event.by} if event.by else {}),
            }  # fmt: skip
        case Refused():
            return {
                "event": "refused", "at": event.at, "network": _network(event.host), "jail": event.jail,
                "reason": event.reason, "client": event.client, "evidence": [event.line],
            }  # fmt: skip


def _ban_event(word: str, ban: Ban) -> dict[str, Any]:
    return {
        "event": word, "at": ban.at, "network": str(ban.network), "jail": ban.jail, "until": ban.until,
        "failures": ban.failures, "evidence": list(ban.evidence), **({"dry": True} if ban.dry else {}),
        **({"by": ban.by} if ban.by else {}),
    }  # fmt: skip


def _network(host: str) -> str | None:
    """The canonical text of an address or network; a host name unchanged."""
    try:
        return str(Network.parse(host))
    except ValueError:
        return host or None
