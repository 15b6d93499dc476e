"""Resolves `%(name)s`, `%(section/option)s` and `%(known/option)s` references in option values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidecar.fail2ban.syntax.ini import Ini, Option
from sidecar.model import ConfigError

_REFERENCE = re.compile(r"%(?:\(([^)]*)\)s|(%)|(.?))", re.DOTALL)
_DEPTH = 10
# A few options that refer to each other many times could otherwise fill the memory.
_LONGEST = 1 << 17
_MOST = 5000


class LostReferenceError(ConfigError):
    """A reference that cannot be resolved; `option` is the option that contains it."""

    def __init__(self, option: Option, message: str) -> None:
        super().__init__(f"{option.file}:{option.line}: {message}")
        self.option, self.message = option, message


class Values:
    """The resolved options of one section over `[DEFAULT]`, overridden by parameters.

    `given` are parameters that may contain references; `over` has lower priority and is already resolved.
    `known` resolves `%(known/option)s` before earlier files do: for a jail, the options of its filter.
    """

    def __init__(
        self,
        ini: Ini,
        section: str,
        given: Mapping[str, str] | None = None,
        known: Mapping[str, str] | None = None,
        over: Mapping[str, str] | None = None,
    ) -> None:
        self._ini = ini
        self._name = section
        self._section = ini.sections.get(section, {})
        self._default = ini.sections.get("DEFAULT", {})
        self._given = given or {}
        self._known = known or {}
        self._over = over or {}
        self._references = 0

    def option(self, key: str) -> Option | None:
        """The raw option that applies, for its file and line."""
        return self._section.get(key) or self._default.get(key)

    def layers(self, key: str) -> Iterator[Option]:
        """The raw option that applies, then those that apply if it is invalid: the values of earlier files,
        then those of `[DEFAULT]`."""
        for option in (self._section.get(key), self._default.get(key)):
            while option:
                yield option
                option = option.known

    def own(self, key: str) -> Option | None:
        """The raw option of the section itself, without `[DEFAULT]`."""
        return self._section.get(key)

    def common(self, key: str) -> Option | None:
        """The raw option of `[DEFAULT]`."""
        return self._default.get(key)

    def keys(self) -> set[str]:
        """The names of all visible options."""
        return {*self._section, *self._default, *self._given}

    def get(self, key: str, fallback: str | None = None) -> str | None:
        """The resolved value, or `fallback` if the option is not set. Raises ConfigError with file and
        line."""
        if key in self._given:
            return self._given[key]
        option = self.option(key)
        return fallback if option is None else self._resolve(option, key, 1)

    def of(self, path: str) -> str | None:
        """The value of `section/option` as resolved in that section, without parameters; None if it does not
        exist. Raises ConfigError as `get`."""
        section, _, key = path.partition("/")
        if section.lower() != "default" and section not in self._ini.sections:
            return None
        return Values(self._ini, section).get(key.lower())

    def of_option(self, option: Option, key: str) -> str:
        """The resolved value of this raw option, ignoring parameters of the same name."""
        return self._resolve(option, key, 1)

    def _resolve(self, option: Option, key: str, depth: int) -> str:
        if "%" not in option.value:
            return option.value
        length = 0
        if depth == 1:
            self._references = 0
        if depth > _DEPTH:
            raise LostReferenceError(
                option, f"{key[:60]} refers to itself, or nests more than {_DEPTH} references"
            )

        def replace(found: re.Match[str]) -> str:
            name, percent, other = found.groups()
            if percent:
                return "%"
            if name is None:
                # The next character may be a newline, which must not break the message.
                shown = f"%{other}" if other.isprintable() else "%"
                text = f"{shown} in {key[:60]} is not a reference; write %% for a percent sign"
                raise LostReferenceError(option, text)
            nonlocal length
            text = self._lookup(name.lower(), option, key, depth)
            length += len(text)
            self._references += 1
            if length > _LONGEST or self._references > _MOST:
                raise LostReferenceError(option, f"{key[:60]} expands without end through its references")
            return text

        return _REFERENCE.sub(replace, option.value)

    def _lookup(self, name: str, option: Option, key: str, depth: int) -> str:
        section, slash, wanted = name.partition("/")
        found: Option | None
        if name in self._given:
            text = Option(self._given[name], option.file, option.lines)
            return self._resolve(text, name, depth + 1)
        if name in self._over:
            return self._over[name]
        if not slash:
            if name == "__name__":
                return self._name
            found, wanted = self.option(name), name
        elif section == "known":
            if wanted in self._known:
                return self._known[wanted]
            found = self._previous(wanted, option if wanted == key else None)
        else:
            found = self._elsewhere(section, wanted)
        if found is None:
            raise LostReferenceError(option, f"%({name[:60]})s in {key[:60]} is not set anywhere")
        return self._resolve(found, wanted, depth + 1)

    def _previous(self, key: str, current: Option | None) -> Option | None:
        """The value that a later file overrode. Inside the value of `current` itself, the one before that."""
        newest = current or self._section.get(key)
        return (newest.known if newest else None) or self._default.get(key)

    def _elsewhere(self, section: str, key: str) -> Option | None:
        if section.lower() != "default" and (found := self._ini.sections.get(section, {}).get(key)):
            return found
        return self._default.get(key)
