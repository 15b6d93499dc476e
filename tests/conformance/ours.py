"""Resolves a configuration with zmban's reader, in the form of oracle.py, and compares the two."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from ipaddress import ip_network
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sidecar.fail2ban import jail_options, jails
from sidecar.fail2ban.jails import Configuration, JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import ConfigError, Fault
from sidecar.offline.lines import regex_test
from tests.conformance import oracle
from tests.conformance.oracle import Resolved

# Fields of a filter and of a jail; only fields that zmban's specifications have are compared.
FILTER_FIELDS = ("usedns", "prefregex", "maxlines", "failregex", "ignoreregex", "datepattern", "journalmatch")
JAIL_FIELDS = ("maxretry", "maxmatches", "findtime", "bantime", "ignoreip")
_REFUSED = re.compile(r"runs a custom command|admits the address|zmban runs no commands")
# Defaults of unset options.
_UNSET: dict[str, Any] = {"usedns": "warn", "maxlines": 1}


def load(directories: Sequence[Path]) -> Configuration:
    """The configuration as read by zmban, with its faults."""
    return jails.load(ConfigFiles(list(directories)))


def ours(directories: Sequence[Path]) -> dict[str, Resolved]:
    """The enabled jails of the directories that can run in zmban."""
    return {name: resolved(spec) for name, spec in load(directories).jails.items()}


def resolved(spec: JailSpec) -> Resolved:
    """One jail in the form of oracle.py; fields that zmban's specifications lack are unset."""
    own = spec.filter
    return Resolved(
        usedns=getattr(own, "usedns", None),
        prefregex=own.prefregex.text if own.prefregex else None,
        maxlines=getattr(own, "maxlines", None),
        failregex=tuple(pattern.text for pattern in own.failregex),
        ignoreregex=tuple(pattern.text for pattern in own.ignoreregex),
        datepattern="\n".join(own.datepattern) or None,
        journalmatch=tuple(" ".join(shlex.split(line)) for line in getattr(own, "journalmatch", ())),
        maxretry=spec.maxretry,
        maxmatches=spec.maxmatches,
        findtime=f"{spec.findtime:g}" if spec.findtime < 1e6 else f"{spec.findtime:.0f}",
        bantime="-1" if spec.bantime is None else f"{spec.bantime:.6f}",
        ignoreip=tuple(map(str, spec.ignoreip)),
    )


def compared() -> tuple[str, ...]:
    """The names of the fields that can be compared."""
    told = {one.name for one in fields(FilterSpec)}
    return tuple(name for name in FILTER_FIELDS if name in told) + JAIL_FIELDS


def refused_on_purpose(fault: Fault) -> bool:
    """Whether a jail does not run because zmban runs no commands. Its filter can still be compared."""
    return _REFUSED.search(fault.message) is not None


def filter_text(configuration: Configuration, jail: str) -> str:
    """The filter of a jail as `name[options]`, for a jail that does not run for another reason."""
    return jail_options.Options(configuration.ini, jail).text("filter") or jail


def differences(theirs: Resolved, own: Resolved, names: Sequence[str] | None = None) -> Iterator[str]:
    """Each field that differs, with both values."""
    for name in compared() if names is None else names:
        wanted, got = getattr(theirs, name), getattr(own, name)
        if wanted is None and name in JAIL_FIELDS:
            continue  # the defaults differ, and stock configurations set all of them
        left, right = _comparable(name, wanted), _comparable(name, got)
        if left != right:
            yield f"{name}: {_parted(left, right)}"


def _parted(left: Any, right: Any) -> str:
    """Both values; of lists and long values only the part that differs."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        pairs = zip_longest(left, right, fillvalue=None)
        number, (left, right) = next((n, pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
        return f"number {number}: {_parted(left, right)}"
    if isinstance(left, str) and isinstance(right, str):
        common = next((n for n, pair in enumerate(zip_longest(left, right)) if pair[0] != pair[1]), 0)
        start = max(0, common - 30)
        return f"Fail2Ban has {left[start:][:120]!r}, we have {right[start:][:120]!r}, from character {start}"
    return f"Fail2Ban has {left!r}, we have {right!r}"


def _comparable(name: str, value: Any) -> Any:
    if value is None:
        return _UNSET.get(name)
    match name:
        case "findtime" | "bantime":
            return round(oracle.seconds(value) if not value.replace(".", "").isdigit() else float(value))
        case "failregex" | "ignoreregex":
            # In Fail2Ban a reference to an empty option leaves a regex of spaces, which would match any line.
            return tuple(line for line in value if line.strip())
        case "datepattern" | "prefregex":
            return tuple(line.strip() for line in value.split("\n") if line.strip()) or None
        case "ignoreip":
            return tuple(_networks(value))
    return value


def _networks(words: Sequence[str]) -> Iterator[str]:
    """Host names are not resolved here, and are reported elsewhere."""
    for word in words:
        try:
            yield str(ip_network(word, strict=False))
        except ValueError:
            continue


def filter_differences(directory: Path, text: str, theirs: Resolved) -> list[str]:
    """How the filter `name[options]` differs, or why it does not load in zmban."""
    try:
        found = regex_test.target(ConfigFiles([directory]), text, {})
    except ConfigError as error:
        return [f"does not load: {error}"]
    errors = [f"fault: {fault}" for fault in found.faults if not fault.warning]
    told = {one.name for one in fields(FilterSpec)}
    # usedns is set by a jail, through its [DEFAULT].
    names = [name for name in FILTER_FIELDS if name in told and name != "usedns"]
    return errors or list(differences(theirs, resolved(JailSpec("any", found.spec, ())), names))
