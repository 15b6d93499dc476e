"""One filter of `filter.d`, resolved: its regexes compiled, each with the file and line it came from."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from sidecar.fail2ban.dates import DateDetector
from sidecar.fail2ban.files import ConfigFiles
from sidecar.fail2ban.ini import Ini, Option
from sidecar.fail2ban.interpolation import Values
from sidecar.fail2ban.tags import HOST_GROUPS, substitute, to_regex
from sidecar.model import ConfigError, Fault

_OPTION = re.compile(
    r"""([\w.-]+(?:\?\w+=\w+)?)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,\]]*))\s*(?:,|(?=\]|$))\s*"""
)
# A jail may write these itself; they replace the filter's.
OVERRIDES = ("prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "usedns", "journalmatch")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regex as the administrator wrote it, ready to run, and where it stands."""

    text: str
    regex: re.Pattern[str]
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """What a filter looks for. `grammar` names the log's grammar, which then says who is to blame."""

    name: str
    failregex: tuple[Pattern, ...]
    ignoreregex: tuple[Pattern, ...] = ()
    prefregex: Pattern | None = None
    datepattern: tuple[str, ...] = ()
    grammar: str | None = None


def split_name(text: str) -> tuple[str, dict[str, str]]:
    """`name[opt=value, other="v"][more=1]` as name and options. ConfigError for anything else."""
    found = re.match(r"\s*([^\[\]\s][^\[\]]*?)\s*((?:\[.*\]\s*)?)$", text, re.DOTALL)
    if not found:
        raise ConfigError(f"{text!r} is no filter or action; write name or name[option=value]")
    options: dict[str, str] = {}
    rest = found.group(2).strip()
    while rest:
        end = 1
        while end < len(rest) and rest[end] != "]":
            one = _OPTION.match(rest, end)
            if not one or one.end() == end:
                raise ConfigError(f"{text!r}: cannot read the options at {rest[end:][:20]!r}")
            options[one.group(1)] = next((g for g in one.groups()[1:] if g is not None), "").strip()
            end = one.end()
        rest = rest[end + 1 :].strip()
    return found.group(1), options


def load(
    files: ConfigFiles, name: str, given: dict[str, str], jail: Values | None
) -> tuple[FilterSpec, list[Fault]]:
    """Resolve filter NAME with the parameters of a jail. ConfigError where it cannot be read at all."""
    ini = files.filter(name)
    if ini is None:
        places = ", ".join(f"{d}/filter.d/{name}.conf" for d in files.directories)
        raise ConfigError(f"filter {name} is not there; looked for {places}")
    return _resolve(ini, name, given, jail)


def inline(text: str, ignore: str | None = None) -> tuple[FilterSpec, list[Fault]]:
    """The filter of one regex given on a command line."""
    ini = Ini()
    options = {"failregex": Option(text, "<command line>", (1,))}
    if ignore:
        options["ignoreregex"] = Option(ignore, "<command line>", (1,))
    ini.sections["Definition"] = options
    return _resolve(ini, "regex", {}, None, raw=True)


def from_file(files: ConfigFiles, path: Path, given: dict[str, str]) -> tuple[FilterSpec, list[Fault]]:
    """The filter in one file named by its path, with its includes."""
    return _resolve(files.alone(path), str(path), given, None)


def _resolve(
    ini: Ini, name: str, given: dict[str, str], jail: Values | None, *, raw: bool = False
) -> tuple[FilterSpec, list[Fault]]:
    parameters = {"logtype": "file", **_init(ini), **given}
    values = Values(ini, "Definition", parameters)
    source = _Source(values, jail, raw)
    faults = list(ini.faults)
    for key, option in ini.sections.get("Definition", {}).items():
        if key.startswith("zmban") and key != "zmban.grammar":
            faults.append(
                Fault(option.file, option.line, f"{key} is not known in a filter; there is: zmban.grammar")
            )

    def patterns(key: str) -> tuple[Pattern, ...]:
        return tuple(_compile(source, key, faults))

    spec = FilterSpec(
        name=name,
        failregex=patterns("failregex"),
        ignoreregex=patterns("ignoreregex"),
        prefregex=next(iter(patterns("prefregex")), None),
        datepattern=tuple(text for text, _ in source.lines("datepattern")),
        grammar=values.get("zmban.grammar"),
    )
    file, line = source.place("failregex")
    if not spec.failregex and not faults:
        faults.append(Fault(file, line, f"filter {name} has no failregex"))
    try:
        DateDetector(UTC, list(spec.datepattern) or None)
    except ConfigError as error:
        faults.append(Fault(*source.place("datepattern"), str(error)))
    if spec.grammar is None:
        groups = set(spec.prefregex.regex.groupindex) if spec.prefregex else set()
        for pattern in spec.failregex:
            if not ({*pattern.regex.groupindex, *groups} & {*HOST_GROUPS, "mlfid"}):
                faults.append(
                    Fault(pattern.file, pattern.line, f"no <HOST> in {pattern.text!r}: nobody to ban")
                )
    return spec, faults


def _init(ini: Ini) -> dict[str, str]:
    values = Values(ini, "Init")
    return {key: values.get(key) or "" for key in ini.sections.get("Init", {})}


class _Source:
    """Where the lines of an option of a filter come from: the jail that overrides it, or the filter."""

    def __init__(self, values: Values, jail: Values | None, raw: bool) -> None:
        self._values, self._jail, self._raw = values, jail, raw

    def _chosen(self, key: str) -> tuple[Values, Option | None]:
        if self._jail is not None and key in OVERRIDES and (option := self._jail.option(key)):
            return self._jail, option
        return self._values, self._values.option(key)

    def place(self, key: str) -> tuple[str, int]:
        option = self._chosen(key)[1]
        return (option.file, option.line) if option else ("filter", 1)

    def lines(self, key: str) -> list[tuple[str, int]]:
        """The resolved lines with the number of the file's line each came from."""
        values, option = self._chosen(key)
        if self._raw and option:
            return [(option.value, option.line)]
        text = values.get(key)
        if not text or option is None:
            return []
        resolved = substitute(text, self._tag).split("\n")
        exact = len(resolved) == len(option.lines)
        return [
            (line.strip(), option.lines[i] if exact else option.line)
            for i, line in enumerate(resolved)
            if line.strip()
        ]

    def _tag(self, name: str) -> str | None:
        try:
            return self._values.get(name.lower() if "/" not in name else name)
        except ConfigError:
            return None


def _compile(source: _Source, key: str, faults: list[Fault]) -> list[Pattern]:
    done: list[Pattern] = []
    file, first = source.place(key)
    try:
        lines = source.lines(key)
    except ConfigError as error:
        faults.append(Fault(file, first, str(error)))
        return done
    for text, number in lines:
        try:
            # Doubtful sets such as [[a] compile with a warning; they are the administrator's to know.
            with warnings.catch_warnings(record=True) as doubts:
                warnings.simplefilter("always")
                regex = re.compile(to_regex(text))
            for doubt in doubts:
                faults.append(Fault(file, number, f"{key}: {doubt.message}", warning=True))
            done.append(Pattern(text, regex, file, number))
        except (re.error, OverflowError, RecursionError) as error:
            faults.append(Fault(file, number, f"{key} does not compile: {error}: {text[:200]!r}"))
    return done
