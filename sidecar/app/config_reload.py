"""Reloads the configuration of the running service: checked first, then put in force as a whole or not at
all."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.bus import Bus
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.ingest.followed_log import prepared
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.protection import Protection
from sidecar.bans.history import History
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.decide.engine import DecisionEngine
from sidecar.fail2ban.jails import JailSpec
from sidecar.serve.metrics import Metrics
from sidecar.settings import Settings
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.config")
# Settings that take effect at a start only.
_AT_START = {
    "kernel": ("backend", "table", "namespace", "preference", "on_stop", "ingress"),
    "cluster": ("url", "host", "group"),
    "serve": ("listen", "metrics", "names", "web_config"),
}
RELOAD = "reload"
_STEP = 1000


@dataclass(frozen=True)
class ConfigDifference:
    """The difference between two configurations: the changed options of each jail, and whether the jail is
    new or removed; the changed settings, and those that take effect after a restart."""

    changed: Mapping[str, tuple[str, ...]]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """One record per changed jail."""
        found = [{"jail": name, "change": "added", "options": []} for name in self.added]
        found += [{"jail": name, "change": "removed", "options": []} for name in self.removed]
        found += [{"jail": n, "change": "changed", "options": list(o)} for n, o in self.changed.items()]
        return sorted(found, key=lambda one: str(one["jail"]))

    def __str__(self) -> str:
        jails = [f"{r['jail']} {r['change']} {' '.join(r['options'])}".strip() for r in self.records()]
        restart = [f"{key} takes effect after a restart" for key in self.restart]
        return (
            "; ".join([*jails, *(f"{key} changed" for key in self.settings), *restart]) or "nothing changed"
        )


def compare(before: Loaded, after: Loaded) -> ConfigDifference:
    """Compare two configurations."""
    old, new = before.jails.jails, after.jails.jails
    differs = {name: tuple(_options(old[name], new[name])) for name in old.keys() & new.keys()}
    settings = tuple(_settings(before.settings, after.settings))
    return ConfigDifference(
        {name: tuple(dict.fromkeys(options)) for name, options in sorted(differs.items()) if options},
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(key for key in settings if not _needs_restart(key)),
        tuple(filter(_needs_restart, settings)),
    )


def _options(before: JailSpec, after: JailSpec) -> Iterator[str]:
    for field in dataclasses.fields(JailSpec):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if field.name == "filter":
            one, other = one.meaning, other.meaning
        if one != other:
            yield "ignoreip" if field.name == "ignored" else field.name


def _settings(before: Settings, after: Settings) -> Iterator[str]:
    for section in Settings.model_fields:
        one, other = getattr(before, section), getattr(after, section)
        yield from (
            f"{section}.{key}" for key in type(one).model_fields if getattr(one, key) != getattr(other, key)
        )


def _needs_restart(key: str) -> bool:
    section, _, name = key.partition(".")
    return name in _AT_START.get(section, ())


class Reload:
    """Reloads the configuration from the same directories on request, one reload at a time."""

    def __init__(
        self,
        active: ActiveConfiguration,
        engine: DecisionEngine,
        protection: Protection,
        logs: LogManager,
        enforcer: Enforcer,
        commit_queue: CommitQueue,
        bus: Bus,
        metrics: Metrics,
    ) -> None:
        self._active, self._engine, self._protection = active, engine, protection
        self._logs, self._enforcer, self._commit_queue = logs, enforcer, commit_queue
        self._bus, self._metrics = bus, metrics
        self._asked = asyncio.Event()

    def soon(self) -> None:
        """Request a reload. Several requests at once cause one reload."""
        self._asked.set()

    async def run(self) -> None:
        """Perform the requested reloads until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except Exception:
                _log.exception("reload of the configuration failed")

    async def reload(self, *, lift: bool = False) -> dict[str, Any]:
        """Reload the configuration; with `lift` also lift the bans of removed jails. If it has faults,
        nothing changes, and the faults are logged and returned."""
        try:
            answer = await self._reload(lift=lift)
        except Exception:
            self._metrics.reloaded("failed")
            raise
        self._metrics.reloaded(answer["result"])
        return answer

    async def _reload(self, *, lift: bool) -> dict[str, Any]:
        active = self._active
        async with self._protection.lock:
            after = await run_detached(loading.load_or_empty, active.loaded.given)
            if after.errors:
                return self._refused(after.told)
            running = dataclasses.replace(active.loaded, settings=active.settings)
            difference = compare(running, after)
            await self._take_over(after)
        lifted = await self._lift(difference.removed) if lift else 0
        await self._enforcer.reconcile()
        _log.warning("configuration reloaded: %s", difference)
        warnings = [*after.told, *active.without_effect()]
        for fault in warnings:
            _log.warning("%s", fault)
        return {
            "result": "reloaded",
            "jails": difference.records(),
            "settings": list(difference.settings),
            "restart": list(difference.restart),
            "warnings": warnings,
            "lifted": lifted,
        }

    def _refused(self, faults: Iterable[str]) -> dict[str, Any]:
        for fault in faults:
            _log.error("%s", fault)
        _log.error("configuration not reloaded because of these faults; the previous one stays in force")
        return {"result": "refused", "faults": list(faults)}

    async def _take_over(self, after: Loaded) -> None:
        """Prepare everything that takes time, then switch without an await, so that no task sees a
        mixture."""
        active, engine = self._active, self._engine
        jails, lists, around = await self._protection.prepare(after.settings, after.jails.jails)
        same = {
            name
            for name, jail in jails.items()
            if name in active.jails and jail.logpath == active.jails[name].logpath
        }
        prefilters = await run_detached(prepared, jails, same, list(self._logs.logs.values()))
        active.take_over(after, _merged(active.settings, after.settings), jails)
        engine.renew(active.jails.values(), active.settings.good)
        if engine.grows and not engine.register.counts_earlier:
            engine.register.count_earlier(History(self._commit_queue.database.counts()))
        self._logs.renew(prefilters, same)
        self._protection.take_over(lists, around)
        configured(active, self._metrics)

    async def _lift(self, jails: Sequence[str]) -> int:
        """Lift all bans of these jails, in portions. Returns their number."""
        register, lifted = self._engine.register, 0
        networks = list(register.table.networks()) if jails else []
        for start in range(0, len(networks), _STEP):
            some, now = networks[start : start + _STEP], time.time()
            events = [e for n in some for jail in jails for e in register.lift(n, now, RELOAD, jail)]
            self._bus.publish(events)
            lifted += len(events)
            await self._commit_queue.room()
            await asyncio.sleep(0)
        return lifted


def configured(active: ActiveConfiguration, metrics: Metrics) -> None:
    """Update the metrics after the configuration was loaded."""
    found = active.loaded.jails
    metrics.add_jails(active.jails)
    metrics.configured(found.jails, found.degraded, found.stopped, active.loaded.errors)


def _merged(before: Settings, after: Settings) -> Settings:
    """The new settings, except for those that take effect after a restart."""
    kept = {
        section: getattr(after, section).model_copy(
            update={key: getattr(getattr(before, section), key) for key in keys}
        )
        for section, keys in _AT_START.items()
    }
    return after.model_copy(update=kept)
