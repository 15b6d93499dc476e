"""Says beside a damaged file that not all of it is in the new one yet, and what of it must not come back."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store import damage
from sidecar.store.changes import Change, Forgotten

_log = logging.getLogger("zmban.store")


class Unfinished:
    """What a person lifted while a file is still read. With `begin` it outlives the process, in a file."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._forgotten: set[tuple[Network, str | None]] = set()

    def begin(self, damaged: Path) -> None:
        """From now on a restart goes on with this file."""
        self._file = damaged.with_name(damaged.name + damage.UNREAD)
        with contextlib.suppress(OSError, ValueError, TypeError):
            for line in self._file.read_text(encoding="utf-8").splitlines():
                network, jail = json.loads(line)
                self._forgotten.add((Network.parse(network), jail))
        self._write("")

    def see(self, changes: Iterable[Change]) -> None:
        """Among what is written down: a person's word that failures and bans are forgotten."""
        for change in changes:
            if isinstance(change, Forgotten):
                self._forgotten.add((change.network, change.jail))
                self._write(json.dumps([str(change.network), change.jail]) + "\n")

    def forgot(self, ban: Ban) -> bool:
        """Whether a person lifted it meanwhile."""
        return not self._forgotten.isdisjoint({(ban.network, ban.jail), (ban.network, None)})

    def end(self) -> None:
        """All of it was read."""
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
            _log.warning("%s: %s; a restart would not go on with it", self._file, error.strerror)


def of(path: Path) -> list[Path]:
    """The files set aside of which not all was read, oldest first."""
    found = damage.aside(path)
    return [file for file in found if file.with_name(file.name + damage.UNREAD).exists()]
