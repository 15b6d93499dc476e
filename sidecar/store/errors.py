"""What an error of SQLite means for a database of ours: wait, set it aside, or ask the administrator."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sidecar.model import StoreError
from sidecar.store import damage

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# A number in the header, of which SQLite has no code of its own to tell.
_NO_FORMAT = "unsupported file format"
# What the disk does not give back or take. Other failures of it, as too many open files, are not the file's.
_OF_THE_DISK = {
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_MMAP, sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
}  # fmt: skip


class DamagedError(StoreError):
    """The file is no database that can be used any more: it has to be set aside."""


class LaterError(StoreError):
    """The file was written by a later version: the administrator must say what becomes of it."""


def meant(error: Exception, path: Path) -> StoreError:
    """Our own error, of the kind that the number of SQLite's tells."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode"):
        # Not SQLite's own: what it gave is no text.
        return DamagedError(f"{path}: a row makes no sense (its text is no UTF-8)")
    text = f"{path}: {printable(str(getattr(error, 'strerror', None) or error))}"
    obstacle = damage.obstacle(path)
    if is_damage(error) and (obstacle is None or not _is_of_the_disk(error)):
        return DamagedError(f"{text}; zmban run sets it aside, with what can be read taken over")
    return StoreError(text if obstacle is None or obstacle in text else f"{text} ({obstacle})")


def is_damage(error: Exception) -> bool:
    """Whether this says that the file will never be read or written whole."""
    if isinstance(error, UnicodeDecodeError):
        # What SQLite says repeats what it found, and that is no text.
        return True
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_ERROR and str(error) == _NO_FORMAT:
        return True
    return code & 0xFF in _DAMAGED or code in _OF_THE_DISK


def printable(text: str) -> str:
    """Text that may hold bytes of a damaged file, without their control codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_of_the_disk(error: Exception) -> bool:
    """Whether this says that the disk failed, not what was read from it."""
    return getattr(error, "sqlite_errorcode", 0) in _OF_THE_DISK
