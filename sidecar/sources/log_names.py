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
    # By name: to compare whole jails takes seconds for 100 jails of 500 logs.
    found: dict[str, dict[str, JailSpec]] = {}
    for path, jail in named:
        found.setdefault(names.setdefault(identity(path), path), {}).setdefault(jail.name, jail)
    return {path: [*jails.values()] for path, jails in found.items()}


def names(pattern: str, path: str) -> bool:
    """Whether a glob names a path, as the shell's does."""
    wanted, parts = pattern.split("/"), path.split("/")
    return len(wanted) == len(parts) and all(
        fnmatchcase(part, mine) and part.startswith(".") <= mine.startswith(".")
        for part, mine in zip(parts, wanted, strict=True)
    )
