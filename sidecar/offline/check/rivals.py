"""Warns of the administrator's own jails that duplicate an enabled shipped jail on the same log."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from math import ceil
from pathlib import Path

from sidecar.configuration.loading import Loaded
from sidecar.detect.grammar import of_log
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.interpolation import Values
from sidecar.model import ConfigError, Fault, Seconds, counted, plural
from sidecar.offline.check.typical import taken

_EVERY_PORT = {"", "all", "any", "0:65535", "1:65535"}
_MOST_NAMED = 3
_UNITS = ((365.25 * 86400, "year"), (86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def rivals(loaded: Loaded) -> Iterator[Fault]:
    """A warning for each own jail that bans beside a shipped one: which bans first, and for how long."""
    banning = [j for j in loaded.jails.jails.values() if not (j.dry_run or j.report_only or j.confirms)]
    shipped = [jail for jail in banning if _shipped(loaded, jail.name)]
    for jail in banning:
        if jail in shipped:
            continue
        beside = [
            one for one in shipped if _shared_log(jail, one) and _ports_overlap(loaded, jail.name, one.name)
        ]
        if beside := _similar(jail, beside):
            text = _sentence(jail, beside)
            yield Fault(*loaded.jails.place(jail.name, "logpath"), text, jail.name, warning=True)


def _shipped(loaded: Loaded, name: str) -> bool:
    """Whether the jail is defined in the lowest of several directories."""
    lowest, *above = loaded.files.directories
    for option in loaded.jails.ini.sections[name].values():
        while option.known is not None:
            option = option.known
        if above and Path(option.file).is_relative_to(lowest):
            return True
    return False


def _shared_log(one: JailSpec, other: JailSpec) -> str | None:
    """A log that both jails read, if any."""
    for log in one.logpath:
        for beside in other.logpath:
            if fnmatchcase(log.glob, beside.glob) or fnmatchcase(beside.glob, log.glob):
                return log.glob
    return None


def _ports_overlap(loaded: Loaded, *names: str) -> bool:
    """Whether two jails have a port in common; True if unknown, since service names are not resolved."""
    one, other = (_ports(loaded, name) for name in names)
    if (one | other) & _EVERY_PORT or one & other:
        return True
    return not all(port.isdecimal() for port in one | other)


def _ports(loaded: Loaded, name: str) -> set[str]:
    try:
        text = Values(loaded.jails.ini, name).get("port") or ""
    except ConfigError:
        text = ""
    return set(text.replace(",", " ").split()) or {""}


def _similar(jail: JailSpec, beside: list[JailSpec]) -> list[JailSpec]:
    """The jails with the same filter, else those whose filter matches the same example lines; all, if this
    jail matches no example line."""
    same = [one for one in beside if one.filter.name == jail.filter.name]
    lines = taken(jail.filter)
    return same or [one for one in beside if lines & taken(one.filter) or not lines]


def _sentence(jail: JailSpec, beside: list[JailSpec]) -> str:
    log = _shared_log(jail, beside[0]) or ""
    beside = sorted(beside, key=lambda one: _logins(one, log))
    named, more = beside[:_MOST_NAMED], len(beside) - _MOST_NAMED
    names = [*(one.name[:60] for one in named), *([f"{more} more"] if more > 0 else [])]
    all_of_them = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    shipped = plural(len(beside), "jail", "jails")
    first, *later = sorted([*named, jail], key=lambda one: _logins(one, log))
    alone = _logins(first, log) < _logins(later[0], log)
    terms = [f"{first.name[:60]} bans {'first, ' if alone else ''}{_terms(first)}"]
    for one in later:
        together = "" if _logins(first, log) < _logins(one, log) else "at the same time, "
        terms.append(f"{one.name[:60]} {together}{_terms(one)}")
    are = plural(len(beside), "is", "are")
    cure = "the longest ban applies; write enabled = false into the redundant jail"
    return (
        f"reads {log[:200]} like the shipped {shipped} {all_of_them}, which {are} still enabled: "
        f"{'; '.join(terms)}; {cure}"
    )


def _logins(jail: JailSpec, log: str) -> int:
    """The number of logins after which a jail bans; in mailboxd's logs each login leaves two lines."""
    lines = 2 if jail.count == "lines" and of_log(log) == "mailbox" else 1
    return ceil(jail.maxretry / lines)


def _terms(jail: JailSpec) -> str:
    """Threshold, findtime and ban time, as part of a sentence."""
    what = f"different {jail.distinct}" if jail.distinct else "login" if jail.count == "logins" else "line"
    lasting = "ever" if jail.bantime is None else _duration(jail.bantime)
    grows = " and longer each time" if jail.increment and jail.bantime else ""
    return f"after {counted(jail.maxretry, what)} within {_duration(jail.findtime)}, for {lasting}{grows}"


def _duration(seconds: Seconds) -> str:
    """The duration in the largest unit that it reaches: `11.4 years`, `1 day`."""
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    number = f"{seconds / size:.1f}".removesuffix(".0")
    return f"{number} {unit}" + ("" if number == "1" else "s")
