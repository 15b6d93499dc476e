"""What was measured, and where: the machine, the versions, the commit."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sidecar import __version__

_ROOT = Path(__file__).parents[1]


def circumstances(how: Mapping[str, object]) -> dict[str, str]:
    """The machine, the versions, and `how` it was measured."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith(("model name", "Model"))
    ]
    memory = next(
        line.split()[1]
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("MemTotal")
    )
    return {
        "processor": f"{model[0] if model else platform.machine()}, {len(model) or '?'} cores",
        "memory": f"{int(memory) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "zmban": f"{__version__}, {_commit()}",
        **{key: str(value) for key, value in how.items()},
    }


def _commit() -> str:
    """The commit that was measured, and whether the source differed from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    if not commit:
        return "no git"
    return f"commit {commit}" + (" with changes" if git("status", "--porcelain", "sidecar") else "")
