"""Resolves a configuration with Debian's `fail2ban-client -d`, as reference for zmban's reader."""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance import package

_SECTION = re.compile(r"^\[([^\]\n]+)\]", re.MULTILINE)
_SKIPPED = re.compile(r"Jail '(.*?)' skipped, because of wrong configuration: (.*)", re.DOTALL)
# Commands that a jail may have several times, each with its own values.
_LISTS = {
    "addfailregex": "failregex",
    "addignoreregex": "ignoreregex",
    "addjournalmatch": "journalmatch",
    "addignoreip": "ignoreip",
    "addlogpath": "logpath",
    "addaction": "actions",
}


class RefusedError(RuntimeError):
    """Fail2Ban does not start with this configuration; the text is its own."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One jail as it would run. Unset options are None or empty. Times are text as written; the lines of
    `datepattern` are separated by newlines, the words of `journalmatch` by one space."""

    backend: str | None = None
    usedns: str | None = None
    prefregex: str | None = None
    maxlines: int | None = None
    failregex: tuple[str, ...] = ()
    ignoreregex: tuple[str, ...] = ()
    datepattern: str | None = None
    journalmatch: tuple[str, ...] = ()
    maxretry: int | None = None
    maxmatches: int | None = None
    findtime: str | None = None
    bantime: str | None = None
    growth: Mapping[str, Any] = field(
        default_factory=dict
    )  # bantime.increment and similar options, by full name
    ignoreip: tuple[str, ...] = ()
    ignorecommand: str | None = None
    ignoreself: bool | None = None
    ignorecache: str | None = None
    logencoding: str | None = None
    logtimezone: str | None = None
    logpath: tuple[str, ...] = ()  # existing files, each followed by ` head` or ` tail`
    actions: tuple[str, ...] = ()
    properties: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # per action, as dumped


@dataclass(frozen=True, slots=True)
class Dump:
    """The result of `fail2ban-client -d`: the jails that run, the reasons why others do not, logged errors, and
    the exit code (not 0: nothing starts)."""

    jails: dict[str, Resolved]
    skipped: dict[str, str]
    errors: tuple[str, ...]
    status: int

    @property
    def reason(self) -> str:
        """The reason why nothing starts."""
        return "; ".join(self.errors[-3:]) or f"exit code {self.status}"


def dump(directory: Path) -> Dump:
    """Resolve a configuration directory; never raises for its faults."""
    done = package.client("-c", directory, "-d")
    collected: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    strange: list[str] = []
    # Newlines in values are escaped: each command is one line.
    for line in done.stdout.split("\n"):
        if not line.startswith("["):
            continue
        try:
            command = ast.literal_eval(line)
        except (ValueError, SyntaxError):
            strange.append(f"cannot read the dump: {line}")
            continue
        found = _SKIPPED.fullmatch(str(command[1])) if command[0] == "config-error" else None
        if found:
            skipped[found.group(1)] = found.group(2)
        else:
            _collect(command, collected)
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line or not line[:4].isdigit()]
    jails = {name: Resolved(**options) for name, options in collected.items()}
    return Dump(jails, skipped, (*strange, *errors), done.returncode)


def _collect(command: Sequence[Any], jails: dict[str, dict[str, Any]]) -> None:
    match command:
        case ["add", jail, backend]:
            jails[jail] = {"backend": backend, "growth": {}, "properties": {}}
        case ["multi-set", jail, "action", name, values]:
            jails[jail]["properties"][name] = tuple(tuple(pair) for pair in values)
        case ["multi-set", jail, key, values] if key in _LISTS:
            jails[jail][_LISTS[key]] = (*jails[jail].get(_LISTS[key], ()), *values)
        case ["set", jail, "addignoreip", *values]:
            jails[jail]["ignoreip"] = (*jails[jail].get("ignoreip", ()), *values)
        case ["set", jail, key, *values] if key in _LISTS and jail in jails:
            jails[jail][_LISTS[key]] = (*jails[jail].get(_LISTS[key], ()), " ".join(map(str, values)))
        case ["set", jail, key, value] if jail in jails and str(key).startswith("bantime."):
            jails[jail]["growth"][key] = value
        case ["set", jail, key, value] if jail in jails and key in Resolved.__dataclass_fields__:
            jails[jail][key] = value


def resolved(directory: Path) -> dict[str, Resolved]:
    """The jails of a configuration directory. RefusedError if Fail2Ban would not start."""
    done = dump(directory)
    if done.status:
        raise RefusedError(done.reason)
    return done.jails


def resolved_filters(directory: Path, wanted: Iterable[str]) -> dict[str, Resolved]:
    """Resolves each filter (`name[options]`) in a jail that sets nothing else; one call for all.

    RefusedError if Fail2Ban would not start. Filters that it skips are left out.
    """
    names = {f"jail{number}": text for number, text in enumerate(wanted)}
    with tempfile.TemporaryDirectory(prefix="zmban-oracle-") as place:
        target = Path(place)
        # Copied, not linked: an include may use a path relative to its own directory.
        shutil.copytree(directory / "filter.d", target / "filter.d", symlinks=False)
        (target / "fail2ban.conf").write_text("[Definition]\n", encoding="utf-8")
        parts = ["[DEFAULT]\nenabled = true\nbackend = polling\n"]
        for jail, text in names.items():
            escaped = text.replace("%", "%%").replace("\n", "\n    ")
            parts.append(f"[{jail}]\nfilter = {escaped}\n")
        (target / "jail.local").write_text("".join(parts), encoding="utf-8")
        return {names[jail]: found for jail, found in resolved(target).items()}


def resolved_filter(directory: Path, name: str, options: Mapping[str, str]) -> Resolved:
    """One filter with these options. RefusedError if it cannot be read."""
    given = ", ".join(f'{key}="{value}"' for key, value in options.items())
    text = f"{name}[{given}]" if given else name
    found = resolved_filters(directory, [text]).get(text)
    if found is None:
        raise RefusedError(f"{text} is skipped")
    return found


def jail_names(directory: Path) -> list[str]:
    """Every jail that has a section in the files of a directory."""
    files = [directory / "jail.conf", *(directory / "jail.d").glob("*"), directory / "jail.local"]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return list(
        dict.fromkeys(n for t in texts for n in _SECTION.findall(t) if n not in ("DEFAULT", "INCLUDES"))
    )


def forced_on(directory: Path, target: Path) -> None:
    """Copy a configuration to `target` with a jail.local that enables each of its jails."""
    shutil.copytree(directory, target)
    text = "".join(f"[{name}]\nenabled = true\nbackend = polling\n" for name in jail_names(directory))
    (target / "jail.local").write_text(text, encoding="utf-8")


@cache
def seconds(text: str) -> float:
    """A time such as `1d12h` in seconds, as read by Fail2Ban. RefusedError if it is invalid."""
    done = package.client("--str2sec", text)
    if done.returncode:
        raise RefusedError(f"{text!r} is no time: {done.stdout.strip()}")
    return float(done.stdout)
