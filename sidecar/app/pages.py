"""The HTTP pages on the addresses of [serve]: one that is taken is tried again, and protection goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sidecar.model import ConfigError, Seconds
from sidecar.serve.http import Answers, Site

_log = logging.getLogger("zmban.serve")
_RETRY: Seconds = 10.0


class Pages:
    """`faults` says which addresses cannot be listened on now."""

    def __init__(self, answers: Answers, addresses: Iterable[str], names: Iterable[str]) -> None:
        self._wanted = list(addresses)
        self._site = Site(answers, [*names, *(address.rpartition(":")[0] for address in self._wanted)])
        self._failed: dict[str, str] = {}

    @property
    def faults(self) -> list[str]:
        """One sentence for each address that is tried again."""
        return list(self._failed.values())

    @contextmanager
    def open(self) -> Iterator[None]:
        """Answer while inside."""
        task = asyncio.get_running_loop().create_task(self._keep_open())
        try:
            yield
        finally:
            task.cancel()
            self._site.close()

    async def _keep_open(self) -> None:
        while self._wanted:
            self._wanted = [address for address in self._wanted if not await self._opened(address)]
            await asyncio.sleep(_RETRY if self._wanted else 0)

    async def _opened(self, address: str) -> bool:
        try:
            await self._site.open(address)
        except ConfigError as error:
            if address not in self._failed:
                _log.error("%s; nobody is answered there, and it is tried every 10 s", error)
            self._failed[address] = str(error)
            return False
        if self._failed.pop(address, None):
            _log.warning("[serve] %s is listened on now", address)
        return True
