"""The values of a filter's tags: from the jail, else [Init], else [Definition], else [DEFAULT]."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

from sidecar.fail2ban.syntax.ini import Ini, Option
from sidecar.fail2ban.syntax.interpolation import Values
from sidecar.fail2ban.syntax.tags import HOST_TAGS, substitute
from sidecar.model import ConfigError


class Parameters(Mapping[str, str]):
    """The options of one filter, resolved lazily. `get` and indexing raise ConfigError for an option that
    cannot be resolved."""

    def __init__(self, ini: Ini, given: Mapping[str, str]) -> None:
        own = ini.sections.get("Definition", {})
        # Fail2Ban passes `logtype` (file or journal) to the filter; zmban only reads files.
        automatic = {} if "logtype" in own else {"logtype": "file"}
        self._given = {**automatic, **given}
        # Tag names are case-insensitive; a parameter of exactly the same case takes precedence.
        self._given_by = {name.lower(): name for name in self._given}
        self._init = Values(ini, "Init")
        # Resolved values, since a jail reads the same option many times.
        self._seen: dict[str, str] = {}
        self._bare = Values(ini, "Definition")
        self._plain = Values(ini, "Definition", self._given)
        self.definition = Values(ini, "Definition", self._given, over=_resolved(self._init, ini))

    def option(self, key: str) -> Option | None:
        """The raw option that applies, for its file and line."""
        return self._init.own(key) or self.definition.option(key)

    def below(self, key: str, than: Option) -> Iterator[tuple[Option, str]]:
        """The values of an option in the layers below `than`, resolved; unresolvable ones are skipped."""
        own = [*self.definition.layers(key)]
        for option in own[own.index(than) + 1 :] if than in own else own:
            with contextlib.suppress(ConfigError):
                yield option, substitute(self.definition.of_option(option, key), self._tag)

    def handed(self, key: str) -> bool:
        """Whether an option comes from the jail's brackets or from [Init] instead of [Definition]."""
        return key in self._given or self._init.own(key) is not None

    def text(self, key: str) -> str | None:
        """The resolved text of an option with all known tags replaced; None if it is not set."""
        value = self._raw(key)
        return value if value is None else substitute(value, self._tag)

    def _raw(self, key: str) -> str | None:
        if key in self._given:
            return self._given[key]
        return self._init.get(key) if self._init.own(key) else self._defined(key)

    def _defined(self, key: str, *, known: bool = False) -> str | None:
        if self.definition.own(key):
            return (self._bare if known else self.definition).get(key)
        # An option of [DEFAULT] does not see those of [Init].
        return self._plain.get(key)

    def _tag(self, name: str, *, known: bool = False) -> str | None:
        section, slash, key = name.partition("/")
        if slash and not name.startswith("F-"):
            return self._previous(key.lower()) if section == "known" else self.definition.of(name)
        if name in self._given:
            return self._given[name]
        plain = name.lower()
        exact = name == plain and self._init.own(plain) is not None
        if not exact and plain in self._given_by:
            return self._given[self._given_by[plain]]
        if name in HOST_TAGS and not self.definition.option(plain):
            # A host tag of the regex, not a parameter.
            return None
        return self._init.get(plain) if exact else self._defined(plain, known=known)

    def _previous(self, key: str) -> str | None:
        """The value of an option in the filter's own files, before the jail or a later file overrode it."""
        source = self._init if self._init.own(key) else self._bare
        own, common = source.own(key), source.common(key)
        # Before a later file added the option, [DEFAULT] applied.
        option = (own.known or (own.late and common) or own) if own else common
        return source.of_option(option, key) if option else None

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        value = self.text(key)
        return default if value is None else value

    def __getitem__(self, key: str) -> str:
        """The value that a jail sees as `%(known/option)s`: its `%()` references do not see [Init], and those
        inside tags do not see the jail's parameters."""
        if key not in self._seen:
            value = self._raw(key) if self.handed(key) else self._plain.get(key)
            if value is None:
                raise KeyError(key)
            self._seen[key] = substitute(value, partial(self._tag, known=True))
        return self._seen[key]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and (key in self._given or self.option(key) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter({*self.definition.keys(), *self._init.keys()})

    def __len__(self) -> int:
        return len({*self.definition.keys(), *self._init.keys()})


def _resolved(init: Values, ini: Ini) -> dict[str, str]:
    """The options of [Init], resolved; unresolvable ones are left out."""
    found: dict[str, str] = {}
    for key in ini.sections.get("Init", {}):
        try:
            found[key] = init.get(key) or ""
        except ConfigError:
            continue
    return found
