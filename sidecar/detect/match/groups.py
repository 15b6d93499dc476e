"""What the named groups of a match mean: who is blamed, which stand for others, which belong together."""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.detect.match.session import Groups
from sidecar.fail2ban.syntax.tags import HOST_GROUPS

_ALTERNATIVE = re.compile(r"(alt|tuple)_(.+?)(?:_?\d+)?")


def host(groups: Groups) -> str | None:
    """Whom a match without a prefix length blames."""
    for name in HOST_GROUPS:
        if host := groups.get(name):
            return str(host)
    return None


def identity(groups: Groups) -> str | None:
    """Whom a match blames; an address with a prefix length is its network."""
    blamed, length = host(groups), groups.get("cidr")
    return f"{blamed}/{length}" if blamed and length and "fid" not in groups else blamed


def over(groups: Groups, found: re.Match[str]) -> Groups:
    """These groups, and over them those of a match that took part; an empty one replaces nothing."""
    laid = dict(groups)
    for name, value in found.groupdict().items():
        if value or (value is not None and name not in laid):
            laid[name] = value
    return laid


@lru_cache(maxsize=1024)
def meant(name: str) -> tuple[str, str] | None:
    """`alt_user_1` means ("alt", "user"); None for a plain name."""
    found = _ALTERNATIVE.fullmatch(name)
    return (found.group(1), found.group(2)) if found else None


def merged(groups: Groups) -> Groups:
    """Alternatives of a group fill it where it is empty; parts of a tuple are joined under its name."""
    laid = {name: value for name, value in groups.items() if meant(name) is None}
    if len(laid) == len(groups):
        return laid
    for name in sorted(groups):
        told = meant(name)
        if told is None:
            continue
        kind, target = told
        if kind == "alt":
            laid[target] = laid.get(target) or groups[name]
        else:
            before = laid.get(target)
            first = before if isinstance(before, tuple) else () if before is None else (before,)
            laid[target] = (*first, groups[name])
    return laid
