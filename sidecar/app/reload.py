"""Another configuration while the service runs: checked beside the running one, then taken over whole or not
at all."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.app.background import run_detached
from sidecar.app.ingest.followed_log import prepared
from sidecar.app.options import run_dry
from sidecar.app.protect import protection
from sidecar.app.protect.ignore_lists import IgnoreLists
from sidecar.app.protect.ssh_sessions import Sessions
from sidecar.bans.history import History
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.fail2ban.jails import JailSpec
from sidecar.host import environment
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.config")
# What was opened, or told to the kernel, when the service started.
_AT_START = {
    "kernel": ("table", "namespace", "preference", "on_stop", "ingress"),
    "serve": ("listen", "metrics", "names"),
}
RELOAD = "reload"
_STEP = 1000


@dataclass(frozen=True)
class ConfigDifference:
    """What another configuration changes: of each jail the options that are others now, or that it is new or
    gone; the settings; and those of them that count only after a restart."""

    changed: Mapping[str, tuple[str, ...]]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """One for each jail that is not as it was."""
        found = [{"jail": name, "change": "added", "options": []} for name in self.added]
        found += [{"jail": name, "change": "removed", "options": []} for name in self.removed]
        found += [{"jail": n, "change": "changed", "options": list(o)} for n, o in self.changed.items()]
        return sorted(found, key=lambda one: str(one["jail"]))

    def __str__(self) -> str:
        jails = [f"{r['jail']} {r['change']} {' '.join(r['options'])}".strip() for r in self.records()]
        restart = [f"{key} counts after a restart" for key in self.restart]
        return (
            "; ".join([*jails, *(f"{key} changed" for key in self.settings), *restart]) or "nothing changed"
        )


def compare(before: Loaded, after: Loaded) -> ConfigDifference:
    """What changes from one configuration to another."""
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
    """Reads the configuration again from the places that it came from, as often as it is asked to, but not
    twice at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asked = asyncio.Event()

    def soon(self) -> None:
        """Read it in a moment, once for however many ask."""
        self._asked.set()

    async def run(self) -> None:
        """Do what is asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self.reload()
            except Exception:
                _log.exception("the configuration could not be read anew")

    async def reload(self, *, lift: bool = False) -> dict[str, Any]:
        """Take over what is written now; with `lift` also lift the bans of jails that are gone. Where it has
        faults nothing changes, and they are told."""
        service = self._service
        async with service.arranging:
            after = await run_detached(loading.safely, service.loaded.given)
            if after.errors:
                return self._refused(after.told)
            running = dataclasses.replace(service.loaded, settings=service.settings)
            difference = compare(running, after)
            await self._take_over(after, difference)
        lifted = await self._lift(difference.removed) if lift else 0
        await service.reconcile()
        _log.warning("configuration read anew: %s", difference)
        for told in after.told:
            _log.warning("%s", told)
        return {
            "result": "reloaded",
            "jails": difference.records(),
            "settings": list(difference.settings),
            "restart": list(difference.restart),
            "warnings": after.told,
            "lifted": lifted,
        }

    def _refused(self, faults: Iterable[str]) -> dict[str, Any]:
        self._service.metrics.reload_good.set(0)
        for told in faults:
            _log.error("%s", told)
        _log.error("the configuration was not read anew: what was read before goes on")
        return {"result": "refused", "faults": list(faults)}

    async def _take_over(self, after: Loaded, difference: ConfigDifference) -> None:
        """All that takes time first, then everything in one go: nobody sees a half of it."""
        service = self._service
        jails = run_dry(after.jails.jails, dry=service.place.dry_run)
        ignoring = IgnoreLists(jails.values(), service.resolver, service.ignoring)
        jails |= await ignoring.look()
        around = await environment.look(after.settings, jails.values())
        same = {
            name
            for name, jail in jails.items()
            if name in service.jails and jail.logpath == service.jails[name].logpath
        }
        prefilters = await run_detached(prepared, jails, same, list(service.logs.logs.values()))
        grew = service.judge.grows
        service.loaded, service.settings = after, _merged(service.settings, after.settings)
        service.jails.clear()
        service.jails.update(jails)
        service.ignoring, service.surroundings = ignoring, around
        if "trust.ssh_ports" in difference.settings:
            service.sessions = Sessions(service.settings.trust.ssh_ports)
        service.judge.renew(jails.values(), service.settings.good)
        if service.judge.grows and not grew:
            service.judge.history = History(service.ledger.database.counts())
        service.logs.renew(prefilters, same)
        protection.protect(service)
        service.configured()

    async def _lift(self, jails: Sequence[str]) -> int:
        """Lift every ban of these jails, some at a time; how many those were."""
        service, lifted = self._service, 0
        networks = list(service.table.networks()) if jails else []
        for start in range(0, len(networks), _STEP):
            some, now = networks[start : start + _STEP], time.time()
            events = [e for n in some for jail in jails for e in service.table.lift(n, now, RELOAD, jail)]
            service.publish(events)
            lifted += len(events)
            await service.ledger.room()
            await asyncio.sleep(0)
        return lifted


def _merged(before: Settings, after: Settings) -> Settings:
    """The new settings, but for those that count from a start to the next one."""
    kept = {
        section: getattr(after, section).model_copy(
            update={key: getattr(getattr(before, section), key) for key in keys}
        )
        for section, keys in _AT_START.items()
    }
    return after.model_copy(update=kept)
