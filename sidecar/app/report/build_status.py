"""Builds the answer of `zmban status`: enforcement, jails, sources, database, and proposed actions."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.verifier import Verifier
from sidecar.app.ingest.followed_log import log_record
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.persist.store_health import StoreHealth
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.report.proposals import Proposals
from sidecar.app.report.refusal_log import RefusalLog
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect.prefilter import multipattern
from sidecar.model import Instant, Refused
from sidecar.records import event_record
from sidecar.threads import run_uncancellable

# Maximum length of lists that can grow without limit.
_MOST = 20
_LATELY = 1000


@dataclass(frozen=True)
class StatusBuilder:
    """Collects the state of all components; changes nothing. `not_ready` returns why the service is not
    ready, `faults` problems besides the configuration, `doubts` those to show first."""

    options: RuntimeOptions
    active: ActiveConfiguration
    engine: DecisionEngine
    enforcer: Enforcer
    verifier: Verifier
    logs: LogManager
    allow_list: AllowList
    suspects: SuspectedProxies
    refusals: RefusalLog
    store: StoreHealth
    proposals: Proposals
    started: Instant
    not_ready: Callable[[], list[str]]
    faults: Callable[[], Iterable[str]]
    doubts: Callable[[], Iterable[str]]
    cluster: Callable[[], dict[str, Any] | None]

    async def build(self, *, verify: bool = True) -> dict[str, Any]:
        """The current state of jails, sources and kernel; without `verify`, as of the last check."""
        status = await self.verifier.verify() if verify else self.verifier.status
        table, reasons = self.engine.register.table, self.not_ready()
        refused = await run_uncancellable(table.refused_among, list(table.networks()))
        return {
            "since": self.started,
            "dry_run": self.options.dry_run,
            "enforced": status.enforced,
            "not_enforced_because": list(status.missing),
            "doubts": [*status.doubts, *self.doubts()],
            "ingress": [asdict(way) for way in self.enforcer.ways()],
            "ready": not reasons,
            "not_ready_because": reasons,
            "networks_banned": len(refused),
            "bans_suspended": table.resting.total(),
            "dry_bans": table.dry.total(),
            "cluster": self.cluster(),
            "widened": len(self.engine.widening.widened),
            "proposals": await self.proposals.found(refused, fresh=verify),
            **self._findings(),
            "allowed": [
                {"network": str(a.network), "until": a.until, "reason": a.reason} for a in self.allow_list
            ],
            "prefilter": multipattern.refused() or "good",
            "slow_regexes": self._slow_regexes(),
            "store": self.store.sentence(),
            "salvage": self.store.progress(),
            "jails": [self._jail(name) for name in self.active.jails],
            "sources": [
                log_record(name, self.logs.logs.get(name), why) for name, why in self.logs.sources().items()
            ],
            "faults": [*self.active.loaded.told, *self.active.without_effect(), *self.faults()],
            "jails_degraded": sorted(self.active.loaded.jails.degraded),
            "jails_stopped": sorted(self.active.loaded.jails.stopped),
            "last_bans": self._last_bans(),
        }

    def _findings(self) -> dict[str, Any]:
        """Findings in log lines that lead to no ban."""
        known = self.engine.known_good
        return {
            "spread": self._sprays(),
            "known_good": len(known.clients),
            "mail_servers": len(known.mail_servers),
            "framed": [_refused(one) for one in self.refusals.framed],
            "reported": [_refused(one) for one in self.refusals.reported],
            "spared": [_refused(one) for one in self.refusals.spared],
            "masked": self.refusals.masked(),
            "suspected_proxies": self.suspects.told(),
        }

    def _sprays(self) -> list[dict[str, Any]]:
        """Password sprays: accounts tried from many addresses, networks that tried many accounts."""
        now, spray = time.time(), self.engine.spray
        found = sorted([*spray.accounts(now), *spray.networks(now)], key=lambda one: -len(one.addresses))
        return [
            {
                "subject": one.subject,
                "addresses": [str(n) for n in one.addresses[:_MOST]],
                "from": len(one.addresses),
                "accounts": one.accounts,
            }
            for one in found[:_MOST]
        ]

    def _slow_regexes(self) -> list[dict[str, Any]]:
        return [
            {"jail": slow.jail, "source": path, "regex": slow.regex, "left_out_until": slow.until}
            for path, log in self.logs.logs.items()
            for slow in log.scanner.quarantined(time.time())
        ]

    def _jail(self, name: str) -> dict[str, Any]:
        jail, table = self.engine.jails[name], self.engine.register.table
        return {
            "jail": name,
            "banned": table.active[name],
            "dry_bans": table.dry[name],
            "failing": len(jail.window),
            "maxretry": jail.spec.maxretry,
            "dry_run": jail.spec.dry_run,
            "switched": self.active.switched.get(name),
            "logs": [path for path, log in self.logs.logs.items() if name in log.scanner.jails],
        }

    def _last_bans(self, most: int = 12) -> list[dict[str, Any]]:
        # Only the most recent bans are considered: sorting a million would block the service for seconds.
        table = self.engine.register.table
        lately = (ban for network in table.newest(_LATELY) for ban in table.all_of(network))
        newest = heapq.nlargest(most, lately, key=lambda ban: ban.at)
        return [{"network": str(b.network), "jail": b.jail, "at": b.at, "reason": b.reason} for b in newest]


def _refused(one: Refused) -> dict[str, Any]:
    return event_record(one) | {"named": one.host or None, "line": one.line}
