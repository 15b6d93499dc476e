"""How this service was started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RuntimeOptions:
    """The state directory, whether this is a dry run, and possible problems of the environment."""

    state: Path
    dry_run: bool = False
    doubts: tuple[str, ...] = ()
