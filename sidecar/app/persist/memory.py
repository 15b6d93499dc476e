"""The state in memory, restored from the database at the start."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sidecar.app.active import ActiveConfiguration
from sidecar.app.persist import recovery
from sidecar.app.persist.recovery import Store
from sidecar.bans.guard import Guard
from sidecar.bans.history import History
from sidecar.bans.register import BanRegister
from sidecar.bans.table import BanTable
from sidecar.configuration import loading
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.known_good import KnownGood
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect.count.evidence import Evidence
from sidecar.model import Seconds
from sidecar.store.changes import Login, Memo, switches
from sidecar.store.database import Allowed, DamagedError

_log = logging.getLogger("zmban")
# The account name that marks a suspected proxy in the database: real accounts do not begin with a space.
PROXY_ACCOUNT = " proxy"


@dataclass(frozen=True)
class Memory:
    """The components that hold decisions and observations. `store` is the database that they were read
    from."""

    store: Store
    register: BanRegister
    engine: DecisionEngine
    known_good: KnownGood
    suspects: SuspectedProxies
    allowed: tuple[Allowed, ...]
    memos: tuple[Memo, ...]
    zones: dict[str, Seconds | None]


def restored(state: Path, active: ActiveConfiguration) -> Memory:
    """Restore the state from the database. A database that proves damaged is replaced by what can be read of
    it. LaterError if it is of a later version."""
    store = recovery.opened(state)
    try:
        memory = _read(store, active, state)
    except DamagedError as error:
        store.database.close()
        memory = _read(recovery.replaced(state, error), active, state)
    if beyond := memory.store.database.count_beyond_calendar():
        text = "%d bans in the database end after the year 9999 and are permanent; zmban unban lifts one"
        _log.warning(text, beyond)
    return memory


def _read(store: Store, active: ActiveConfiguration, state: Path) -> Memory:
    database, now, good = store.database, time.time(), active.settings.good
    memos = tuple(database.memos())
    active.switch(switches(memos))
    register, known_good = BanRegister(BanTable(database.active_bans())), KnownGood()
    evidence = Evidence.on_disk(state)
    engine = DecisionEngine(active.jails.values(), Guard({}), register, known_good, evidence, good)
    if engine.grows:
        register.count_earlier(History(database.counts()))
    suspects = SuspectedProxies(loading.trust(active.settings), active.settings.trust)
    learn(database.logins(), known_good, suspects, now - good.days * 86400)
    for failure in database.failures():
        jail = engine.jails.get(failure.jail)
        if jail is not None and failure.at > now - jail.spec.findtime:
            engine.restore(failure)
    allowed = tuple(one for one in database.allowed() if one.until is None or one.until > now)
    return Memory(store, register, engine, known_good, suspects, allowed, memos, database.zones())


def learn(
    found: Iterable[Login], known_good: KnownGood, suspects: SuspectedProxies, since: Seconds
) -> list[Login]:
    """Restore known-good clients and suspected proxies. Returns those that were not known yet."""
    new: list[Login] = []
    for good in found:
        if good.at <= since:
            continue
        if good.account == PROXY_ACCOUNT:
            suspects.restore(good.network, good.at)
            new.append(good)
        elif known_good.learn(good.network, good.account, good.at):
            new.append(good)
    return new
