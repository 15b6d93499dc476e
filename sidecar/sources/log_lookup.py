"""What a glob of `logpath` names now."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection
from typing import NamedTuple

from sidecar.sources.files.compressed import is_packed
from sidecar.sources.files.content import FileKey
from sidecar.sources.files.descriptors import reason

# The key of a file that cannot be told: it may not be asked for its inode.
UNTOLD: FileKey = (0, 0)


class Answer(NamedTuple):
    """The logs that a pattern names, each with its file (None: its name is gone), and why it names
    nothing."""

    found: dict[str, FileKey | None]
    why: str


def look_up(pattern: str, known: Collection[str]) -> Answer:
    """The files that a glob names, and those `known` that are gone. A directory that a wildcard matches is no
    log."""
    magic = glob.has_magic(pattern)
    found: dict[str, FileKey | None] = {}
    for path in sorted({*glob.glob(pattern), *known}):
        if not is_packed(path) and not (magic and os.path.isdir(path)):  # noqa: PTH112 - a text, not a Path
            found[path] = _key(path)
    return Answer(found, "" if any(found.values()) else why_nothing(pattern))


def _key(path: str) -> FileKey | None:
    """Which file bears a name, None where none does. A listing may miss what is there, for want of rights or
    descriptors: no name is gone but by the word of the kernel."""
    for look in (os.stat, os.lstat):
        try:
            status = look(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return UNTOLD
        return status.st_dev, status.st_ino
    return None


def why_nothing(pattern: str) -> str:
    """Why there is no log that a jail names so."""
    if is_packed(pattern):
        return f"{pattern} is packed: name the log itself, its packed files are read with it"
    fixed = pattern
    while glob.has_magic(fixed):
        fixed = os.path.dirname(fixed)  # noqa: PTH120 - a text, not a Path
    try:
        if fixed == pattern:
            os.stat(fixed)
        else:
            os.scandir(fixed).close()
    except (FileNotFoundError, NotADirectoryError):
        while (above := os.path.dirname(fixed)) != fixed and not os.path.isdir(above):  # noqa: PTH112, PTH120
            fixed = above
        if fixed != pattern:
            return f"{pattern} is not there, for there is no directory {fixed}: is it mounted?"
        return f"{pattern} is not there; it is read as soon as it appears"
    except OSError as error:
        return f"{pattern} cannot be looked up: {reason(error)}"
    return f"no file matches {pattern}; it is read as soon as one appears"
