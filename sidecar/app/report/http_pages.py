"""Serves the HTTP pages on the addresses of [serve]. If an address is in use, it is retried; bans are not
affected."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sidecar.model import ConfigError
from sidecar.serve.http import Answers, Site

_log = logging.getLogger("zmban.serve")


class HttpPages:
    """`faults` returns the addresses that cannot be used now."""

    def __init__(self, answers: Answers, addresses: Iterable[str], names: Iterable[str]) -> None:
        self._wanted = list(addresses)
        self._site = Site(answers, [*names, *(address.rpartition(":")[0] for address in self._wanted)])
        self._failed: dict[str, str] = {}

    @property
    def faults(self) -> list[str]:
        """One sentence per address that is being retried."""
        return list(self._failed.values())

    async def look(self) -> None:
        """Listen on the addresses that are not open yet."""
        self._wanted = [address for address in self._wanted if not await self._opened(address)]

    def close(self) -> None:
        """Close all sockets."""
        self._site.close()

    async def _opened(self, address: str) -> bool:
        try:
            await self._site.open(address)
        except ConfigError as error:
            if address not in self._failed:
                _log.error("%s; no pages are served there; retrying every 10 s", error)
            self._failed[address] = str(error)
            return False
        if self._failed.pop(address, None):
            _log.warning("[serve] now listening on %s", address)
        return True
