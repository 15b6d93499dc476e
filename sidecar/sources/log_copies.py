"""Excludes logs that hold the same lines as another one; recognizes optional log paths."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Seconds

# syslog may write the same lines of a mail server to several of these; the first one is preferred.
# If several were read, each failed login would count twice, and one mistyped password could ban.
_SAME = ("zimbra.log", "carbonio.log", "maillog")
# A log that was not written for this long is a leftover, for example from before a move to Carbonio.
_LEFT_OVER: Seconds = 86400.0
_ONE_LETTER = re.compile(r"\[([^]!\[])\]")


def need_not_be(pattern: str) -> bool:
    """Whether a glob is an optional single path: one letter is in brackets.

    >>> need_not_be("/var/lo[g]/maillog"), need_not_be("/var/log/maillog"), need_not_be("/var/lo[g]/*.log")
    (True, False, False)
    """
    path = _ONE_LETTER.sub(r"\1", pattern)
    return path != pattern and not glob.has_magic(path)


def copies(logs: Iterable[str]) -> Iterator[list[str]]:
    """Groups of logs in one directory that hold the same lines, the preferred one first."""
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
    """The logs and jails without copies: no jail reads two logs of a group of `copies`. `written`: last
    modification by path; a path that is not in it was just rotated."""
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
    """Modification time of these files, as far as they exist."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = os.stat(path).st_mtime
    return found
