"""Which log is read for which jails, by the names that the jails give."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from fnmatch import fnmatchcase

from sidecar.fail2ban.jails import JailSpec


def by_file(
    named: Iterable[tuple[str, JailSpec]], identity: Callable[[str], Hashable] = os.path.realpath
) -> dict[str, list[JailSpec]]:
    """Which log is read for which jails. Two names of one file are one log, under the first of them; what has
    the same `identity` is one."""
    names: dict[Hashable, str] = {}
    found: dict[str, list[JailSpec]] = {}
    for path, jail in named:
        jails = found.setdefault(names.setdefault(identity(path), path), [])
        if jail not in jails:
            jails.append(jail)
    return found


def names(pattern: str, path: str) -> bool:
    """Whether a glob names a path, as the shell's does."""
    wanted, parts = pattern.split("/"), path.split("/")
    return len(wanted) == len(parts) and all(
        fnmatchcase(part, mine) and part.startswith(".") <= mine.startswith(".")
        for part, mine in zip(parts, wanted, strict=True)
    )
