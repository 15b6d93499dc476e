"""Resolves a filter of `filter.d`: compiles its regexes, each with the file and line it came from."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sidecar.fail2ban.dates.datepatterns import expand
from sidecar.fail2ban.parameters import Parameters
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.fail2ban.syntax.ini import Ini, Option
from sidecar.fail2ban.syntax.interpolation import LostReferenceError, Values
from sidecar.fail2ban.syntax.tags import HOST_GROUPS, to_regex
from sidecar.model import ConfigError, Fault

_MOST_LINES = 1000
# Compiling this many takes a second; more would delay the start of the service.
_MOST_REGEXES = 2000
# Options that a jail may set itself, overriding the filter's.
OVERRIDES = ("prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "usedns", "journalmatch")


# Groups that capture the host, or the session it belongs to.
_NAMING = {*HOST_GROUPS, "mlfid"}
# Without one of these options a filter matches more than intended, so a fault in it stops the jail.
_NARROWING = ("prefregex", "ignoreregex")
# Set in the filter's brackets or in [Init], these override the jail's own options ...
_FILTER_FIRST = ("prefregex", "maxlines", "usedns")
# ... and these are added in front of them.
_BOTH = ("failregex", "ignoreregex", "journalmatch")

# Returns the options of a jail, given those of its filter: for `%(known/failregex)s` in the jail.
Jail = Callable[[Mapping[str, str]], Values]


def load(
    files: ConfigFiles, name: str, given: dict[str, str], jail: Jail | None = None
) -> tuple[FilterSpec, list[Fault]]:
    """Resolve filter NAME with the parameters of a jail. Raises ConfigError if there is no such filter."""
    ini = files.filter(name)
    if ini is None:
        raise ConfigError(_missing(files, name))
    return _Resolution(ini, Parameters(ini, given), jail).spec(name)


def _missing(files: ConfigFiles, name: str) -> str:
    """The message for a filter that was not found: file without suffix, directory, misspelt or missing."""
    bare = files.without_ending(name)
    if bare is not None:
        return f"filter {name[:80]} not found: {bare} lacks the suffix .conf; rename it to {bare.name}.conf"
    folder = files.instead_of(name)
    if folder is not None:
        return f"filter {name[:80]} not found: {folder} is a directory; replace it by the file"
    places = ", ".join(f"{d}/filter.d/{name[:80]}.conf" for d in files.directories)
    return f"filter {name[:80]} not found; looked for {places}{hints.near(name, files.filter_names())}"


def from_jail(ini: Ini, name: str) -> tuple[FilterSpec, list[Fault]]:
    """The filter of a jail that names no filter and sets failregex itself."""
    return _Resolution(Ini(), Parameters(Ini(), {}), lambda known: Values(ini, name, {}, known)).spec(name)


def inline(
    text: str, ignore: str | None = None, *, usedns: str = "warn", datepattern: str = "", maxlines: str = ""
) -> tuple[FilterSpec, list[Fault]]:
    """The filter of one regex given on a command line."""
    ini = Ini()
    options = {
        "failregex": text,
        "ignoreregex": ignore or "",
        "usedns": usedns,
        "datepattern": datepattern,
        "maxlines": maxlines,
    }
    # On a command line a percent sign is literal.
    ini.sections["Definition"] = {
        key: Option(value.replace("%", "%%"), "<command line>", (1,)) for key, value in options.items()
    }
    return _Resolution(ini, Parameters(ini, {}), None).spec("regex")


def from_file(files: ConfigFiles, path: Path, given: dict[str, str]) -> tuple[FilterSpec, list[Fault]]:
    """The filter in the file at `path`, with its includes."""
    ini = files.alone(path)
    return _Resolution(ini, Parameters(ini, given), None).spec(str(path))


class _Resolution:
    """One filter while it is resolved: the source of each option, and the faults found."""

    def __init__(self, ini: Ini, parameters: Parameters, jail: Jail | None) -> None:
        self._ini, self._parameters = ini, parameters
        self._jail = jail(parameters) if jail else None
        self.faults = list(ini.faults)

    def spec(self, name: str) -> tuple[FilterSpec, list[Fault]]:
        for key, option in self._ini.sections.get("Definition", {}).items():
            if key.startswith("zmban") and key != "zmban.grammar":
                text = f"{key} is not a filter option; known is: zmban.grammar"
                self.faults.append(Fault(option.file, option.line, text))
        usedns = self._usedns()
        names = usedns != "no"
        maxlines = self._maxlines()
        prefregex = self._patterns("prefregex", maxlines, names=names, whole=True)
        spec = FilterSpec(
            name=name,
            failregex=tuple(self._failregex(maxlines, names=names)),
            ignoreregex=tuple(self._patterns("ignoreregex", maxlines, names=names)),
            prefregex=next(iter(prefregex), None),
            datepattern=self._datepattern(),
            grammar=self._parameters.definition.get("zmban.grammar"),
            usedns=usedns,
            maxlines=maxlines,
            journalmatch=tuple(text for text, _ in self._lines("journalmatch")),
        )
        spec = self._drop_hostless(spec)
        self._require_failregex(spec)
        return spec, list(dict.fromkeys(self.faults))

    def _require_failregex(self, spec: FilterSpec) -> None:
        """Stop the jail if no usable failregex is left."""
        if spec.failregex:
            return
        wrong = [place for place, fault in enumerate(self.faults) if not fault.warning]
        if wrong:
            self.faults[wrong[-1]] = replace(self.faults[wrong[-1]], stops=True)
        else:
            text = f"filter {spec.name} has no failregex{self._elsewhere()}"
            self.faults.append(Fault(*self._place("failregex"), text, stops=True))

    def _drop_hostless(self, spec: FilterSpec) -> FilterSpec:
        """Drop the failregexes that capture no host."""
        groups = set(spec.prefregex.regex.groupindex) if spec.prefregex else set()
        if spec.grammar is not None or groups & _NAMING:
            return spec
        good: list[Pattern] = []
        for pattern in spec.failregex:
            if _NAMING & {*pattern.regex.groupindex}:
                good.append(pattern)
                continue
            text = f"no <HOST> in {pattern.text[:200]!r}: no address to ban{hints.lost_host(pattern.text)}"
            self.faults.append(Fault(pattern.file, pattern.line, text))
        return replace(spec, failregex=tuple(good))

    def _elsewhere(self) -> str:
        """Hint at a failregex in a section that is not read, as the end of a sentence."""
        for name, section in self._ini.sections.items():
            if name not in ("Definition", "Init", "DEFAULT") and "failregex" in section:
                return f"; the one in [{name[:60]}] is not read: write [Definition] above it"
        return "; add failregex = ... to its [Definition]"

    def _option(self, key: str) -> tuple[bool, Option | None]:
        """The option that applies, and whether it is the jail's own (True) or the filter's."""
        option = self._jail.option(key) if self._jail is not None and key in OVERRIDES else None
        if option is None or (key in _FILTER_FIRST and self._parameters.handed(key)):
            return False, self._parameters.option(key)
        return True, option

    def _place(self, key: str) -> tuple[str, int]:
        option = self._option(key)[1]
        return (option.file, option.line) if option else (next(iter(self._ini.files), "filter"), 1)

    def _text(self, key: str) -> str:
        """The resolved text of an option; "" with a fault if it cannot be resolved."""
        own, option = self._option(key)
        try:
            # In a jail's own option tags are not parameters: they are host tags, or stay as they are.
            return (self._jail.get(key) if own and self._jail else self._parameters.get(key)) or ""
        except LostReferenceError as error:
            self._add_fault(key, error.option, error.message)
        except ConfigError as error:
            self._add_fault(key, option, str(error))
        return ""

    def _add_fault(self, key: str, option: Option | None, message: str) -> None:
        """Report an unresolvable option; the jail stops if it would match too much without it."""
        file, line = (option.file, option.line) if option else ("filter", 1)
        self.faults.append(Fault(file, line, message, stops=key in _NARROWING))

    def _lines(self, key: str) -> list[tuple[str, int]]:
        """The resolved lines, each with its line number in the file."""
        option = self._option(key)[1]
        resolved = self._text(key).split("\n")
        exact = option is not None and len(resolved) == len(option.lines)
        first = option.line if option else 1
        found = [
            (line, option.lines[i] if exact and option else first)
            for i, line in enumerate(resolved)
            if line.strip()
        ]
        return [*self._handed(key), *found]

    def _handed(self, key: str) -> list[tuple[str, int]]:
        """The lines from the filter's brackets or [Init] that precede those of the jail itself."""
        own, option = self._option(key)
        if not own or option is None or key not in _BOTH or not self._parameters.handed(key):
            return []
        text = self._parameters.get(key) or ""
        return [(line, option.line) for line in text.split("\n") if line.strip()]

    def _usedns(self) -> str:
        word = self._text("usedns").strip().lower()
        if word in ("", "yes", "warn", "no", "raw"):
            return word or "warn"
        text = f"usedns = {word[:60]!r} is unknown and is read as no; write yes, warn, no or raw"
        self.faults.append(Fault(*self._place("usedns"), text, warning=True))
        return "no"

    def _datepattern(self) -> tuple[str, ...]:
        """The valid lines of `datepattern`; without any the default patterns apply."""
        good: list[str] = []
        for text, number in self._lines("datepattern"):
            try:
                expand([text])
                good.append(text)
            except ConfigError as error:
                self.faults.append(Fault(self._place("datepattern")[0], number, str(error)))
        try:
            expand(good)
        except ConfigError as error:
            self.faults.append(Fault(*self._place("datepattern"), str(error)))
            return ()
        return tuple(good)

    def _maxlines(self) -> int:
        text = self._text("maxlines").strip() or "1"
        if text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= _MOST_LINES:
            return int(text)
        message = f"maxlines = {text[:40]!r} is not a whole number from 1 to {_MOST_LINES}"
        self.faults.append(Fault(*self._place("maxlines"), message))
        return 1

    def _failregex(self, maxlines: int, *, names: bool) -> list[Pattern]:
        """The failregexes that compile; if none does, those of the layer below."""
        found = self._patterns("failregex", maxlines, names=names)
        option = self._option("failregex")[1]
        for below, text in () if found or option is None else self._parameters.below("failregex", option):
            lines = [(line, below.line) for line in text.split("\n") if line.strip()]
            if found := self._compiled("failregex", below.file, lines, maxlines, names=names):
                break
        return found

    def _patterns(self, key: str, maxlines: int, *, names: bool, whole: bool = False) -> list[Pattern]:
        file, first = self._place(key)
        lines = [(self._text(key).strip(), first)] if whole else self._lines(key)
        if len(lines) > _MOST_REGEXES:
            text = f"{key} has {len(lines)} lines; the limit is {_MOST_REGEXES}, so join some with (?:a|b)"
            self.faults.append(Fault(file, first, text, stops=key in _NARROWING))
            return []
        return self._compiled(key, file, lines, maxlines, names=names)

    def _compiled(
        self, key: str, file: str, lines: list[tuple[str, int]], maxlines: int, *, names: bool
    ) -> list[Pattern]:
        done: list[Pattern] = []
        for text, number in lines:
            if not text:
                continue
            try:
                # Ambiguous sets such as [[a] compile with a warning, which is passed on to the administrator.
                with warnings.catch_warnings(record=True) as doubts:
                    warnings.simplefilter("always")
                    flags = re.MULTILINE if maxlines > 1 else 0
                    regex = re.compile(to_regex(text, names=names), flags)
                for doubt in doubts:
                    self.faults.append(Fault(file, number, f"{key}: {doubt.message}", warning=True))
                done.append(Pattern(text, regex, file, number))
            except (re.error, OverflowError, RecursionError, ValueError) as error:
                why = f"{key} does not compile: {text[:200]!r}: {hints.compiling(error, text)}"
                self.faults.append(Fault(file, number, why, stops=key in _NARROWING))
        return done
