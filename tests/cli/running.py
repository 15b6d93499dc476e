"""`zmban` as a program of its own, as a person would call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ZMBAN = Path(sys.executable).with_name("zmban")


def zmban(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end; the caller looks at the exit code."""
    command = [str(ZMBAN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=120, check=False)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The objects of `--jsonl`."""
    return [json.loads(line) for line in done.stdout.splitlines()]
