"""Why an address, a network or an account is or is not banned, for whoever answers the telephone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from sidecar.app.background import run_uncancellable
from sidecar.app.service import Service
from sidecar.model import Ban
from sidecar.network import Network

# Of an account that many attackers tried, so many bans are shown.
_MOST = 50
_ROWS = 2000


async def explain(service: Service, subject: str) -> dict[str, Any]:
    """The bans that concern it with their evidence, the failures that stand, and what protects it."""
    try:
        network = Network.parse(subject)
    except ValueError:
        return await _of_account(service, subject)
    keys = [(ban.network, ban.jail) for ban in service.table.over(network)]
    await service.ledger.commit()
    bans = await run_uncancellable(lambda: list(service.ledger.database.bans(keys))) if keys else []
    protected, known = list(_protecting(service, network)), list(_speaking(service, network))
    failures = list(_failures(service, network))
    enforced = [ban for ban in bans if not service.table.rests(ban.network, ban.jail)]
    verdict = "banned" if enforced else "protected" if protected else "failing" if failures else "not banned"
    return _record(subject, verdict, bans, failures, protected + known)


def _protecting(service: Service, network: Network) -> Iterator[str]:
    for allowed in service.allowed.values():
        if allowed.network.covers(network):
            yield f"allowed: {allowed.network}: {allowed.reason}"
    if refusal := service.judge.guard.refuse(network):
        yield refusal
    if (suspect := service.judge.suspects.covering(network)) is not None:
        yield f"untrusted-proxy: {service.suspects.sentence(suspect)}"
    for name, court in service.judge.courts.items():
        if court.ignored.covering(network) is not None:
            yield f"ignored by {name}"


def _speaking(service: Service, network: Network) -> Iterator[str]:
    """What gives it more of a chance."""
    unit, now = network.unit() if network.single else network, time.time()
    if service.judge.known.good(unit, now):
        yield "known-good: somebody logged in from there lately"
    if service.judge.peers.good(unit, now):
        yield "we deliver mail there, or its mail was clean"


def _failures(service: Service, network: Network) -> Iterator[dict[str, Any]]:
    for name, court in service.judge.courts.items():
        unit = network.unit(court.spec.ipv4_prefix, court.spec.ipv6_prefix) if network.single else network
        if count := court.window.count(unit):
            yield {"network": str(unit), "jail": name, "failures": count, "maxretry": court.spec.maxretry}


async def _of_account(service: Service, account: str) -> dict[str, Any]:
    """Who is banned or failing because of this account: the lines of their failures name it."""
    named = re.compile(rf"(?<![\w.+-]){re.escape(account)}(?![\w.+-])", re.IGNORECASE)
    await service.ledger.commit()

    database = service.ledger.database
    bans: list[Ban] = []
    rest: int | None = 0
    # Page by page: a commit waits for one of them at most.
    while rest is not None and len(bans) < _MOST:
        found, rest = await run_uncancellable(database.page, rest, _ROWS)
        bans += [ban for ban in found if any(map(named.search, ban.evidence))]
    del bans[_MOST:]
    failures = [
        {"network": str(network), "jail": name, "failures": court.window.count(network)}
        | {"maxretry": court.spec.maxretry}
        for name, court in service.judge.courts.items()
        for network in dict.fromkeys(n for n, _, line in court.window.failures() if named.search(line))
    ]
    verdict = "concerned by bans" if bans else "failing" if failures else "not concerned"
    return _record(account, verdict, bans, failures, [])


def _record(
    subject: str, verdict: str, bans: list[Ban], failures: list[dict[str, Any]], protected: list[str]
) -> dict[str, Any]:
    told = [
        {
            "network": str(ban.network),
            "jail": ban.jail,
            "since": ban.at,
            "until": ban.until,
            "reason": ban.reason,
            "evidence": list(ban.evidence),
        }
        for ban in bans
    ]
    return {
        "subject": subject, "verdict": verdict, "bans": told, "failures": failures, "protected": protected,
    }  # fmt: skip
