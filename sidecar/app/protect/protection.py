"""The single owner of the protected networks. Passes changes on to the decision engine and the kernel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from sidecar.app.active import ActiveConfiguration
from sidecar.app.background import BackgroundTasks
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.memory import PROXY_ACCOUNT
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.ignore_lists import IgnoreLists
from sidecar.bans.guard import Guard
from sidecar.decide import admission
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.fail2ban.jails import JailSpec
from sidecar.host import environment
from sidecar.host.environment import HostEnvironment
from sidecar.host.resolver import Resolver
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.settings import Settings
from sidecar.store.changes import Login

_log = logging.getLogger("zmban")


class Protection:
    """`guard` is consulted before a ban. `lock` is held while protected networks are determined, and during a
    reload."""

    def __init__(
        self,
        active: ActiveConfiguration,
        engine: DecisionEngine,
        enforcer: Enforcer,
        allow_list: AllowList,
        suspects: SuspectedProxies,
        resolver: Resolver,
        commit_queue: CommitQueue,
        background: BackgroundTasks,
        metrics: Metrics,
    ) -> None:
        self._active, self._engine, self._enforcer = active, engine, enforcer
        self._allow_list, self._suspects, self._resolver = allow_list, suspects, resolver
        self._commit_queue, self._background = commit_queue, background
        self._ignore_lists = IgnoreLists(active.jails.values(), resolver)
        self._environment = HostEnvironment({})
        # The proxies that Zimbra trusts.
        self._believed: frozenset[Network] = frozenset()
        self.guard = Guard({})
        self.lock = asyncio.Lock()
        suspects.on_found(self._suspected)
        metrics.suspected.set_function(lambda: float(len(suspects.networks())))

    @property
    def environment(self) -> HostEnvironment:
        """The facts about the host."""
        return self._environment

    def refuse(self, network: Network, jail: str | None = None) -> str | None:
        """Why a ban that no log led to must not be made, as a label of refused_total. None if it may."""
        state = self._engine.jails.get(jail) if jail else None
        ignored = state.ignored if state else None
        return admission.refusal(network, self.guard, self._enforcer.exempted, ignored)

    async def begin(self) -> None:
        """Determine everything for the first time; the caller reconciles."""
        self._active.ignore(await self._ignore_lists.look())
        for name, jail in self._active.jails.items():
            self._engine.ignore(name, jail.ignoreip)
        self._environment = await environment.look(self._active.settings, self._active.jails.values())
        self.apply()

    def apply(self) -> None:
        """Pass the protected networks to engine and kernel, and suspend bans that would cut off one of them.
        The caller reconciles. Called after `allow` and `disallow`, a reload, and a change of the host's
        networks."""
        around, settings = self._environment, self._active.settings
        protected = {reason: [*networks] for reason, networks in around.protected.items()}
        protected.setdefault("ignored", []).extend(one.network for one in self._allow_list)
        protected.setdefault("trusted-proxy", []).extend(self._believed)
        self._suspects.know(settings.trust, [*around.near, *self._believed], around.inside, around.gateways)
        self.guard = Guard(protected, {4: settings.kernel.widest_ipv4, 6: settings.kernel.widest_ipv6})
        self._spare()
        self._enforcer.exempt(self.guard.throws() | set(around.reachable))
        table = self._engine.register.table
        before = table.resting.total()
        self.rest_spared()
        if (now := table.resting.total()) != before:
            _log.info("%d bans are suspended: their networks are allowed, protected or ignored", now)

    def _spare(self) -> None:
        """Tell the engine which networks it must not ban."""
        self._engine.spare(self.guard, self._suspects.networks(), self._environment.reachable)

    def rest_spared(self) -> None:
        """Suspend exactly the bans of networks that must not be banned now; the caller reconciles."""
        self._enforcer.mark_due(self._engine.register.rest(self._engine.spared()))

    async def look_around(self) -> None:
        """Update the facts about the host: a new network or gateway, the bridge of a container."""
        async with self.lock:
            looked_up = await self._ignore_lists.look()
            changed = self._active.ignore(looked_up)
            for name, jail in looked_up.items():
                self._engine.ignore(name, jail.ignoreip)
            around = await environment.look(self._active.settings, self._active.jails.values())
            changed |= around != self._environment
            if changed:
                self._environment = around
                self.apply()
        if changed:
            await self._enforcer.reconcile()

    async def prepare(
        self, settings: Settings, jails: Mapping[str, JailSpec]
    ) -> tuple[dict[str, JailSpec], IgnoreLists, HostEnvironment]:
        """Determine what `take_over` needs for a new configuration: its jails with resolved ignore lists, and
        the facts about the host. Changes nothing."""
        lists = IgnoreLists(jails.values(), self._resolver, self._ignore_lists)
        filled = {**jails, **await lists.look()}
        return filled, lists, await environment.look(settings, filled.values())

    def take_over(self, lists: IgnoreLists, around: HostEnvironment) -> None:
        """Apply what `prepare` returned for a new configuration; the caller reconciles."""
        self._ignore_lists, self._environment = lists, around
        self.apply()

    async def trust_also(self, proxies: Iterable[Network]) -> None:
        """Trust these proxies too. Trusted proxies are never banned."""
        if (believed := frozenset(proxies)) != self._believed:
            self._believed = believed
            self.apply()
            await self._enforcer.reconcile()

    def _suspected(self, network: Network, new: bool) -> None:
        """Save a suspected proxy, and exempt a new one from bans at once."""
        self._commit_queue.add([Login(network, PROXY_ACCOUNT, time.time())])
        if new:
            _log.warning("%s", self._suspects.sentence(network))
            self._spare()
            self.rest_spared()
            self._background.spawn(self._enforcer.reconcile())
