"""Interprets the named groups of a match: the host, alternatives (`alt_`) and tuples (`tuple_`)."""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.detect.match.session import Groups
from sidecar.fail2ban.syntax.tags import HOST_GROUPS

_ALTERNATIVE = re.compile(r"(alt|tuple)_(.+?)(?:_?\d+)?")


def host(groups: Groups) -> str | None:
    """The host of a match, without a prefix length; None if there is none."""
    for name in HOST_GROUPS:
        if host := groups.get(name):
            return str(host)
    return None


def identity(groups: Groups) -> str | None:
    """The host of a match; an address with a prefix length is a network."""
    found, length = host(groups), groups.get("cidr")
    return f"{found}/{length}" if found and length and "fid" not in groups else found


def over(groups: Groups, found: re.Match[str]) -> Groups:
    """These groups, overridden by the non-empty groups of another match."""
    laid = dict(groups)
    for name, value in found.groupdict().items():
        if value or (value is not None and name not in laid):
            laid[name] = value
    return laid


@lru_cache(maxsize=1024)
def meant(name: str) -> tuple[str, str] | None:
    """Kind and target of a special group name: ("alt", "user") for `alt_user_1`; None for a plain name."""
    found = _ALTERNATIVE.fullmatch(name)
    return (found.group(1), found.group(2)) if found else None


def merged(groups: Groups) -> Groups:
    """Resolve special groups: an alternative fills an empty group, the parts of a tuple are joined."""
    laid = {name: value for name, value in groups.items() if meant(name) is None}
    if len(laid) == len(groups):
        return laid
    for name in sorted(groups):
        special = meant(name)
        if special is None:
            continue
        kind, target = special
        if kind == "alt":
            laid[target] = laid.get(target) or groups[name]
        else:
            before = laid.get(target)
            first = before if isinstance(before, tuple) else () if before is None else (before,)
            laid[target] = (*first, groups[name])
    return laid
