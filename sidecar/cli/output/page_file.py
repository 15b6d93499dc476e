"""Writes a page that a command made to a file, or to standard output for `-`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from sidecar.model import SourceError

STDOUT = "-"


def writable(page: str | None) -> None:
    """Find out before long work whether the page can be written."""
    if not page or page == STDOUT:
        return
    path = Path(page)
    try:
        new = not path.exists()
        with path.open("ab"):
            pass
        if new:
            path.unlink()
    except OSError as error:
        raise click.UsageError(f"--html: {page} cannot be written: {error.strerror}") from error


def write(page: str, parts: Iterable[str]) -> None:
    """Write the page. SourceError if that fails."""
    try:
        if page == STDOUT:
            for part in parts:
                sys.stdout.buffer.write(part.encode("utf-8", "replace"))
            sys.stdout.flush()
            return
        # Lines of logs and accounts are nobody else's.
        with os.fdopen(
            os.open(page, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", -1, "utf-8", "replace"
        ) as file:
            file.writelines(parts)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SourceError(f"--html: {page} cannot be written: {error.strerror}") from error
