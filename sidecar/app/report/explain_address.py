"""Explains why an address, network or account is or is not banned, for the help desk."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sidecar.app.evidence.peer_evidence import PeerEvidence
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect.count.window import Window
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.records import ban_record
from sidecar.threads import run_uncancellable

# Maximum number of bans shown for an account.
_MOST = 50
_ROWS = 2000
# Networks whose failures are searched in one turn of the event loop.
_AT_ONCE = 200
_SHOWN = ("network", "jail", "since", "until", "reason", "by", "dry", "evidence")


class AddressExplainer:
    """Answers `zmban explain`."""

    def __init__(
        self,
        engine: DecisionEngine,
        commit_queue: CommitQueue,
        protection: Protection,
        allow_list: AllowList,
        suspects: SuspectedProxies,
        peer_evidence: PeerEvidence,
    ) -> None:
        self._engine, self._commit_queue = engine, commit_queue
        self._protection, self._allow_list, self._suspects = protection, allow_list, suspects
        self._peer_evidence = peer_evidence

    async def explain(self, subject: str) -> dict[str, Any]:
        """The bans of a subject with their evidence, its current failures, and what protects it."""
        try:
            network = Network.parse(subject)
        except ValueError:
            return await self._of_account(subject)
        table, queue = self._engine.register.table, self._commit_queue
        keys = [(ban.network, ban.jail) for ban in table.over(network)]
        await queue.commit()
        bans = await run_uncancellable(lambda: list(queue.database.bans(keys))) if keys else []
        # While the database cannot be written, only memory has the newest bans.
        saved = {(ban.network, ban.jail) for ban in bans}
        bans += [ban for ban in table.over(network) if (ban.network, ban.jail) not in saved]
        bans = await asyncio.gather(*map(self._with_evidence, bans))
        protected, known = list(self._protecting(network)), list(self._known_good(network))
        failures = list(self._failures(network))
        enforced = any(not (ban.dry or table.rests(ban.network, ban.jail)) for ban in bans)
        verdict = (
            "banned"
            if enforced
            else "protected"
            if protected
            else "not banned (dry run)"
            if any(ban.dry for ban in bans)
            else "failing"
            if failures
            else "not banned"
        )
        return _answer(subject, verdict, bans, failures, protected + known)

    async def _with_evidence(self, ban: Ban) -> Ban:
        """The evidence of a ban of another host is there."""
        return ban if ban.evidence else ban._replace(evidence=await self._peer_evidence.of(ban))

    def _protecting(self, network: Network) -> Iterator[str]:
        for allowed in self._allow_list.around(network):
            yield f"allowed: {allowed.network}: {allowed.reason}"
        if refusal := self._protection.guard.refuse(network):
            yield refusal
        if (suspect := self._suspects.networks().covering(network)) is not None:
            yield f"untrusted-proxy: {self._suspects.sentence(suspect)}"
        for name, jail in self._engine.jails.items():
            if jail.ignored.covering(network) is not None:
                yield f"ignored by {name}"

    def _known_good(self, network: Network) -> Iterator[str]:
        """Why it gets more tries than other clients."""
        unit, now = network.unit() if network.single else network, time.time()
        if self._engine.known_good.clients.is_known(unit, now):
            yield "known-good: recent successful login from there"
        if self._engine.known_good.mail_servers.is_known(unit, now):
            yield "mail server: mail was delivered there, or its mail was clean"

    def _failures(self, network: Network) -> Iterator[dict[str, Any]]:
        for name, jail in self._engine.jails.items():
            unit = jail.unit_of(network) if network.single else network
            if count := jail.window.count(unit):
                yield _failing(unit, name, count, jail.spec.maxretry)

    async def _of_account(self, account: str) -> dict[str, Any]:
        """The bans and failures whose log lines name this account."""
        named = naming(account)
        bans: list[Ban] = []
        async for some in bans_naming(self._commit_queue, named):
            bans += some
            if len(bans) >= _MOST:
                break
        del bans[_MOST:]
        failures = [
            _failing(network, name, jail.window.count(network), jail.spec.maxretry)
            for name, jail in self._engine.jails.items()
            for network in await _naming(jail.window, named)
        ]
        verdict = "concerned by bans" if bans else "failing" if failures else "not concerned"
        return _answer(account, verdict, bans, failures, [])


def naming(account: str) -> re.Pattern[str]:
    """Finds lines that name this account."""
    return re.compile(rf"(?<![\w.+-]){re.escape(account)}(?![\w.+-])", re.IGNORECASE)


async def bans_naming(queue: CommitQueue, named: re.Pattern[str]) -> AsyncIterator[list[Ban]]:
    """The bans whose evidence names an account, page by page.

    A commit waits for one page of the database at most.
    """
    await queue.commit()
    database, rest = queue.database, 0
    while True:
        found, more = await run_uncancellable(database.page, rest, _ROWS)
        yield [ban for ban in found if any(map(named.search, ban.evidence))]
        if more is None:
            return
        rest = more


async def _naming(window: Window, named: re.Pattern[str]) -> list[Network]:
    """The networks with a failure whose line names an account, some at a time."""
    networks, found = list(window), list[Network]()
    for start in range(0, len(networks), _AT_ONCE):
        for network in networks[start : start + _AT_ONCE]:
            if any(map(named.search, window.lines(network))):
                found.append(network)
        await asyncio.sleep(0)
    return found


def _failing(network: Network, jail: str, failures: int, maxretry: int) -> dict[str, Any]:
    return {"network": str(network), "jail": jail, "failures": failures, "maxretry": maxretry}


def _answer(
    subject: str, verdict: str, bans: list[Ban], failures: list[dict[str, Any]], protected: list[str]
) -> dict[str, Any]:
    records = (ban_record(ban, enforced=True) for ban in bans)
    shown = [{key: record[key] for key in _SHOWN} for record in records]
    return {
        "subject": subject, "verdict": verdict, "bans": shown, "failures": failures, "protected": protected,
    }  # fmt: skip
