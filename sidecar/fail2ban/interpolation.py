"""`%(name)s`, `%(section/option)s`, `%(known/option)s`: the values behind an option, resolved."""

from __future__ import annotations

import re

from sidecar.fail2ban.ini import Ini, Option
from sidecar.model import ConfigError

_REFERENCE = re.compile(r"%(?:\(([^)]*)\)s|(%)|(.?))", re.DOTALL)
_DEPTH = 10


class Values:
    """The resolved options of one section over `[DEFAULT]`, with parameters handed in from outside on top."""

    def __init__(self, ini: Ini, section: str, given: dict[str, str] | None = None) -> None:
        self._ini = ini
        self._name = section
        self._section = ini.sections.get(section, {})
        self._default = ini.sections.get("DEFAULT", {})
        self._given = given or {}

    def option(self, key: str) -> Option | None:
        """The raw option that decides, for its file and line."""
        return self._section.get(key) or self._default.get(key)

    def keys(self) -> set[str]:
        """Every option that is visible here."""
        return {*self._section, *self._default, *self._given}

    def get(self, key: str, fallback: str | None = None) -> str | None:
        """The resolved value, or `fallback`. Raises ConfigError naming file and line."""
        if key in self._given:
            return self._given[key]
        option = self.option(key)
        return fallback if option is None else self._resolve(option, key, 0)

    def _resolve(self, option: Option, key: str, depth: int) -> str:
        where = f"{option.file}:{option.line}"
        if depth > _DEPTH:
            raise ConfigError(f"{where}: {key} refers to itself, or through more than {_DEPTH} others")

        def replace(found: re.Match[str]) -> str:
            name, percent, other = found.groups()
            if percent:
                return "%"
            if name is None:
                raise ConfigError(f"{where}: %{other} in {key} is no reference; write %% for a percent sign")
            return self._lookup(name.lower(), option, key, depth, where)

        return _REFERENCE.sub(replace, option.value)

    def _lookup(self, name: str, option: Option, key: str, depth: int, where: str) -> str:
        if name == "__name__":
            return self._name
        if name.startswith("known/"):
            wanted = name.removeprefix("known/")
            if wanted in self._given:
                return self._given[wanted]
            known = option.known if wanted == key else None
            known = (
                known or (self._section.get(wanted) if wanted != key else None) or self._default.get(wanted)
            )
            if known is not None:
                return self._resolve(known, wanted, depth + 1)
        elif "/" in name:
            section, _, wanted = name.partition("/")
            source = self._ini.sections.get(section, {})
            found = source.get(wanted) or self._default.get(wanted)
            if found is not None:
                return self._resolve(found, wanted, depth + 1)
        elif name in self._given:
            return self._given[name]
        else:
            found = self.option(name)
            if found is not None:
                return self._resolve(found, name, depth + 1)
        raise ConfigError(f"{where}: %({name})s in {key} is not set anywhere")
