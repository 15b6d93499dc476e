"""`%(name)s`, `%(section/option)s`, `%(known/option)s`: the values behind an option, resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidecar.fail2ban.syntax.ini import Ini, Option
from sidecar.model import ConfigError

_REFERENCE = re.compile(r"%(?:\(([^)]*)\)s|(%)|(.?))", re.DOTALL)
_DEPTH = 10
# A handful of options that name each other many times could otherwise fill the memory.
_LONGEST = 1 << 17
_MOST = 5000


class LostReferenceError(ConfigError):
    """A reference that leads nowhere; `option` is the one that it stands in."""

    def __init__(self, option: Option, message: str) -> None:
        super().__init__(f"{option.file}:{option.line}: {message}")
        self.option, self.message = option, message


class Values:
    """The resolved options of one section over `[DEFAULT]`, with parameters handed in from outside on top.

    `given` may refer to other options itself; `over` lies below it and is resolved already. `known` answers
    `%(known/option)s` before any earlier file does: for a jail, what its filter has.
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
        """The raw option that decides, for its file and line."""
        return self._section.get(key) or self._default.get(key)

    def layers(self, key: str) -> Iterator[Option]:
        """The raw option that decides, and what counts where it cannot be read: what earlier files say of
        it, then what `[DEFAULT]` says."""
        for option in (self._section.get(key), self._default.get(key)):
            while option:
                yield option
                option = option.known

    def own(self, key: str) -> Option | None:
        """The raw option of the section itself, `[DEFAULT]` left out."""
        return self._section.get(key)

    def common(self, key: str) -> Option | None:
        """The raw option of `[DEFAULT]`."""
        return self._default.get(key)

    def keys(self) -> set[str]:
        """Every option that is visible here."""
        return {*self._section, *self._default, *self._given}

    def get(self, key: str, fallback: str | None = None) -> str | None:
        """The resolved value, or `fallback`. Raises ConfigError naming file and line."""
        if key in self._given:
            return self._given[key]
        option = self.option(key)
        return fallback if option is None else self._resolve(option, key, 1)

    def of(self, path: str) -> str | None:
        """The value of `section/option` as it is in that section, whatever was handed in; None if there is
        none. ConfigError as for `get`."""
        section, _, key = path.partition("/")
        if section.lower() != "default" and section not in self._ini.sections:
            return None
        return Values(self._ini, section).get(key.lower())

    def of_option(self, option: Option, key: str) -> str:
        """The resolved value of this very option, whatever was handed in for its name."""
        return self._resolve(option, key, 1)

    def _resolve(self, option: Option, key: str, depth: int) -> str:
        if "%" not in option.value:
            return option.value
        length = 0
        if depth == 1:
            self._references = 0
        if depth > _DEPTH:
            raise LostReferenceError(
                option, f"{key[:60]} refers to itself, or through more than {_DEPTH} others"
            )

        def replace(found: re.Match[str]) -> str:
            name, percent, other = found.groups()
            if percent:
                return "%"
            if name is None:
                # The character behind it may be a new line, and a message is one line.
                shown = f"%{other}" if other.isprintable() else "%"
                text = f"{shown} in {key[:60]} is no reference; write %% for a percent sign"
                raise LostReferenceError(option, text)
            nonlocal length
            text = self._lookup(name.lower(), option, key, depth)
            length += len(text)
            self._references += 1
            if length > _LONGEST or self._references > _MOST:
                raise LostReferenceError(option, f"{key[:60]} grows without end through what it refers to")
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
        """What an option was before a later file wrote it: within that very value one step further back."""
        newest = current or self._section.get(key)
        return (newest.known if newest else None) or self._default.get(key)

    def _elsewhere(self, section: str, key: str) -> Option | None:
        if section.lower() != "default" and (found := self._ini.sections.get(section, {}).get(key)):
            return found
        return self._default.get(key)
