"""What a person allows, and why a ban that stands is not enforced for now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sidecar.model import LATEST, Ban
from sidecar.network import Network
from sidecar.store.database import Allowed

if TYPE_CHECKING:
    from sidecar.app.service import Service


def preview(service: Service, network: Network) -> dict[str, int]:
    """What allowing a network would mean: how many addresses, and how many bans would not be enforced."""
    return {"addresses": network.addresses, "bans": bans_inside(service, network)}


def bans_inside(service: Service, network: Network) -> int:
    """How many bans of a network and of what lies inside it stand."""
    return sum(len(service.table.all_of(one)) for one in service.table.inside(network))


def enforced_inside(service: Service, network: Network) -> int:
    """How many of these the kernel is told of."""
    return sum(service.table.reasons(one) for one in service.table.inside(network))


def still_allowed(service: Service, network: Network) -> list[str]:
    """What else is allowed around a network."""
    return [str(one) for one in service.allowed if one.covers(network)]


def suspended(service: Service) -> Callable[[Ban], str | None]:
    """Answers, from any thread, why a ban that stands is not enforced for now; None if it is."""
    table, allowed = service.table, list(service.allowed.values())
    guard, suspects = service.judge.guard, service.judge.suspects

    def why(ban: Ban) -> str | None:
        if not table.rests(ban.network, ban.jail):
            return None
        if told := by_person(allowed, ban.network):
            return told
        reason = guard.refuse(ban.network)
        if reason is None and suspects.covering(ban.network) is not None:
            reason = "untrusted-proxy"
        return f"protected: {reason}" if reason else f"ignored by {ban.jail}"

    return why


def by_person(allowed: Iterable[Allowed], network: Network) -> str | None:
    """Until when and why a network is allowed; None if it is not. What lasts longest counts."""
    around = [one for one in allowed if one.network.covers(network)]
    if not around:
        return None
    last = max(around, key=lambda one: LATEST if one.until is None else one.until)
    if last.until is None or last.until >= LATEST:
        return f"allowed: {last.reason}"
    return f"allowed until {datetime.fromtimestamp(last.until, UTC):%Y-%m-%d %H:%M:%SZ}: {last.reason}"
