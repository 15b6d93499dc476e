"""Which file is read for which jails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from sidecar.fail2ban.jails import JailSpec


def by_file(
    named: Iterable[tuple[str, JailSpec]], real: Callable[[str], str] = os.path.realpath
) -> dict[str, list[JailSpec]]:
    """Which log is read for which jails. Two names of one file are one log, under the first of them; `real`
    tells where a name leads."""
    names: dict[str, str] = {}
    found: dict[str, list[JailSpec]] = {}
    for path, jail in named:
        jails = found.setdefault(names.setdefault(real(path), path), [])
        if jail not in jails:
            jails.append(jail)
    return found
