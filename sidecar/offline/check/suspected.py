"""Suspected proxies that the logs show to a command."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect import grammar
from sidecar.detect.login_notes import NoteReader
from sidecar.host import environment
from sidecar.host.environment import HostEnvironment
from sidecar.model import Fault, SourceError
from sidecar.network import Network
from sidecar.settings import TrustSettings
from sidecar.sources.docker import docker_engine
from sidecar.sources.kinds import files_of, log_name
from sidecar.sources.sampling import samples

# So many lines of a log are read for a command: a proxy stands on most of them.
_MOST_LINES = 20_000


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
        if any(grammar.of_log(jail.log or log_name(log.glob)) == "access" for log in jail.logpath):
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
    _know(suspects, settings, around)
    reader, now = NoteReader(loading.host_zone(), trust, _MOST_LINES), time.time()
    for path, name in paths:
        for data in samples(path):
            for note in reader.of(path, data, now, name, everything=True):
                suspects.login(note)
    if settings.ask_zimbra and len(suspects.networks()):
        _know(suspects, settings, around, await asyncio.to_thread(_believed_by_zimbra))
    return suspects


def _know(
    suspects: SuspectedProxies,
    named: TrustSettings,
    around: HostEnvironment,
    believed: Iterable[Network] = (),
) -> None:
    suspects.know(named, [*around.near, *believed], around.inside, around.gateways)


def _logs(loaded: Loaded) -> list[tuple[str, str]]:
    """The logs that are there and may show a proxy, each with the name by which its grammar is chosen."""
    found = {
        (path, jail.log or log_name(path))
        for jail in loaded.jails.jails.values()
        for log in jail.logpath
        for path in files_of(log.glob)
    }
    return sorted((path, name) for path, name in found if grammar.may_relay(name))


def _believed_by_zimbra() -> list[Network]:
    """Takes seconds; asked only where it makes a difference."""
    found: list[Network] = []
    with contextlib.suppress(SourceError):
        for container in docker_engine.zimbra_containers() if docker_engine.SOCKET.exists() else ():
            found += docker_engine.trusted_ips(container)
    return found
