"""Resolves host names and files of `ignoreip`, at the start and periodically, never while a line is
processed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

from sidecar.fail2ban.ignore import ignoreip
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host.resolver import BusyError, Resolver
from sidecar.network import Network

_log = logging.getLogger("zmban.ignore")


class IgnoreLists:
    """The networks of the names and files of `ignoreip`. If a lookup fails, the last successful result stays
    in use, so that a failing resolver does not cause bans."""

    def __init__(
        self, jails: Iterable[JailSpec], resolver: Resolver, before: IgnoreLists | None = None
    ) -> None:
        self._jails = [jail for jail in jails if jail.ignored.names or jail.ignored.files]
        self._resolver = resolver
        self._good: dict[str, tuple[Network, ...]] = dict(before._good) if before else {}
        self._texts: dict[str, str] = dict(before._texts) if before else {}
        self._told: set[str] = set(before._told) if before else set()

    async def look(self) -> dict[str, JailSpec]:
        """The jails with names or files in `ignoreip`, with the resolved networks added."""
        filled = {jail.name: ignoreip.filled(jail.ignored, self._text) for jail in self._jails}
        names = {name for found in filled.values() for name in found.names}
        await asyncio.gather(*(self._name(name) for name in names))
        return {jail.name: replace(jail, ignoreip=self._all(filled[jail.name])) for jail in self._jails}

    def _all(self, found: ignoreip.Ignored) -> tuple[Network, ...]:
        named = (network for name in found.names for network in self._good.get(name, ()))
        return tuple(dict.fromkeys((*found.networks, *named)))

    def _text(self, path: str) -> str | None:
        text = ConfigFiles.listed(path)
        if text is None:
            self._tell(path, "cannot be read; its last content stays in force")
        else:
            self._texts[path] = text
        return self._texts.get(path)

    async def _name(self, name: str) -> None:
        try:
            found = await self._resolver.lookup(name)
        except BusyError:
            return
        if found:
            self._good[name] = found
        else:
            self._tell(name, "has no address; its last addresses stay in force")

    def _tell(self, what: str, message: str) -> None:
        """Log a problem once, not at every lookup."""
        if what not in self._told:
            self._told.add(what)
            _log.warning("ignoreip: %s %s", what, message)
