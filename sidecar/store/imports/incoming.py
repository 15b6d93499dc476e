"""Reads and checks a whole file before any of it is imported."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, NamedTuple

from sidecar.model import Instant, Seconds, StoreError
from sidecar.store.imports import exported, fail2ban_database, network_list
from sidecar.store.imports.entry import ListedBan, Skipped

# Kept in memory up to this size, then in an unnamed temporary file.
_MOST_BYTES = 32 << 20
_ATTEMPTS = 3
# Limits of a chunk: the service is busy for a few hundredths of a second.
_CHUNK_RECORDS = 500
_CHUNK_BYTES = 1 << 20


class Chunk(NamedTuple):
    """Records for one request: bans, skipped entries, and the size of all in bytes."""

    bans: list[dict[str, Any]]
    skipped: list[dict[str, Any]]
    bytes: int


class Incoming:
    """The records of one file in order. `kind` is `fail2ban`, `export` or `list`, `bytes` the size of all."""

    def __init__(self, kind: str, file: IO[bytes]) -> None:
        self.kind = kind
        self.bytes = 0
        self._file = file

    def fill(self, found: Iterator[ListedBan | Skipped]) -> None:
        """Replace the content with these entries. OSError if the disk is full."""
        self._file.seek(0)
        self._file.truncate()
        for one in found:
            self._file.write(json.dumps(one.record(), ensure_ascii=False).encode() + b"\n")
        self.bytes = self._file.tell()

    def chunks(self) -> Iterator[Chunk]:
        """All records, from the beginning."""
        self._file.seek(0)
        records: list[dict[str, Any]] = []
        size = 0
        for line in self._file:
            records.append(json.loads(line))
            size += len(line)
            if len(records) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
                yield _chunk(records, size)
                records, size = [], 0
        if records:
            yield _chunk(records, size)


def _chunk(records: list[dict[str, Any]], size: int) -> Chunk:
    return Chunk([r for r in records if "event" not in r], [r for r in records if "event" in r], size)


@contextlib.contextmanager
def read(
    path: Path, now: Instant, bantime: Callable[[str], Seconds | None], room: Path
) -> Iterator[Incoming]:
    """Read a whole Fail2Ban database, export, or list of networks. `bantime`: see `fail2ban_database.read`;
    `room`: a directory for temporary files. StoreError names the file and the fault."""
    # In a container, the state directory may be the only place with space.
    directory = str(room) if os.access(room, os.W_OK) else None
    with tempfile.SpooledTemporaryFile(_MOST_BYTES, dir=directory) as held:
        try:
            with path.open("rb") as file:
                if _is_database(file):
                    found = Incoming("fail2ban", held)
                    with _on_disk(path, file, directory) as database:
                        _fill_unchanged(found, database, str(path), bantime)
                elif exported.is_export(file):
                    found = Incoming("export", held)
                    found.fill(exported.read(file, path.name, now))
                else:
                    found = Incoming("list", held)
                    found.fill(network_list.read(file, path.name, now))
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
        yield found


@contextlib.contextmanager
def _on_disk(path: Path, file: IO[bytes], directory: str | None) -> Iterator[Path]:
    """The path itself, or for a pipe that of a temporary copy, because a database needs random access."""
    if path.is_file():
        yield path
        return
    with tempfile.NamedTemporaryFile(dir=directory, prefix="import-") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield Path(copy.name)


def _is_database(file: BufferedReader) -> bool:
    # peek, not read: a pipe cannot be rewound.
    return file.peek(len(fail2ban_database.MAGIC)).startswith(fail2ban_database.MAGIC)


def _fill_unchanged(found: Incoming, path: Path, name: str, bantime: Callable[[str], Seconds | None]) -> None:
    """Read the database; again, even after an error, if Fail2Ban wrote to it meanwhile."""
    for _ in range(_ATTEMPTS):
        before = _state(path)
        try:
            found.fill(fail2ban_database.read(path, name, bantime))
        except StoreError:
            if _state(path) == before:
                raise
        else:
            if _state(path) == before:
                return
    raise StoreError(
        f"{path} changed while it was read; stop Fail2Ban (systemctl stop fail2ban) and try again"
    )


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
