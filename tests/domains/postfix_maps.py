"""Asks the real postmap what Postfix finds in a map, and what it says of the file."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.netns import program


def postmap(*arguments: str, keys: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run postmap to its end, whatever it answers."""
    # The machine may have no main.cf: its Postfix is installed without a configuration.
    with tempfile.TemporaryDirectory(prefix="zmban-postmap-") as place:
        main = Path(place) / "main.cf"
        main.write_text("compatibility_level = 3.6\n")
        # Postfix waits for two seconds if this was just written.
        os.utime(main, (0, 0))
        command = [program("postmap", "postfix postfix-pcre"), "-c", place, *arguments]
        return subprocess.run(command, input=keys, capture_output=True, timeout=60, check=False)


def found(file: Path, key: str) -> str:
    """The action for a key, which may be a header with newlines; "" if no rule matches."""
    done = postmap("-q", key, f"pcre:{file}")
    assert done.stderr == b"", done.stderr
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def found_all(file: Path, keys: Iterable[str]) -> dict[str, str]:
    """The action for each key that a rule matches; keys without newlines. Fails if Postfix warns of the file."""
    done = postmap("-q", "-", f"pcre:{file}", keys="".join(f"{key}\n" for key in keys).encode())
    assert done.stderr == b"", done.stderr
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")
    return dict(line.split("\t", 1) for line in lines if line)
