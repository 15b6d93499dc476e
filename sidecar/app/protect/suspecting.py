"""Suspected proxies in a service that runs, and those that the logs show to a command."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import logging
import time
from typing import TYPE_CHECKING

from sidecar.app.protect import protection
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.decide.known_good import NoteReader, samples
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect import grammar
from sidecar.detect.grammar import login_lines
from sidecar.host import environment
from sidecar.model import Fault, SourceError
from sidecar.network import Network
from sidecar.sources.docker import engine
from sidecar.store.changes import Good

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

# Under this name the database keeps a suspect among those who logged in: no account begins with a blank.
RELAY = " proxy"
# So many lines of a log are read for a command: a proxy stands on most of them.
_MOST_LINES = 20_000


def watched(service: Service) -> SuspectedProxies:
    """The suspects of a service: each is told once in its log, spared by its jails and written down."""
    suspects = SuspectedProxies(service.trust, service.settings.trust)

    def found(network: Network, new: bool) -> None:
        service.ledger.add([Good(network, RELAY, time.time())])
        if new:
            _log.warning("%s", suspects.sentence(network))
            service.judge.spare(service.judge.guard, suspects.networks())
            protection.suspend_spared(service)
            service.later(service.reconcile(keep_unknown=not service.logs.caught_up.is_set()))

    suspects.on_found(found)
    service.metrics.suspected.set_function(lambda: float(len(suspects.networks())))
    return suspects


def faults(loaded: Loaded) -> list[Fault]:
    """For `check`: the suspected proxies, as warnings about the file in which they should be named; and jails
    that read a log in whose first word a client may write what it likes."""
    place = str(loaded.files.directories[-1] / "zmban.toml") if loaded.files.directories else "zmban.toml"
    found = [Fault(place, 1, one["told"], warning=True) for one in asyncio.run(seen(loaded)).told()]
    text = (
        "access_log names as client what X-Forwarded-For says: who reaches mailboxd past nginx can have "
        "anybody banned; read nginx.access.log instead"
    )
    for jail in loaded.jails.jails.values():
        if any(grammar.of_log(log.glob) == "access" for log in jail.logpath):
            found.append(Fault(*loaded.jails.place(jail.name, "logpath"), text, jail.name, warning=True))
    return found


async def seen(loaded: Loaded) -> SuspectedProxies:
    """Those that the logs of the jails show, as far as they can be read from here. `told()` of it are the
    proposals for `[trust] proxies`."""
    trust, settings = loading.trust(loaded.settings), loaded.settings.trust
    suspects = SuspectedProxies(trust, settings)
    if not (paths := _logs(loaded)):
        return suspects
    around = await environment.look(loaded.settings, loaded.jails.jails.values())
    suspects.know(settings, around, ())
    reading, now = NoteReader(loading.host_zone(), trust, _MOST_LINES), time.time()
    for path in paths:
        for data in samples(path):
            for note in reading.of(path, data, now, everything=True):
                suspects.login(note)
    if settings.ask_zimbra and len(suspects.networks()):
        suspects.know(settings, around, await asyncio.to_thread(_believed_by_zimbra))
    return suspects


def _logs(loaded: Loaded) -> list[str]:
    """The logs that are there and may show a proxy."""
    globs = {log.glob for jail in loaded.jails.jails.values() for log in jail.logpath}
    paths = {path for pattern in globs for path in glob.glob(pattern)}
    return sorted(path for path in paths if grammar.of_log(path) in login_lines.RELAYING)


def _believed_by_zimbra() -> list[Network]:
    """Takes seconds; asked only where it makes a difference."""
    found: list[Network] = []
    with contextlib.suppress(SourceError):
        for container in engine.zimbra_containers() if engine.SOCKET.exists() else ():
            found += engine.trusted_ips(container)
    return found
