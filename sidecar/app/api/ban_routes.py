"""Answers about bans: the list, one network, what is allowed by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from sidecar.app.api.accounts import accounts_in
from sidecar.app.api.answers import (
    Account,
    AllowedListAnswer,
    BanAnswer,
    BansAnswer,
    Kernel,
    Others,
    SubjectAnswer,
)
from sidecar.app.api.ban_views import BanViews
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.report.ban_preview import BanPreview
from sidecar.app.report.explain_address import AddressExplainer
from sidecar.app.report.suspension_reasons import SuspensionReasons
from sidecar.bans.folding import Folding
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, KernelError
from sidecar.network import Network
from sidecar.records import ban_record
from sidecar.serve.web.routing import WebRoute
from sidecar.threads import run_uncancellable

Query = Annotated[str, StringConstraints(max_length=500)]
Limit = Annotated[int, Field(ge=1, le=500)]
Offset = Annotated[int, Field(ge=0, le=1 << 40)]
# The prefix of the neighbours of a network, and how many of them are shown.
_AROUND = {4: 24, 6: 48}
_MOST_OTHERS = 50


class BanRoutes:
    """Reads bans from memory, their evidence from the database, and asks the kernel for those shown."""

    def __init__(
        self,
        engine: DecisionEngine,
        commit_queue: CommitQueue,
        enforcer: Enforcer,
        suspensions: SuspensionReasons,
        explainer: AddressExplainer,
        preview: BanPreview,
        allow_list: AllowList,
    ) -> None:
        self._engine, self._table = engine, engine.register.table
        self._commit_queue, self._enforcer, self._suspensions = commit_queue, enforcer, suspensions
        self._explainer, self._preview, self._allow_list = explainer, preview, allow_list
        self._views = BanViews(self._table, commit_queue)

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        return [
            WebRoute("GET", "/api/bans", self.bans, answer=BansAnswer),
            WebRoute("GET", "/api/bans/{network}", self.subject, answer=SubjectAnswer, rest=True),
            WebRoute("GET", "/api/allowed", self.allowed, answer=AllowedListAnswer),
        ]

    async def bans(
        self, q: Query = "", jail: Query = "", offset: Offset = 0, limit: Limit = 100, view: Query = ""
    ) -> BansAnswer:
        """A part of the active bans, newest first.

        `q` is an address, a network, the beginning of an address, an account, or words of jail and reason.
        """
        found = await self._views.view(view, q, jail)
        part = found.networks[offset : offset + limit]
        listed = [(row, ban) for row, n in enumerate(part, offset) for ban in self._table.all_of(n)]
        records = await self._records([ban for _, ban in listed], found.folding)
        for record, (row, _) in zip(records, listed, strict=True):
            record["row"] = row
        end = offset + len(part)
        rest = end if end < len(found.networks) else None
        return {
            "bans": records, "total": len(found.networks), "offset": offset, "next": rest, "view": found.name,
        }  # fmt: skip

    async def _records(self, bans: Sequence[Ban], folding: Folding) -> list[BanAnswer]:
        """The records of some bans, without evidence but with what the kernel does."""
        why, reachable = self._suspensions.ask(), await self._reachable(bans)
        found: list[BanAnswer] = []
        for ban in bans:
            suspended = why(ban)
            record: Any = ban_record(ban, enforced=ban.network not in reachable, suspended=suspended)
            del record["evidence"]
            found.append(record | folding.record(ban, stands=not (ban.dry or suspended)))
        return found

    async def _reachable(self, bans: Iterable[Ban]) -> set[Network]:
        """Those of the banned networks that the kernel has a route to."""
        asked = list(dict.fromkeys(ban.network for ban in bans if self._table.stands(ban.network)))
        try:
            return set(await self._enforcer.let_in(asked)) if asked else set()
        except KernelError:
            return set(asked)

    async def subject(self, network: Query) -> SubjectAnswer:
        """All that is known of one network: bans with evidence, neighbours, accounts, history."""
        subject = Network.parse(network)
        table, queue = self._table, self._commit_queue
        await queue.commit()
        own = table.all_of(subject)
        with_lines = {
            b.jail: b
            for b in await run_uncancellable(queue.database.bans, [(b.network, b.jail) for b in own])
        }
        networks = list(table.networks())
        folding, inside = await asyncio.gather(
            self._views.folding(networks), run_uncancellable(subject.those_inside, networks)
        )
        bans = await self._records(own, folding)
        for record in bans:
            record["evidence"] = (
                list(with_lines[record["jail"]].evidence) if record["jail"] in with_lines else []
            )
        known = await self._explainer.explain(str(subject))
        past = await run_uncancellable(queue.database.ended, subject)
        others = [n for n in inside if n != subject]
        around = [ban for ban in table.over(subject) if ban.network != subject]
        return {
            "network": str(subject),
            "bans": bans,
            "covering": await self._records(around, folding),
            "inside": await self._others(subject, others, folding),
            "neighbours": await self._neighbours(subject, networks, folding),
            "accounts": await run_uncancellable(self._accounts, list(with_lines.values())),
            "failures": known["failures"],
            "protected": known["protected"],
            "kernel": await self._kernel(subject),
            "covers": await self._preview.covers(subject, len(others)),
            "history": past,
        }  # fmt: skip

    async def _neighbours(self, subject: Network, networks: list[Network], folding: Folding) -> Others:
        wider_one = subject.supernet(min(subject.length, _AROUND[subject.version]))
        inside = await run_uncancellable(wider_one.those_inside, networks)
        return await self._others(wider_one, [n for n in inside if not subject.covers(n)], folding)

    async def _others(self, among: Network, networks: list[Network], folding: Folding) -> Others:
        bans = [ban for n in sorted(networks)[:_MOST_OTHERS] for ban in self._table.all_of(n)]
        return {"network": str(among), "total": len(networks), "bans": await self._records(bans, folding)}

    def _accounts(self, bans: Iterable[Ban]) -> list[Account]:
        found: Counter[str] = Counter()
        for ban in bans:
            state = self._engine.jails.get(ban.jail)
            found.update(accounts_in(ban.evidence, state.spec if state else None))
        return [{"account": account, "lines": lines} for account, lines in found.most_common(_MOST_OTHERS)]

    async def _kernel(self, network: Network) -> Kernel:
        try:
            why = (await self._enforcer.let_in([network])).get(network)
        except KernelError as error:
            return {"refused": False, "told": str(error)}
        if why is None:
            return {"refused": True, "told": f"the kernel refuses packets to {network}"}
        banned = any(self._table.stands(ban.network) for ban in self._table.over(network))
        return {"refused": False, "told": why if banned else f"the kernel lets packets to {network} through"}

    async def allowed(self) -> AllowedListAnswer:
        """The networks that are exempted from bans by hand."""
        return {
            "allowed": [
                {"network": str(a.network), "since": a.at, "until": a.until, "reason": a.reason, "by": a.by}
                for a in self._allow_list
            ]
        }
