"""How this service was started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RuntimeOptions:
    """The state directory, whether this is a dry run, possible problems of the environment, and the file of
    the tokens that permit to act over HTTP."""

    state: Path
    dry_run: bool = False
    doubts: tuple[str, ...] = ()
    tokens: Path | None = None
