"""Checks bans that no log of this host led to: manual, imported, or made by another host."""

from __future__ import annotations

from collections.abc import Collection

from sidecar.bans.guard import Guard
from sidecar.network import Network, PrefixSet


def refusal(
    network: Network, guard: Guard, reachable: Collection[Network] = (), ignored: PrefixSet | None = None
) -> str | None:
    """Why this network must not be banned, as a label of refused_total. None if it may be banned.

    `reachable` are networks that stay reachable under a wider ban; `ignored` are those that the ban's jail
    ignores.
    """
    reason = guard.refuse(network, ignored)
    if reason is None and ignored and not network.single and ignored.inside(network):
        return "ignored"
    if reason in (None, "too-wide") and network in reachable:
        # `force` lifts the limit of the prefix length, but not this.
        return "kept-reachable"
    return reason
