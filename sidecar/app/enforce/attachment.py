"""Makes packets consult the ban list, and drops incoming packets of banned senders."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from sidecar.kernel.backend import BanBackend
from sidecar.model import KernelError

_log = logging.getLogger("zmban.kernel")


class Attachment:
    """`allowed` returns whether writing is permitted. All methods block: call them in a thread.

    `gate` is held while something is written, so that a flush waits for it.
    """

    def __init__(self, backend: BanBackend, allowed: Callable[[], bool]) -> None:
        self._backend, self._allowed = backend, allowed
        self.gate = threading.Lock()
        # Why incoming packets are not dropped; empty if they are.
        self.unkept: tuple[str, ...] = ()
        # The families that were attached once. `_lost` has one entry per attachment that another program
        # removed.
        self._attached: set[int] = set()
        self._lost: list[int] = []

    def keep(self) -> None:
        """Attach the families that are not attached. KernelError."""
        with self.gate:
            if self._allowed():
                missing = self._backend.attach()
                # A family that was never attached cannot be lost.
                self._lost += [version for version in missing if version in self._attached]
                self._attached.update(self._backend.versions)

    def take_lost(self) -> int:
        """The number of attachments that other programs removed since the last call. They were restored."""
        lost = len(self._lost)
        del self._lost[:lost]
        return lost

    def keep_ingress(self) -> int:
        """Drop incoming packets of banned senders. Returns the number of rules that another program had
        removed."""
        with self.gate:
            if not self._allowed():
                return 0
            try:
                lost = self._backend.ensure_ingress()
                self.unkept = ()
            except KernelError as error:
                if not self.unkept:
                    _log.warning(
                        "%s: incoming packets of banned clients are not dropped, only the replies", error
                    )
                self.unkept, lost = (str(error),), 0
            return lost

    def dropped(self) -> int:
        """The number of incoming packets dropped since the last call."""
        with contextlib.suppress(KernelError):
            return self._backend.dropped()
        return 0

    def forget(self) -> None:
        """All entries of zmban were removed on purpose, so that nothing counts as lost."""
        self._attached.clear()
