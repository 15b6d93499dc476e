"""Maps SQLite errors to the reaction they need: retry, set the file aside, or ask the administrator."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sidecar.model import StoreError
from sidecar.store import storage

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# SQLite has no error code of its own for a bad format number in the header.
_NO_FORMAT = "unsupported file format"
# Failed reads and writes. Other I/O errors, such as too many open files, are not caused by the file.
_OF_THE_DISK = {
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_MMAP, sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
}  # fmt: skip


class DamagedError(StoreError):
    """The database file is damaged and must be set aside."""


class LaterError(StoreError):
    """A later version of zmban wrote the file: the administrator must decide what to do with it."""


def meant(error: Exception, path: Path) -> StoreError:
    """The StoreError or DamagedError for an error of SQLite or the file system."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode"):
        # Raised by the sqlite3 module, not by SQLite: a value is not UTF-8.
        return DamagedError(f"{path}: invalid row (text is not UTF-8)")
    text = f"{path}: {printable(str(getattr(error, 'strerror', None) or error))}"
    obstacle = storage.obstacle(path)
    if is_damage(error) and (obstacle is None or not _is_of_the_disk(error)):
        return DamagedError(f"{text}; zmban run sets the file aside and takes over what is readable")
    return StoreError(text if obstacle is None or obstacle in text else f"{text} ({obstacle})")


def is_damage(error: Exception) -> bool:
    """Whether the error means that the file is damaged for good."""
    if isinstance(error, UnicodeDecodeError):
        # The message of SQLite quotes damaged bytes, which are not UTF-8.
        return True
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_ERROR and str(error) == _NO_FORMAT:
        return True
    return code & 0xFF in _DAMAGED or code in _OF_THE_DISK


def printable(text: str) -> str:
    """The text with control characters of a damaged file escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_of_the_disk(error: Exception) -> bool:
    """Whether the disk failed, as opposed to wrong content that was read from it."""
    return getattr(error, "sqlite_errorcode", 0) in _OF_THE_DISK
