"""Previews manual bans: what they cover, and which must be confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.protect.protection import Protection
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.recent_logins import RecentLogins
from sidecar.model import counted
from sidecar.network import Network, PrefixSet
from sidecar.threads import run_detached

# The prefix lengths, by version, below which a manual ban must be confirmed.
WIDEST_UNASKED = {4: 24, 6: 48}
# Logins and members of networks examined in one turn of the event loop.
_SLICE, _AT_ONCE = 5000, 1000
# Networks up to which comparing their first bytes is faster.
_FEW = 16


@dataclass(frozen=True, slots=True)
class Preview:
    """What a manual ban of a network would mean. `refused`: why it must not be banned, or None. `why`: one
    sentence for each reason to ask before it is banned. `covers` is empty if it was not counted."""

    network: Network
    refused: str | None
    why: tuple[str, ...]
    covers: dict[str, int]

    def record(self) -> dict[str, Any]:
        """As JSON. `confirm`: the ban needs `yes`."""
        return {
            "network": str(self.network),
            "refused": self.refused,
            "confirm": self.refused is None and bool(self.why),
            "why": list(self.why),
            "covers": self.covers,
        }


class BanPreview:
    """Previews manual bans, and decides which of them an administrator must confirm."""

    def __init__(self, engine: DecisionEngine, enforcer: Enforcer, protection: Protection) -> None:
        self._engine, self._enforcer, self._protection = engine, enforcer, protection

    async def preview(self, networks: Iterable[Network]) -> list[Preview]:
        """A preview of a ban of each network."""
        return await self.judge(networks, count_all=True)

    async def judge(self, networks: Iterable[Network], *, count_all: bool = False) -> list[Preview]:
        """As `preview`, but what a network covers is only counted if there is a reason to ask or if it is too
        wide: to count the bans inside of many networks takes seconds."""
        asked = list(networks)
        refusals = {one: self._protection.refuse(one) for one in asked}
        covered = await self._covered(one for one, why in refusals.items() if why in (None, "too-wide"))
        why = {one: _reasons(one, found) for one, found in covered.items()}
        wanted = [one for one in covered if count_all or why[one] or refusals[one]]
        bans = await self._inside(wanted, list(self._engine.register.table.networks())) if wanted else {}
        return [
            Preview(
                one, refusals[one], why.get(one, ()),
                {"addresses": one.addresses, "bans": len(bans[one]), **covered[one]} if one in bans else {},
            )
            for one in asked
        ]  # fmt: skip

    async def covers(self, network: Network, bans: int) -> dict[str, int]:
        """What a network covers, if the number of bans inside is known."""
        found = (await self._covered([network]))[network]
        return {"addresses": network.addresses, "bans": bans, **found}

    async def _covered(self, networks: Iterable[Network]) -> dict[Network, dict[str, int]]:
        """What of each network is known to be good, or kept reachable."""
        asked, known = list(networks), self._engine.known_good
        wide = [one for one in asked if not one.single]
        kept = await self._inside(wide, list(self._enforcer.exempted)) if wide else {}
        good = await self._known(known.clients, asked)
        servers = await self._known(known.mail_servers, asked)
        return {
            one: {
                "kept_reachable": len(kept.get(one, ())),
                "good_logins": good[one],
                "delivered_to": servers[one],
            }
            for one in asked
        }

    async def _known(self, logins: RecentLogins, networks: Sequence[Network]) -> dict[Network, int]:
        """How many known-good networks each network covers, or whether it is part of one."""
        now = time.time()
        whole = [one for one in networks if one.unit() == one and not one.single]
        found = {one: int(logins.is_known(one.unit(), now)) for one in networks}
        for one, inside in (await self._inside(whole, logins.networks())).items() if whole else ():
            found[one] = 0
            for start in range(0, len(inside), _SLICE):
                found[one] += sum(logins.is_known(each, now) for each in inside[start : start + _SLICE])
                await asyncio.sleep(0)
        return found

    async def _inside(
        self, networks: Iterable[Network], members: list[Network]
    ) -> dict[Network, list[Network]]:
        """Those of `members` that lie inside each network. Many are examined in a thread."""
        wanted = PrefixSet(networks)
        if len(members) <= _AT_ONCE:
            return _inside(wanted, members)
        return await run_detached(_inside, wanted, members)


def _inside(networks: PrefixSet, members: Iterable[Network]) -> dict[Network, list[Network]]:
    found: dict[Network, list[Network]] = {one: [] for one in networks}
    for member in networks.those_covered(members) if len(networks) <= _FEW else members:
        for network in networks.over(member):
            found[network].append(member)
    return found


def _reasons(network: Network, covered: Mapping[str, int]) -> tuple[str, ...]:
    """Why a ban must be confirmed, a sentence each."""
    why = []
    if network.length < (unasked := WIDEST_UNASKED[network.version]):
        why.append(f"it is wider than /{unasked}")
    if kept := covered["kept_reachable"]:
        why.append(f"it covers {counted(kept, 'network that is', 'networks that are')} kept reachable")
    if good := covered["good_logins"]:
        why.append(f"it covers {counted(good, 'address', 'addresses')} with recent successful logins")
    if servers := covered["delivered_to"]:
        why.append(f"it covers {counted(servers, 'known mail server')}")
    return tuple(why)
