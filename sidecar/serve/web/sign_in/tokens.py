"""The tokens that permit to act over HTTP, read from a file that may change at any time."""

from __future__ import annotations

import hmac
import logging
import os
import stat
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sidecar.model import Seconds, printable

_log = logging.getLogger("zmban.serve")
# A shorter token could be guessed.
_SHORTEST = 16
_LONGEST_FILE, _LONGEST_NAME = 1 << 16, 64
_EVERY_SECONDS: Seconds = 1.0
# The name of a token that stands alone on its line.
_UNNAMED = "admin"


class TokenFile:
    """The tokens of a file: one `NAME:TOKEN` a line, or one token alone; `#` begins a comment. Only digests
    are kept. A file that cannot be read permits nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests: dict[bytes, str] = {}
        self._seen: tuple[int, ...] | None = None
        self._looked: Seconds = float("-inf")
        self._faults: tuple[str, ...] = ()
        self._look()

    def name_of(self, token: str) -> str | None:
        """The name of a token, None if it is unknown. Takes the same time for all tokens of the file."""
        self._look()
        given, found = digest(token), None
        for known, name in self._digests.items():
            if hmac.compare_digest(known, given):
                found = name
        return found

    def knows(self, token: bytes) -> bool:
        """Whether the token of this digest is still in the file."""
        self._look()
        return token in self._digests

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the file now."""
        self._look()
        return self._faults

    def _look(self) -> None:
        """Read the file again if it changed."""
        now = time.monotonic()
        if now < self._looked + _EVERY_SECONDS:
            return
        self._looked = now
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            text = self._text()
        except (OSError, ValueError) as error:
            self._take({}, [f"token file {self._path}: {getattr(error, 'strerror', None) or error}"], None)
            return
        faults: list[str] = []
        digests = dict(_read(text, str(self._path), faults))
        if found.st_mode & stat.S_IROTH and found.st_uid == os.geteuid():
            _log.warning("token file %s is readable by every user of this host; chmod 600", self._path)
        self._take(digests, faults, seen)

    def _text(self) -> str:
        # A FIFO in its place must not stop the service.
        with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("is no regular file")
            raw = file.read(_LONGEST_FILE + 1)
        if len(raw) > _LONGEST_FILE:
            raise ValueError("is larger than 64 KiB")
        return raw.decode("utf-8-sig")

    def _take(self, digests: dict[bytes, str], faults: list[str], seen: tuple[int, ...] | None) -> None:
        self._digests, self._seen = digests, seen
        if tuple(faults) != self._faults:
            self._faults = tuple(faults)
            for fault in faults:
                _log.error("%s", fault)


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _read(text: str, file: str, faults: list[str]) -> Iterator[tuple[bytes, str]]:
    """Digest and name of each token. What is wrong is added to `faults`, never with the token itself."""
    found = 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, token = line.partition(":")
        name, token = (name.strip(), token.strip()) if colon else (_UNNAMED, line)
        if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
            faults.append(f"{file}:{number}: the name of a token has 1 to {_LONGEST_NAME} plain characters")
        elif len(token) < _SHORTEST:
            text = f"the token {printable(name)} is shorter than {_SHORTEST} characters and is not used"
            faults.append(f"{file}:{number}: {text}; make one with: openssl rand -hex 32")
        else:
            found += 1
            yield digest(token), name
    if not found and not faults:
        faults.append(f"{file}: contains no token; write NAME:TOKEN, one a line")
