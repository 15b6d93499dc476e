"""Reads the lines of `--evidence` from a file, a named pipe or standard input, up to a size limit."""

from __future__ import annotations

import os
import select
import sys

import click

from sidecar.store.imports.entry import MOST_GIVEN_BYTES

# A named pipe without a writer would block without a limit.
_TIMEOUT_SECONDS = 10.0
_CHUNK = 1 << 16


def lines(source: str | None) -> list[str]:
    """The lines of a file or of standard input (`-`); none without a source. UsageError if unreadable."""
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
    """The content, cut one byte above the limit. OSError if it cannot be read."""
    if source == "-":
        return sys.stdin.buffer.read(MOST_GIVEN_BYTES + 1)
    # O_NONBLOCK: opening a named pipe without a writer would block.
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
        if not waiting.poll(_TIMEOUT_SECONDS * 1000):
            raise click.UsageError(f"--evidence {source}: no data within {_TIMEOUT_SECONDS:g} s")
        got = os.read(descriptor, _CHUNK)
        if not got:
            break
        data += got
    return bytes(data)
