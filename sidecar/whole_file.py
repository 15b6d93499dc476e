"""Writes a file as a whole: a reader sees the old content or the new one, also after a crash."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A new file, for its owner only, that gets its name when all is written. Without `replace`:
    FileExistsError if there is another one by then."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}-", suffix=".new", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        if replace:
            new.replace(path)
        else:
            # Unlike a rename, a link never replaces a file.
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
