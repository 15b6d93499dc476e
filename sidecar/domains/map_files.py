"""The files of the maps: read, written atomically, locked, and a signal for Postfix after a change."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from sidecar.model import ConfigError, ZmbanError
from sidecar.whole_file import whole_file

SENDERS, HEADERS = "sender_access.pcre", "header_checks.pcre"
# Postfix reads a PCRE map when a process starts, and never looks at it again. A replaced LMDB file makes it
# restart before its next client: this one is empty, and replaced after each change. Postfix adds the suffix.
SIGNAL = "changed.lmdb"
_READABLE = 0o644
# The format of LMDB 0.9 on 64-bit hosts, lower byte first, as mdb.c writes it for a new database.
_MAGIC, _VERSION, _PAGE, _META_PAGE, _INTEGER_KEYS = 0xBEEFC0DE, 1, 4096, 8, 8
_NO_PAGE = (1 << 64) - 1
_LAST_PAGE = 1


class DomainMapError(ZmbanError):
    """A map cannot be read or written at the moment."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory: waits for another writer. The lock (flock) is that of the directory itself, and
    ends with its process. ConfigError if there is no such directory."""
    descriptor = _opened(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require(directory: Path) -> None:
    """ConfigError if there is no such directory."""
    os.close(_opened(directory))


def _opened(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        cure = "create it, and mount it in the mail server too (docs/domains.md)"
        raise ConfigError(f"{directory}: {error.strerror}; {cure}") from error


def version(path: Path) -> tuple[int, int, int]:
    """What differs after each change of a file; zeros if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    except OSError as error:
        raise DomainMapError(f"{path}: {error.strerror}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def read(path: Path) -> str | None:
    """The text of a map; None if it does not exist. Bytes that are not UTF-8 are kept as surrogates."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DomainMapError(f"{path}: {error.strerror}") from error


def write(path: Path, text: str) -> None:
    """Replace a map, readable by all. Its owner and mode stay, as far as this process may set them."""
    _replace(path, text.encode("utf-8", "surrogateescape"))


def signal(directory: Path) -> None:
    """Make Postfix processes that have opened SIGNAL restart before their next client or mail."""
    pages = b"".join(_meta_page(number) for number in (0, 1))
    _replace(directory / SIGNAL, pages)


def _meta_page(number: int) -> bytes:
    """One of the two pages that describe an empty database."""
    page = struct.pack("<QHHI", number, 0, _META_PAGE, 0)
    free = struct.pack("<IHHQQQQQ", _PAGE, _INTEGER_KEYS, 0, 0, 0, 0, 0, _NO_PAGE)
    main = struct.pack("<IHHQQQQQ", 0, 0, 0, 0, 0, 0, 0, _NO_PAGE)
    meta = struct.pack("<IIQQ", _MAGIC, _VERSION, 0, 1 << 20)
    return (page + meta + free + main + struct.pack("<QQ", _LAST_PAGE, number)).ljust(_PAGE, b"\0")


def _replace(path: Path, data: bytes) -> None:
    try:
        with whole_file(path) as file:
            file.write(data)
            _as_before(path, file.fileno())
    except OSError as error:
        cure = (
            "; its directory must be writable by zmban's user" if isinstance(error, PermissionError) else ""
        )
        raise DomainMapError(f"{path}: {error.strerror}{cure}") from error


def _as_before(path: Path, descriptor: int) -> None:
    mode = _READABLE
    with contextlib.suppress(FileNotFoundError):
        before = path.stat()
        mode |= stat.S_IMODE(before.st_mode)
        # In a container, root may have no right to give files away.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, mode)
