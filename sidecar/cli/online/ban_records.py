"""The records of all active bans, from the service, or from its database if no service runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sidecar.app.protect.allow_list import allowed_because
from sidecar.bans.folding import Folding
from sidecar.cli import UnavailableError
from sidecar.kernel.backend import Entry
from sidecar.model import KernelError
from sidecar.network import Network, PrefixSet
from sidecar.records import ban_record
from sidecar.serve import control

_ROWS = 2000


def records(
    config: Sequence[str],
    state: Path,
    socket: Path,
    *,
    jail: str | None = None,
    contains: str | None = None,
    lines: bool = True,
) -> Iterator[dict[str, Any]]:
    """The bans of one jail or of all, or those that cover an address; read in pages while they are consumed.
    Without `lines`, a service leaves out the evidence."""
    query: dict[str, Any] = {"jail": jail, "contains": contains, "lines": lines}
    first = control.ask(socket, "bans", **query)
    return _offline(config, state, jail, contains) if first is None else _online(socket, first, query)


def _online(socket: Path, page: dict[str, Any], query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bans of all pages; a page is requested when the one before it is consumed."""
    while True:
        yield from page["bans"]
        if page["next"] is None:
            return
        page = control.ask(socket, "bans", **query, after=page["next"], asked=page["asked"])
        if page is None:
            raise UnavailableError("the service stopped while the list was read: the list is incomplete")


def _offline(
    config: Sequence[str], state: Path, jail: str | None, contains: str | None
) -> Iterator[dict[str, Any]]:
    from sidecar.store.database import FILE, Database

    if not (state / FILE).exists():
        raise UnavailableError(f"no service answers, and there is no database in {state}")
    database = Database(state, read_only=True)
    inside, present = Network.parse(contains) if contains else None, _present(config)
    try:
        allowed = [a for a in database.allowed() if a.until is None or a.until > time.time()]
        spared = PrefixSet(one.network for one in allowed)

        def enforced() -> Iterator[Network]:
            found = (ban.network for ban in database.active_bans() if not ban.dry)
            return (network for network in found if spared.covering(network) is None)

        folding = Folding(enforced)
        rest: int | None = 0
        while rest is not None:
            found, rest = database.page(rest, _ROWS)
            for ban in found:
                if jail in (None, ban.jail) and (inside is None or ban.network.covers(inside)):
                    has_route = present.get(ban.network) is Entry.BAN
                    why = allowed_because(allowed, ban.network)
                    folded = folding.record(ban, stands=not (ban.dry or why))
                    yield ban_record(ban, enforced=has_route, suspended=why) | folded
    finally:
        database.close()


def _present(config: Sequence[str]) -> Mapping[Network, Entry]:
    """The entries in the kernel; empty if they cannot be read."""
    from sidecar.configuration import loading
    from sidecar.kernel import registry
    from sidecar.settings import read

    try:
        with closing(registry.make(read(loading.directories(config)).settings.kernel)) as backend:
            return backend.present()
    except KernelError:
        return {}
