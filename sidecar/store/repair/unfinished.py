"""Marks a damaged file whose salvage is not finished, and records the bans that were lifted meanwhile."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.changes import Change, Forgotten
from sidecar.store.repair import damage

_log = logging.getLogger("zmban.store")


class Unfinished:
    """The bans lifted during a salvage. After `begin` they are kept in a file, for a restart."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._forgotten: set[tuple[Network, str | None]] = set()

    def begin(self, damaged: Path) -> None:
        """Create the marker beside this file, so that a restart continues with it."""
        self._file = damaged.with_name(damaged.name + damage.UNREAD)
        with contextlib.suppress(OSError, ValueError, TypeError):
            for line in self._file.read_text(encoding="utf-8").splitlines():
                network, jail = json.loads(line)
                self._forgotten.add((Network.parse(network), jail))
        self._write("")

    def see(self, changes: Iterable[Change]) -> None:
        """Record each lifted ban among the changes."""
        for change in changes:
            if isinstance(change, Forgotten):
                self._forgotten.add((change.network, change.jail))
                self._write(json.dumps([str(change.network), change.jail]) + "\n")

    def forgot(self, ban: Ban) -> bool:
        """Whether the ban was lifted meanwhile."""
        return not self._forgotten.isdisjoint({(ban.network, ban.jail), (ban.network, None)})

    def end(self) -> None:
        """Remove the marker: the salvage is finished."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            self._file = None

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            _log.warning(
                "cannot write %s: %s; the salvage would not continue after a restart",
                self._file,
                error.strerror,
            )


def of(path: Path) -> list[Path]:
    """The files set aside whose salvage is not finished, oldest first."""
    found = damage.aside(path)
    return [file for file in found if file.with_name(file.name + damage.UNREAD).exists()]
