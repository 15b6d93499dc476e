"""Warnings for configuration without effect: unknown options, sections that are never enabled, logs whose
name has no grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from sidecar.configuration.loading import Loaded
from sidecar.detect.grammar import GRAMMARS, LOGS, of_log
from sidecar.fail2ban import zmban_options
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.ini import Option, Section
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.host import regex_budget
from sidecar.model import ConfigError, Fault, plural
from sidecar.offline.check.rivals import rivals
from sidecar.offline.check.typical import taken
from sidecar.sources.kinds import log_name
from sidecar.sources.plain_blocks import is_plain

_SPECIAL = ("DEFAULT", "INCLUDES")
_FILTERS_OWN = ("Definition", "Init")
_REFERENCE = re.compile(r"%\(([^)]*)\)s")
# A file with more unused jails than this is a copy of Fail2Ban's jail.conf without its filters.
_COPIED = 10
_YES = ("true", "yes", "on", "enable", "enabled", "active", "start", "started")
_MOST_NAMED = 3
_UNDATED = re.compile(r"[-_.]?(?:\d[\d-]*|[*?]+)")
_WORDS = re.compile(r"[^-_.]+")
_ZIMBRA = re.compile(r"zimbra|zextras|carbonio", re.IGNORECASE)


def passed_over(loaded: Loaded) -> list[Fault]:
    """The warnings that were not already reported while the configuration was read."""
    reported = {(fault.file, fault.line, fault.message) for fault in loaded.jails.faults}
    with regex_budget.limited():
        found = [*_Sections(loaded).lint(), *_without_grammar(loaded), *rivals(loaded)]
    return [fault for fault in found if (fault.file, fault.line, fault.message) not in reported]


class _Sections:
    """Checks the sections that are not enabled jails."""

    def __init__(self, loaded: Loaded) -> None:
        self._files, self._enabled = loaded.files, loaded.jails.enabled
        self._sections = loaded.jails.ini.sections
        values = (option.value for section in self._sections.values() for option in section.values())
        self._referred = {name.lower() for value in values for name in _REFERENCE.findall(value)}
        self._real = {name for name in self._sections if self._is_real(name)}

    def _is_real(self, name: str) -> bool:
        """Whether a section is a jail that is enabled, or could be."""
        return name not in _SPECIAL and (name in self._enabled or self._has_filter(name))

    def _has_filter(self, name: str) -> bool:
        option = self._sections[name].get("filter")
        text = option.value.replace("%(__name__)s", name) if option else name
        try:
            return self._files.filter(split_name(text)[0]) is not None
        except ConfigError:
            return False

    def lint(self) -> Iterator[Fault]:
        unused: dict[str, list[Fault]] = {}
        for name, section in self._sections.items():
            if name in self._enabled:
                continue
            yield from self._misspelt(name, section)
            if name not in self._real and name not in _SPECIAL:
                for fault, near in self._unused(name, section):
                    if near:
                        yield fault
                    else:
                        unused.setdefault(fault.file, []).append(fault)
        for faults in unused.values():
            yield from faults if len(faults) <= _COPIED else []

    def _misspelt(self, name: str, section: Section) -> Iterator[Fault]:
        """Unknown options of a section that is not enabled; those of enabled jails are already reported."""
        jail = None if name in _SPECIAL else name
        for key, option in section.items():
            if key in self._referred:
                continue
            if key.startswith(("zmban.", "zmban_")) and key not in zmban_options.KEYS:
                text = f"{key} is not a jail option; known are: {', '.join(sorted(zmban_options.KEYS))}"
                yield _fault(option, text, jail)
            elif meant := hints.misspelt(key) or (self._switch(section, key) if jail else None):
                off = f", so that [{name[:60]}] stays off" if meant == "enabled" and jail else ""
                yield _fault(option, f"{key} is not a jail option{off}; did you mean {meant}?", jail)

    def _switch(self, section: Section, key: str) -> str | None:
        """`enabled`, if an unknown key has a value that enables; else None."""
        option, switch = section[key], section.get("enabled")
        known = hints.is_variable(key) or key in hints.JAIL_OPTIONS or key in zmban_options.KEYS
        if known or (switch and switch.file == option.file):
            return None
        return "enabled" if option.value.strip().lower() in _YES else None

    def _unused(self, name: str, section: Section) -> Iterator[tuple[Fault, bool]]:
        """A warning for a section that is never enabled and has no filter, and whether its name shows a
        typing error."""
        keys = [key for key in section if key in hints.JAIL_OPTIONS or key in zmban_options.KEYS]
        if not keys or any(path.startswith(f"{name.lower()}/") for path in self._referred):
            return
        first = section[keys[0]]
        if name in _FILTERS_OWN:
            text = f"[{name}] is not read in a jail file; move it to filter.d/NAME.conf"
            yield _fault(first, text, name), True
            return
        meant = hints.closest(name, {*self._real, *_SPECIAL})
        if meant is None and "enabled" in section:
            # A jail without its filter is disabled on purpose.
            return
        named = ", ".join(keys[:_MOST_NAMED]) + (" and more" if len(keys) > _MOST_NAMED else "")
        cure = f"did you mean [{meant}]?" if meant else "there is no jail of this name to override"
        has = plural(len(keys), "has", "have")
        text = f"[{name[:60]}] is never enabled and has no filter: {named} {has} no effect; {cure}"
        yield _fault(first, text, name), meant is not None


def _fault(option: Option, text: str, jail: str | None) -> Fault:
    return Fault(option.file, option.line, text, jail, warning=True)


def _without_grammar(loaded: Loaded) -> Iterator[Fault]:
    """Zimbra's logs under a name that has no grammar."""
    common = loaded.jails.ini.sections.get("DEFAULT", {}).values()
    others = {option.value.strip() for option in common}
    for jail in loaded.jails.jails.values():
        for log in jail.logpath:
            if jail.log or _known(log_name(log.glob)):
                continue
            kind = _kind(jail, others_log=log.glob in others)
            if kind or _ZIMBRA.search(f"{jail.name} {jail.filter.name} {log.glob}"):
                text = _no_grammar(jail, log.glob, kind)
                yield Fault(*loaded.jails.place(jail.name, "logpath"), text, jail.name, warning=True)


def _known(pattern: str) -> bool:
    """Whether the name of this log, or of a log that the glob may match, has a grammar."""
    name = pattern.rpartition("/")[2]
    return of_log(name) is not None or any(fnmatchcase(log, name) for log in LOGS)


def _kind(jail: JailSpec, *, others_log: bool) -> str | None:
    """The name of the log that a filter is for, None if unknown. `others_log`: the configuration also uses
    this log for other programs, whose lines may look alike."""
    grammar = jail.filter.grammar
    if grammar in GRAMMARS:
        return next((log for log, one in LOGS.items() if one == grammar), None)
    lines = [] if others_log and grammar is None else sorted(log for log, _ in taken(jail.filter))
    return max(lines, key=lines.count, default=None)


def _no_grammar(jail: JailSpec, path: str, kind: str | None) -> str:
    grammar = jail.filter.grammar
    if grammar == "log":
        why = "its filter uses the grammar of the log, so it finds no client"
    elif grammar is None:
        why = "the filter alone decides which address is banned, even if a client wrote it into the line"
    else:
        why = "successful logins there do not count as known-good, and forgeable lines are not confirmed"
    if not is_plain(path):
        cure = f"write zmban.log = {kind or 'the name that Zimbra gives the log'} into the jail"
        return f"no grammar for a log named {path[:200]}: {why}; {cure}"
    name = _suggested_name(path, kind)
    known = f"{Path(path).parent}/{name}" if name else f"one of {', '.join(LOGS)}"
    cure = f"rename or link the log to the name that Zimbra uses: {known[:200]}"
    return f"no grammar for a log named {path[:200]}: {why}; {cure}"


def _suggested_name(path: str, kind: str | None) -> str | None:
    """The most similar known log name, else that of the log that the filter is for, if it can be in this
    directory."""
    directory, _, name = path.rpartition("/")
    name = _UNDATED.sub("", name)
    alike = [log for log in LOGS if len(_WORDS.findall(log)) == len(_WORDS.findall(name))]
    if near := hints.closest(name, alike):
        return near
    syslog = kind is not None and LOGS[kind] == "zimbra"
    return None if syslog and _ZIMBRA.search(directory) else kind
