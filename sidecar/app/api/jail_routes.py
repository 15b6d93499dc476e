"""Answers about jails and logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import StringConstraints

from sidecar.app.active import ActiveConfiguration
from sidecar.app.api.answers import (
    Failing,
    JailAnswer,
    JailsAnswer,
    LogAnswer,
    LogsAnswer,
    OneJailAnswer,
    RegexHits,
    Setting,
)
from sidecar.app.ingest.followed_log import log_record
from sidecar.app.ingest.log_manager import LogManager
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.jail_state import JailState
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.interpolation import Values
from sidecar.model import ConfigError
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.serve.web.routing import WebError, WebRoute
from sidecar.sources.kinds import label
from sidecar.threads import run_uncancellable

JailName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_MOST_MISSED = 50
# Options of Fail2Ban that configure actions, which zmban does not run.
_IGNORED = ("action_", "mta", "sender", "destemail", "banaction", "chain", "protocol", "fail2ban_agent")
# The logs of a jail that are listed by name.
_MOST_LOGS = 20


class JailRoutes:
    """Reads the jails in force, their counters and their logs."""

    def __init__(
        self, active: ActiveConfiguration, engine: DecisionEngine, logs: LogManager, metrics: Metrics
    ) -> None:
        self._active, self._engine, self._logs, self._metrics = active, engine, logs, metrics

    def routes(self) -> list[WebRoute]:
        """All routes of this class."""
        return [
            WebRoute("GET", "/api/jails", self.jails, answer=JailsAnswer),
            WebRoute("GET", "/api/jails/{jail}", self.jail, answer=OneJailAnswer),
            WebRoute("GET", "/api/logs", self.logs, answer=LogsAnswer),
        ]

    async def jails(self) -> JailsAnswer:
        """All enabled jails, with their counters since the start."""
        counts = self._counts()
        found = self._active.loaded.jails
        stopped = sorted(found.stopped)
        why = {f.jail: str(f) for f in reversed(found.faults) if f.stops}
        return {
            "jails": [await self._of(state, counts) for state in list(self._engine.jails.values())],
            "stopped": [
                {"jail": name, "why": why.get(name, "it cannot run; see zmban check")} for name in stopped
            ],
        }

    async def jail(self, jail: JailName) -> OneJailAnswer:
        """One jail: its settings with file and line, its regexes with hits, and near misses."""
        state = self._engine.jails.get(jail)
        if state is None:
            raise WebError(HTTPStatus.NOT_FOUND, "no such jail runs")
        # All of one configuration: a reload may come while near misses are searched.
        settings, regexes = list(self._settings(state.spec)), self._regexes(state.spec)
        missed = await self._missed(state)
        return {
            **await self._of(state, self._counts()),
            "missed": missed[:_MOST_MISSED],
            "settings": settings,
            "regexes": regexes,
        }  # fmt: skip

    def _counts(self) -> dict[str, dict[tuple[str, ...], float]]:
        metrics = self._metrics
        counters = {"matches": metrics.matches, "failures": metrics.failures, "bans": metrics.bans,
                    "refused": metrics.refused, "dry": metrics.dry_bans}  # fmt: skip
        return {name: metrics.by_label(counter) for name, counter in counters.items()}

    async def _of(self, state: JailState, counts: dict[str, dict[tuple[str, ...], float]]) -> JailAnswer:
        spec, missed = state.spec, await self._missed(state)
        name = spec.name
        table, found = self._engine.register.table, self._active.loaded.jails
        faults = [str(fault) for fault in found.faults if fault.jail == name]
        logs = [path for path, log in self._logs.logs.items() if name in log.scanner.jails]
        banned = (counts["bans"].get((name, "log"), 0), counts["dry"].get((name, "log"), 0))
        return {
            "jail": name,
            "state": "degraded" if name in found.degraded else "running",
            "why": faults,
            "banned": table.active[name],
            "dry_bans": table.dry[name],
            "failing": len(state.window),
            "near_misses": len(missed),
            "maxretry": spec.maxretry,
            "findtime": spec.findtime,
            "bantime": spec.bantime,
            "dry_run": spec.dry_run,
            "switched": self._active.switched.get(name),
            "logs": logs[:_MOST_LOGS],
            "matches": int(counts["matches"].get((name,), 0)),
            "failures": int(counts["failures"].get((name,), 0)),
            "bans": int(sum(banned)),
            "refused": {why: int(n) for (jail, why), n in counts["refused"].items() if jail == name},
        }

    async def _missed(self, state: JailState) -> list[Failing]:
        """The networks with one failure less than maxretry, by the number of their failures."""
        window, name, most = state.window, state.spec.name, state.spec.maxretry
        if most < 2:
            return []
        networks = list(window)

        def near() -> list[tuple[int, Network]]:
            found = ((window.count(network), network) for network in networks)
            return sorted((one for one in found if one[0] >= most - 1), key=lambda one: (-one[0], one[1]))

        return [
            {"network": str(network), "jail": name, "failures": count, "maxretry": most}
            for count, network in await run_uncancellable(near)
        ]

    def _settings(self, spec: JailSpec) -> Iterator[Setting]:
        """Every option of a jail as written, with its file and line; then what applies where nothing is
        written."""
        values = Values(self._active.loaded.jails.ini, spec.name)
        keys = [key for key in sorted(values.keys()) if not key.startswith(_IGNORED)]
        for key in keys:
            option = values.option(key)
            try:
                text = values.get(key) or ""
            except ConfigError as error:
                text = str(error)
            if option is not None:
                yield {"option": key, "value": text, "file": option.file, "line": option.line}
        for key in ("maxretry", "findtime", "bantime", "maxmatches"):
            if key not in keys:
                value = getattr(spec, key)
                text = "-1" if value is None else f"{value:g}"
                yield {"option": key, "value": text, "file": None, "line": None}

    def _regexes(self, spec: JailSpec) -> list[RegexHits]:
        hits: defaultdict[int, int] = defaultdict(int)
        for log in self._logs.logs.values():
            for number, matched in enumerate(log.scanner.matched(spec.name)):
                hits[number] += matched
        return [
            {"regex": one.text, "file": one.file, "line": one.line, "hits": hits[number]}
            for number, one in enumerate(spec.filter.failregex)
        ]

    async def logs(self) -> LogsAnswer:
        """All logs that jails name: how far they are read, their zone, and errors."""
        lags = {labels[0]: lag for labels, lag in self._metrics.by_label(self._metrics.lag).items()}
        return {"logs": [self._log(path, why, lags) for path, why in self._logs.sources().items()]}

    def _log(self, path: str, why: str | None, lags: dict[str, float]) -> LogAnswer:
        log = self._logs.logs.get(path)
        record: Any = log_record(path, log, why) | {
            "bytes": log.scanner.tally.bytes if log else 0,
            "lag": lags.get(label(path)),
            "jails": list(log.scanner.jails) if log else [],
        }
        found: LogAnswer = record
        return found
