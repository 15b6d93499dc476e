"""Logs that hold the same lines are read once; and paths in the jails that need not be there."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Seconds

# syslog writes a mail server's lines into each of these that it was told of; the first is meant.
_SAME = ("zimbra.log", "carbonio.log", "maillog")
# One that was not written for so long is left over: from before a move to Carbonio, for instance.
_LEFT_OVER: Seconds = 86400.0
_ONE_LETTER = re.compile(r"\[([^]!\[])\]")


def need_not_be(pattern: str) -> bool:
    """Whether a glob names one path that need not be there: a letter of it stands in brackets.

    >>> need_not_be("/var/lo[g]/maillog"), need_not_be("/var/log/maillog"), need_not_be("/var/lo[g]/*.log")
    (True, False, False)
    """
    path = _ONE_LETTER.sub(r"\1", pattern)
    return path != pattern and not glob.has_magic(path)


def copies(logs: Iterable[str]) -> Iterator[list[str]]:
    """Logs of one directory that hold the same lines, the one that is meant first."""
    found: dict[str, list[str]] = {}
    for path in logs:
        place, _, name = path.rpartition("/")
        if name in _SAME:
            found.setdefault(place, []).append(path)
    for same in found.values():
        if len(same) > 1:
            yield sorted(same, key=lambda path: _SAME.index(path.rpartition("/")[2]))


def without_copies(
    logs: Mapping[str, list[JailSpec]], written: Mapping[str, Instant]
) -> dict[str, list[JailSpec]]:
    """Each line of `copies` once: no jail reads a second log that holds the same. `written` says when each of
    them was last; one that is not in it has just been rotated."""
    left = {path: [*jails] for path, jails in logs.items()}
    for same in copies(logs):
        last = max(written.get(path, 0.0) for path in same)
        alive = [path for path in same if written.get(path, last) >= last - _LEFT_OVER]
        order = [*alive, *(path for path in same if path not in alive)]
        for number, path in enumerate(order):
            before = [jail for other in order[:number] for jail in logs[other]]
            left[path] = [jail for jail in left[path] if jail not in before]
    return {path: jails for path, jails in left.items() if jails}


def last_written(paths: Iterable[str]) -> dict[str, Instant]:
    """When these files were written to, as far as they are there."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = os.stat(path).st_mtime
    return found
