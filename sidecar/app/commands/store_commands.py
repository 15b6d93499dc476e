"""The commands for the database: backup, compact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from sidecar.app.persist.upkeep import DatabaseUpkeep


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or not path.name:
        raise ValueError("an absolute path of a file is needed")
    return path


class StoreCommands:
    """Answers are sent when the work is done."""

    def __init__(self, upkeep: DatabaseUpkeep) -> None:
        self._upkeep = upkeep

    async def backup(
        self, file: Annotated[Path, AfterValidator(_absolute)], force: bool = False
    ) -> dict[str, Any]:
        """Copy the database of this moment into a file, with `force` over an existing one."""
        return await self._upkeep.backup(file, force=force)

    async def compact(self) -> dict[str, Any]:
        """Rebuild the database without unused space."""
        return await self._upkeep.compact()
