"""What a configuration says that has no effect and is no error: words that nobody reads, sections that nobody
switches on, logs of which the name says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from sidecar.configuration.loading import Loaded
from sidecar.detect.grammar import GRAMMARS, LOGS, of_log
from sidecar.fail2ban import own
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.ini import Option, Section
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.host import regex_budget
from sidecar.model import ConfigError, Fault, plural
from sidecar.offline.check.rivals import rivals
from sidecar.offline.check.typical import taken

_SPECIAL = ("DEFAULT", "INCLUDES")
_FILTERS_OWN = ("Definition", "Init")
_REFERENCE = re.compile(r"%\(([^)]*)\)s")
# A file with more idle jails than this is a copy of Fail2Ban's jail.conf without its filters.
_COPIED = 10
_YES = ("true", "yes", "on", "enable", "enabled", "active", "start", "started")
_MOST_NAMED = 3
_UNDATED = re.compile(r"[-_.]?(?:\d[\d-]*|[*?]+)")
_WORDS = re.compile(r"[^-_.]+")
_ZIMBRA = re.compile(r"zimbra|zextras|carbonio", re.IGNORECASE)


def passed_over(loaded: Loaded) -> list[Fault]:
    """A warning for each, where nothing was said of it while the configuration was read."""
    told = {(fault.file, fault.line, fault.message) for fault in loaded.jails.faults}
    with regex_budget.kept():
        found = [*_Sections(loaded).lint(), *_nameless(loaded), *rivals(loaded)]
    return [fault for fault in found if (fault.file, fault.line, fault.message) not in told]


class _Sections:
    """The sections that no jail runs from."""

    def __init__(self, loaded: Loaded) -> None:
        self._files, self._enabled = loaded.files, loaded.jails.enabled
        self._sections = loaded.jails.ini.sections
        values = (option.value for section in self._sections.values() for option in section.values())
        self._referred = {name.lower() for value in values for name in _REFERENCE.findall(value)}
        self._real = {name for name in self._sections if self._is_real(name)}

    def _is_real(self, name: str) -> bool:
        """Whether a section is a jail that runs, or could be switched on."""
        return name not in _SPECIAL and (name in self._enabled or self._has_filter(name))

    def _has_filter(self, name: str) -> bool:
        option = self._sections[name].get("filter")
        text = option.value.replace("%(__name__)s", name) if option else name
        try:
            return self._files.filter(split_name(text)[0]) is not None
        except ConfigError:
            return False

    def lint(self) -> Iterator[Fault]:
        idle: dict[str, list[Fault]] = {}
        for name, section in self._sections.items():
            if name in self._enabled:
                continue
            yield from self._misspelt(name, section)
            if name not in self._real and name not in _SPECIAL:
                for fault, near in self._idle(name, section):
                    if near:
                        yield fault
                    else:
                        idle.setdefault(fault.file, []).append(fault)
        for faults in idle.values():
            yield from faults if len(faults) <= _COPIED else []

    def _misspelt(self, name: str, section: Section) -> Iterator[Fault]:
        """Of a jail that runs this was said while it was read."""
        jail = None if name in _SPECIAL else name
        for key, option in section.items():
            if key in self._referred:
                continue
            if key.startswith(("zmban.", "zmban_")) and key not in own.KEYS:
                text = f"{key} is not known in a jail; there are: {', '.join(sorted(own.KEYS))}"
                yield _fault(option, text, jail)
            elif meant := hints.misspelt(key) or (self._switch(section, key) if jail else None):
                off = f", so that [{name[:60]}] stays off" if meant == "enabled" and jail else ""
                yield _fault(option, f"{key} is not known in a jail{off}; did you mean {meant}?", jail)

    def _switch(self, section: Section, key: str) -> str | None:
        """`enabled` for a word that nobody reads and that is answered as a switch is."""
        option, switch = section[key], section.get("enabled")
        told = hints.is_variable(key) or key in hints.JAIL_OPTIONS or key in own.KEYS
        if told or (switch and switch.file == option.file):
            return None
        return "enabled" if option.value.strip().lower() in _YES else None

    def _idle(self, name: str, section: Section) -> Iterator[tuple[Fault, bool]]:
        """Options of a jail that nobody switches on, and that has no filter; and whether its place or its
        name shows a mistake."""
        keys = [key for key in section if key in hints.JAIL_OPTIONS or key in own.KEYS]
        if not keys or any(path.startswith(f"{name.lower()}/") for path in self._referred):
            return
        first = section[keys[0]]
        if name in _FILTERS_OWN:
            text = f"[{name}] belongs into a filter: write it into filter.d/NAME.conf, here nobody reads it"
            yield _fault(first, text, name), True
            return
        meant = hints.closest(name, {*self._real, *_SPECIAL})
        if meant is None and "enabled" in section:
            # Who has no filter for a jail has a reason to switch it off.
            return
        named = ", ".join(keys[:_MOST_NAMED]) + (" and more" if len(keys) > _MOST_NAMED else "")
        cure = f"did you mean [{meant}]?" if meant else "no jail of this name is there to be changed"
        does = plural(len(keys), "does", "do")
        text = f"[{name[:60]}] is switched on by nobody and has no filter: {named} {does} nothing; {cure}"
        yield _fault(first, text, name), meant is not None


def _fault(option: Option, text: str, jail: str | None) -> Fault:
    return Fault(option.file, option.line, text, jail, warning=True)


def _nameless(loaded: Loaded) -> Iterator[Fault]:
    """Logs of Zimbra under a name that tells no grammar."""
    common = loaded.jails.ini.sections.get("DEFAULT", {}).values()
    others = {option.value.strip() for option in common}
    for jail in loaded.jails.jails.values():
        for log in jail.logpath:
            if _known(log.glob):
                continue
            kind = _kind(jail, others_log=log.glob in others)
            if kind or _ZIMBRA.search(f"{jail.name} {jail.filter.name} {log.glob}"):
                text = _of_no_name(jail, log.glob, kind)
                yield Fault(*loaded.jails.place(jail.name, "logpath"), text, jail.name, warning=True)


def _known(pattern: str) -> bool:
    """Whether a log of this name, or one that the glob may find, has a grammar."""
    name = pattern.rpartition("/")[2]
    return of_log(name) is not None or any(fnmatchcase(log, name) for log in LOGS)


def _kind(jail: JailSpec, *, others_log: bool) -> str | None:
    """The name of the log that a filter is for. `others_log`: the configuration itself has this log for other
    programs, whose lines may look alike."""
    grammar = jail.filter.grammar
    if grammar in GRAMMARS:
        return next((log for log, one in LOGS.items() if one == grammar), None)
    lines = [] if others_log and grammar is None else sorted(log for log, _ in taken(jail.filter))
    return max(lines, key=lines.count, default=None)


def _of_no_name(jail: JailSpec, path: str, kind: str | None) -> str:
    grammar = jail.filter.grammar
    if grammar == "log":
        why = "its filter takes the grammar of its log, and so finds nobody"
    elif grammar is None:
        why = "whom the filter names is banned, though a client may have written the name into the line"
    else:
        why = "who logs in there is not known as good, and lines that can be forged are believed at once"
    name = _named(path, kind)
    known = f"{Path(path).parent}/{name}" if name else f"one of {', '.join(LOGS)}"
    cure = f"give it, or a link to it, the name that Zimbra gives it: {known[:200]}"
    return f"no grammar knows a log of the name {path[:200]}: {why}; {cure}"


def _named(path: str, kind: str | None) -> str | None:
    """The known name that is near, else that of the log that the filter is for, where such a log can lie."""
    directory, _, name = path.rpartition("/")
    name = _UNDATED.sub("", name)
    alike = [log for log in LOGS if len(_WORDS.findall(log)) == len(_WORDS.findall(name))]
    if near := hints.closest(name, alike):
        return near
    syslog = kind is not None and LOGS[kind] == "zimbra"
    return None if syslog and _ZIMBRA.search(directory) else kind
