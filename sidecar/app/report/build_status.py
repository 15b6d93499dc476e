"""What `zmban status` tells: enforcement, jails, sources, store, and what a person might do next."""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import asdict
from typing import Any

from sidecar.app.report.suggestions import covers, proposals
from sidecar.app.service import Service
from sidecar.detect.prefilter import multipattern
from sidecar.model import Refused
from sidecar.network import Network

# Of what goes on without end, so much is shown.
_MOST = 20
_LATELY = 1000


async def of(service: Service) -> dict[str, Any]:
    """State of jails, sources and kernel."""
    await service.verifier.verify()
    missing, refused = service.enforcer.missing, list(service.table.refused())
    return {
        "since": service.started,
        "dry_run": service.place.dry_run,
        "enforced": not missing,
        "not_enforced_because": list(missing),
        "doubts": list(service.enforcer.doubts),
        "ingress": [asdict(way) for way in service.enforcer.ways()],
        "ready": not service.ready(),
        "not_ready_because": service.ready(),
        "networks_banned": len(refused),
        "bans_suspended": service.table.resting.total(),
        "dry_bans": service.table.dry.total(),
        "proposals": await _proposals(service, refused),
        "spread": _spread(service),
        "known_good": len(service.judge.known),
        "mail_servers": len(service.judge.peers),
        "framed": [_refused(one) for one in service.oddities.framed],
        "reported": [_refused(one) for one in service.oddities.reported],
        "spared": [_refused(one) for one in service.oddities.spared],
        "masked": service.oddities.masked(),
        "suspected_proxies": service.suspects.told(),
        "allowed": [
            {"network": str(a.network), "until": a.until, "reason": a.reason}
            for a in service.allowed.values()
        ],
        "prefilter": multipattern.refused() or "good",
        "slow_regexes": [
            {"jail": slow.jail, "source": path, "regex": slow.regex, "left_out_until": slow.until}
            for path, log in service.logs.logs.items()
            for slow in log.scanner.quarantined(time.time())
        ],
        "store": service.salvaging.state(),
        "salvage": [salvage.progress() for salvage in service.ledger.salvages],
        "jails": [_jail(service, name) for name in service.jails],
        "sources": [_source(service, name, why) for name, why in service.logs.sources().items()],
        "faults": [*service.loaded.told, *(service.pages.faults if service.pages else ())],
        "jails_degraded": sorted(service.loaded.jails.degraded),
        "jails_stopped": sorted(service.loaded.jails.stopped),
        "last_bans": _last_bans(service),
    }


def _spread(service: Service) -> list[dict[str, Any]]:
    """One account tried from many addresses, many accounts from one network."""
    now, spread = time.time(), service.judge.spread
    found = sorted([*spread.accounts(now), *spread.networks(now)], key=lambda one: -len(one.addresses))
    return [
        {
            "subject": one.subject,
            "addresses": [str(n) for n in one.addresses[:_MOST]],
            "from": len(one.addresses),
        }
        | {"accounts": one.accounts}
        for one in found[:_MOST]
    ]


def _refused(one: Refused) -> dict[str, Any]:
    return {"jail": one.jail, "named": one.host or None, "client": one.client, "at": one.at, "line": one.line}


def _jail(service: Service, name: str) -> dict[str, Any]:
    court = service.judge.courts[name]
    return {
        "jail": name,
        "banned": service.table.active[name],
        "dry_bans": service.table.dry[name],
        "failing": len(court.window),
        "maxretry": court.spec.maxretry,
        "dry_run": court.spec.dry_run,
        "logs": [p for p, log in service.logs.logs.items() if name in log.scanner.jails],
    }


def _source(service: Service, name: str, why: str | None) -> dict[str, Any]:
    """A log that is followed, or one that a jail names and that is not; `error` says why."""
    log = service.logs.logs.get(name)
    return {
        "source": name,
        "up": why is None,
        "followed": log is not None,
        "lines": log.scanner.tally.lines if log else 0,
        "candidates": log.scanner.tally.candidates if log else 0,
        "last_line": log and log.last_line,
        "zone": log and log.clock and str(log.clock.zone),
        "zone_learnt": bool(log and log.clock and log.clock.learnt is not None),
        "caught_up": bool(log and log.caught_up),
        "error": why,
    }


def _last_bans(service: Service, most: int = 12) -> list[dict[str, Any]]:
    # Among those that were banned last: to sort a million would keep everybody waiting for seconds.
    lately = (ban for network in service.table.newest(_LATELY) for ban in service.table.all_of(network))
    newest = heapq.nlargest(most, lately, key=lambda ban: ban.at)
    return [{"network": str(b.network), "jail": b.jail, "at": b.at, "reason": b.reason} for b in newest]


async def _proposals(service: Service, refused: list[Network]) -> list[dict[str, Any]]:
    """Networks that may be worth a ban by hand, each with what that would mean. `refused` is a copy, for the
    table changes while the thread looks through it."""

    def found() -> list[tuple[Network, int, int]]:
        return [(one, many, len(one.those_inside(refused))) for one, many in proposals(refused)]

    return [
        {"network": str(network), "banned": many, **covers(service, network, bans)}
        for network, many, bans in await asyncio.to_thread(found)
    ]
