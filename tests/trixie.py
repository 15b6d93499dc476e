"""Programs of the next Debian release, in a root file system of its own."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]


@cache
def trixie() -> str:
    """The path of the root file system, which is bootstrapped once."""
    done = subprocess.run(
        ["sh", "scripts/trixie.sh"], cwd=_ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
