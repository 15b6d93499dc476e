"""The commands for networks: ban, unban, allow, disallow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sidecar.app.bans.widening_task import WideningTask
from sidecar.app.bus import Bus
from sidecar.app.commands.confirmation import Confirmation
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.app.report.ban_preview import BanPreview, Preview
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, Event, Unban
from sidecar.network import Network
from sidecar.offline.arguments import Actor, Evidence, Reason, Time, kept_with_each
from sidecar.store.database import Allowed, Forgotten

_log = logging.getLogger("zmban.bans")
MANUAL = "manual"
NO_NETWORK, UNCONFIRMED = "not-a-network", "needs-confirmation"
# Bans between two turns of the event loop.
_SLICE = 100
# Who acts if no token of the page does.
COMMAND_LINE = "command line"


class NetworkCommands:
    """One answer per network. Invalid text is refused; the other networks are processed."""

    def __init__(
        self,
        options: RuntimeOptions,
        engine: DecisionEngine,
        bus: Bus,
        allow_list: AllowList,
        protection: Protection,
        enforcer: Enforcer,
        commit_queue: CommitQueue,
        preview: BanPreview,
        confirmation: Confirmation,
        widening: WideningTask,
    ) -> None:
        self._options, self._engine, self._register = options, engine, engine.register
        self._bus, self._allow_list, self._protection = bus, allow_list, protection
        self._enforcer, self._commit_queue = enforcer, commit_queue
        self._preview, self._confirmation, self._widening = preview, confirmation, widening

    async def preview(self, networks: list[str]) -> list[dict[str, Any]]:
        """What a ban of each network would mean, see `Preview.record`."""
        previews = await self._preview.preview(filter(None, map(_parsed, networks)))
        records = iter([one.record() for one in previews])
        nothing = {"refused": NO_NETWORK, "confirm": False, "why": [], "covers": {}}
        return [next(records) if _parsed(text) else {"network": text, **nothing} for text in networks]

    async def ban(
        self,
        networks: list[str],
        reason: Reason,
        until: Time | None = None,
        evidence: Evidence | None = None,
        yes: bool = False,
        force: bool = False,
        by: Actor = COMMAND_LINE,
    ) -> list[dict[str, Any]]:
        """Ban networks, with log lines as evidence. `yes` confirms bans that a preview would ask about;
        `force` also bans networks wider than the limit. `by` is kept with each ban, as in all of these
        commands."""
        now, lines = time.time(), tuple(evidence or ())
        kept_with_each(lines, networks)
        judged = await self._preview.judge(filter(None, map(_parsed, networks)))
        previews = {preview.network: preview for preview in judged}

        def one(network: Network) -> dict[str, Any]:
            preview = previews[network]
            covers = {"covers": preview.covers} if preview.covers else {}
            if refusal := self._refusal(preview, yes=yes, force=force):
                why = {"why": list(preview.why)} if covers else {}
                return {"result": "refused", "reason": refusal, **covers, **why}
            dry = self._options.dry_run
            ban = Ban(network, MANUAL, now, until, "manual", reason, 0, lines, dry=dry, by=by)
            found = self._register.ban(ban, now)
            events.extend(found)
            result = "standing" if not found else "banned" if isinstance(found[0], Ban) else "extended"
            return {"result": result, "reason": reason, **covers}

        answers: list[dict[str, Any]] = []
        for start in range(0, len(networks), _SLICE):
            events: list[Event] = []
            answers += _each(networks[start : start + _SLICE], one)
            self._bus.publish(events)
            await asyncio.sleep(0)
        await self._confirmation.written()
        return answers

    def _refusal(self, preview: Preview, *, yes: bool, force: bool) -> str | None:
        """Why a network is not banned. The guard is asked again: what is protected may have changed since the
        preview."""
        refusal = self._protection.refuse(preview.network)
        if refusal == "too-wide" and force:
            return None
        return UNCONFIRMED if refusal is None and preview.why and not (yes or force) else refusal

    async def unban(
        self, networks: list[str], jail: str | None = None, by: Actor = COMMAND_LINE
    ) -> list[dict[str, Any]]:
        """Lift bans, also those of whole prefixes around, and drop the failures of these networks in all
        windows."""

        def one(network: Network) -> dict[str, Any]:
            lifted = self._widening.let_in(network, jail, MANUAL) + self._lift(network, jail)
            self._commit_queue.add([Forgotten(meant, jail) for meant in self._engine.forget(network, jail)])
            self._bus.publish(unban._replace(by=by) for unban in lifted)
            # Of bans of wider prefixes, those that this one was a reason for may end too.
            self._bus.publish(self._engine.widening.look(time.time()))
            wider = list(dict.fromkeys(str(ban.network) for ban in self._register.table.over(network)))
            return {"result": "unbanned" if lifted else "not-banned", "still_covered_by": wider}

        answers = await _in_turns(networks, one)
        await self._confirmation.written()
        return answers

    def _lift(self, network: Network, jail: str | None) -> list[Unban]:
        """Lift the bans of this network; for an address, also the ban of the prefix that a jail banned for
        it."""
        now, register = time.time(), self._register
        lifted = register.lift(network, now, MANUAL, jail)
        if not lifted and network.single:
            for ban in register.table.over(network):
                if ban.origin == "log" and jail in (None, ban.jail):
                    lifted += register.lift(ban.network, now, MANUAL, ban.jail)
        return lifted

    async def allow(
        self,
        networks: list[str],
        reason: Reason,
        until: Time | None = None,
        force: bool = False,
        by: Actor = COMMAND_LINE,
    ) -> list[dict[str, Any]]:
        """Do not ban these networks until then, with `force` also those wider than the limit. Bans inside are
        not enforced during that time."""
        now, widest = time.time(), self._protection.guard.widest

        def one(network: Network) -> dict[str, Any]:
            inside = self._bans_inside(network)
            wide = network.length < widest[network.version]
            covered = {"covers": {"addresses": network.addresses, "bans": inside}} if wide else {}
            if wide and not force:
                return {"result": "refused", "reason": "too-wide", **covered}
            self._allow_list.allow(Allowed(network, now, until, reason, by))
            _log.info("Allow %s (%s, by %s)", network, reason, by)
            return {"result": "allowed", "suspended": inside, **covered}

        answers = await _in_turns(networks, one)
        await self._protect_anew()
        return answers

    async def disallow(self, networks: list[str], by: Actor = COMMAND_LINE) -> list[dict[str, Any]]:
        """End `allow` for these networks; the bans inside are enforced again."""

        def one(network: Network) -> dict[str, Any]:
            known = self._allow_list.end(network)
            if known:
                _log.info("Disallow %s (by %s)", network, by)
            wider = [str(allowed.network) for allowed in self._allow_list.around(network)]
            return {"result": "disallowed" if known else "not-allowed", "still_covered_by": wider}

        def enforced(network: Network) -> dict[str, Any]:
            inside = table.inside(network)
            return {"enforced": sum(table.reasons(one) for one in inside)}

        answers, table = await _in_turns(networks, one), self._register.table
        await self._protect_anew()
        ended = [answer for answer in answers if answer["result"] == "disallowed"]
        found = await _in_turns([answer["network"] for answer in ended], enforced)
        for answer, more in zip(ended, found, strict=True):
            answer.update(more)
        return answers

    def _bans_inside(self, network: Network) -> int:
        table = self._register.table
        return sum(len(table.all_of(one)) for one in table.inside(network))

    async def _protect_anew(self) -> None:
        self._protection.apply()
        await self._commit_queue.commit()
        await self._enforcer.reconcile()
        await self._confirmation.written()


def _parsed(text: str) -> Network | None:
    try:
        return Network.parse(text)
    except ValueError:
        return None


def _each(texts: Iterable[str], act: Callable[[Network], dict[str, Any]]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for text in texts:
        network = _parsed(text)
        if network is None:
            answers.append({"network": text, "result": "refused", "reason": NO_NETWORK})
        else:
            answers.append({"network": str(network), **act(network)})
    return answers


async def _in_turns(texts: Sequence[str], act: Callable[[Network], dict[str, Any]]) -> list[dict[str, Any]]:
    """As `_each`, some at a time: for a prefix all bans may be looked at."""
    answers: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        answers += _each([text], act)
        if "/" in text or number % _SLICE == 0:
            await asyncio.sleep(0)
    return answers
