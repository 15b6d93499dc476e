"""Serves the HTTP pages on the addresses of [serve]. If an address is in use, it is retried; bans are not
affected."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sidecar.model import ConfigError
from sidecar.serve.web.site import Site

_log = logging.getLogger("zmban.serve")


class HttpPages:
    """`sites` are served, each on its address. `faults` are the addresses that cannot be used now."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self._sites, self._wanted = sites, list(sites)
        self._failed: dict[str, str] = {}

    @property
    def faults(self) -> list[str]:
        """One sentence per address that is being retried."""
        return [*self._failed.values(), *(site.fault for site in self._sites.values() if site.fault)]

    async def look(self) -> None:
        """Listen on the addresses that are not open yet."""
        self._wanted = [address for address in self._wanted if not await self._opened(address)]

    def close(self) -> None:
        """Close all sockets."""
        for site in self._sites.values():
            site.close()

    async def _opened(self, address: str) -> bool:
        try:
            await self._sites[address].open(address)
        except ConfigError as error:
            if address not in self._failed:
                _log.error("%s; no pages are served there; retrying every 10 s", error)
            self._failed[address] = str(error)
            return False
        if self._failed.pop(address, None):
            _log.warning("[serve] now listening on %s", address)
        return True
