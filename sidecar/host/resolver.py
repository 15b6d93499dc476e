"""Host names of logs and of ignore lists: looked up in threads of their own, so that no reading waits."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from sidecar.model import Instant, Seconds
from sidecar.network import Network

_log = logging.getLogger("zmban.names")
_KEPT: Seconds = 300.0
_MOST_KEPT = 1000
_MOST_WAITING = 64
_LONGEST: Seconds = 10.0
_MOST_ADDRESSES = 32


class BusyError(Exception):
    """More names are being looked up than may wait."""


def addresses(name: str) -> tuple[Network, ...]:
    """Every address that the system's resolver knows for a name; none where it knows none. Blocks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    texts = dict.fromkeys(str(place[4][0]).partition("%")[0] for place in found)
    return tuple(Network.parse(str(ipaddress.ip_address(text))) for text in texts)[:_MOST_ADDRESSES]


class Resolver:
    """Answers are kept for five minutes, also that there is none."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="names")
        self._kept: OrderedDict[str, tuple[Instant, tuple[Network, ...]]] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[tuple[Network, ...]]] = {}

    @property
    def waiting(self) -> int:
        """The number of names that are being looked up."""
        return len(self._waiting)

    def known(self, name: str) -> tuple[Network, ...] | None:
        """The answer, if it is there already."""
        at, found = self._kept.get(name, (0.0, None))
        return found if found is not None and time.monotonic() - at < _KEPT else None

    async def lookup(self, name: str) -> tuple[Network, ...]:
        """The addresses of a name, none if there are none or nobody answers in time. BusyError as it says."""
        known = self.known(name)
        if known is not None:
            return known
        if name not in self._waiting:
            if len(self._waiting) >= _MOST_WAITING:
                raise BusyError(f"{_MOST_WAITING} names are being looked up already")
            loop = asyncio.get_running_loop()
            task = self._waiting[name] = loop.run_in_executor(self._pool, addresses, name)
            task.add_done_callback(lambda _: self._waiting.pop(name, None))
        try:
            async with asyncio.timeout(_LONGEST):
                found = await asyncio.shield(self._waiting[name])
        except TimeoutError:
            _log.warning("no answer in %g s for the name %r", _LONGEST, name)
            return ()
        self._kept[name] = (time.monotonic(), found)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def close(self) -> None:
        """Answers that are still missing are waited for by nobody."""
        self._pool.shutdown(wait=False, cancel_futures=True)
