"""What other programs change of our routes, rules and nftables table."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence

from sidecar.kernel.backend import Changes, Heard
from sidecar.kernel.netlink import nftables
from sidecar.kernel.netlink.listener import Listener
from sidecar.kernel.route.ingress import NAME
from sidecar.model import KernelError

_log = logging.getLogger("zmban.kernel")


class RouteChanges(Changes):
    """Announcements of rtnetlink, and those of nftables on a kernel that has it. Changes by the sockets with
    these `ports` are left out. Raises KernelError."""

    def __init__(self, ports: Iterable[int], table: int) -> None:
        with contextlib.ExitStack() as stack:
            self._routes = stack.enter_context(contextlib.closing(Listener(ports, table)))
            self._filters = None
            try:
                self._filters = stack.enter_context(contextlib.closing(nftables.listener()))
            except KernelError as error:
                _log.info("%s", error)
            self._opened = stack.pop_all()

    def filenos(self) -> Sequence[int]:
        """One for routes, one for nftables."""
        return [one.fileno() for one in (self._routes, self._filters) if one is not None]

    def read(self) -> Heard:
        """Everything announced so far."""
        heard = self._routes.read()
        heard.ingress = self._filters is not None and nftables.touches(self._filters, NAME)
        return heard

    def close(self) -> None:
        """Close both sockets."""
        self._opened.close()
