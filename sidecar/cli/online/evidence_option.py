"""The lines of `--evidence`: from a file, a pipe or standard input, bounded while they are read."""

from __future__ import annotations

import os
import select
import sys

import click

from sidecar.store.imports.entry import MOST_GIVEN_BYTES

# A pipe into which nobody writes would be waited for without end.
_PATIENCE_SECONDS = 10.0
_CHUNK = 1 << 16


def lines(source: str | None) -> list[str]:
    """The lines of a file, of standard input (`-`), or none. UsageError where they cannot be had."""
    if source is None:
        return []
    try:
        data = _read(source)
    except OSError as error:
        raise click.UsageError(f"--evidence {source}: {error.strerror}") from error
    if len(data) > MOST_GIVEN_BYTES:
        most = f"more than {MOST_GIVEN_BYTES >> 20} MiB"
        raise click.UsageError(f"--evidence {source}: {most}; give the lines that led to the ban")
    return data.decode("utf-8", "replace").splitlines()


def _read(source: str) -> bytes:
    """A byte more than may be, at most. OSError where it cannot be read."""
    if source == "-":
        return sys.stdin.buffer.read(MOST_GIVEN_BYTES + 1)
    # Without a writer the opening of a named pipe would wait.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _drained(source, descriptor)
    finally:
        os.close(descriptor)


def _drained(source: str, descriptor: int) -> bytes:
    data = bytearray()
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    while len(data) <= MOST_GIVEN_BYTES:
        if not waiting.poll(_PATIENCE_SECONDS * 1000):
            raise click.UsageError(f"--evidence {source}: nothing came within {_PATIENCE_SECONDS:g} s")
        got = os.read(descriptor, _CHUNK)
        if not got:
            break
        data += got
    return bytes(data)
