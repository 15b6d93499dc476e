"""Runs `zmban` as a separate process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ZMBAN = Path(sys.executable).with_name("zmban")


def zmban(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end; the caller checks the exit code."""
    command = [str(ZMBAN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=120, check=False)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The objects of `--jsonl`."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_terminal(
    columns: int | None,
    *arguments: object,
    variables: Mapping[str, str] | None = None,
    program: Path = ZMBAN,
    enough: bytes = b"",
    typed: bytes = b"",
) -> tuple[int, str]:
    """Run it on a pseudo-terminal with this width (None: of unknown size), on which this is `typed`. Returns
    the exit code and the output. Sends SIGINT once `enough` is in the output."""
    ours, theirs = pty.openpty()
    if columns is not None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    unset = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    variables = {**unset, "TERM": "xterm", **(variables or {})}
    command = [str(program), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
    os.close(theirs)
    os.write(ours, typed)
    seen = bytearray()
    try:
        # Reading fails after the process has closed the terminal.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65536):
                seen += chunk
                if enough and enough in seen:
                    process.send_signal(signal.SIGINT)
                    enough = b""
        return process.wait(60), seen.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        os.close(ours)
