"""Which of several zmban.toml, and of the variables of the environment, decides each key.

Every key is also an environment variable ZMBAN_SECTION_KEY (lists separated by commas), which wins. A value
that cannot be read gives way to that of the layer below, a bad entry of a list costs itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sidecar.model import Fault, decoded
from sidecar.network import Network, meant
from sidecar.settings.schema import Settings, keys_of, listed
from sidecar.settings.toml import Document, parse

_VARIABLES = "environment"
# Every key as a variable names it, and what one that lacks its section may mean.
_VARIABLE_KEYS = {
    f"{section}_{key}": f"{section}_{key}" for section in Settings.model_fields for key in keys_of(section)
}
_VARIABLE_KEYS |= {key: f"{section}_{key}" for section in ("trust", "kernel") for key in keys_of(section)}
# So many faults are told with their lines: to look for one takes a walk through the file.
_MOST_PLACED = 100


@dataclass(frozen=True)
class Read:
    """The settings, and what is wrong in what they were read from."""

    settings: Settings
    faults: tuple[Fault, ...] = ()


def read(directories: list[Path]) -> Read:
    """Read `zmban.toml` of each directory, a later one over an earlier one, then the environment. Never
    raises. Whom a part of [trust] names that cannot be read is protected, and not believed: a mistake there
    must not ban anybody."""
    layers = [layer for directory in directories if (layer := _file(directory / "zmban.toml"))]
    layers.append(_environment())
    choice = _Choice(layers)
    settings = choice.made()
    spared = tuple(dict.fromkeys(choice.spared))
    if spared:
        trust = settings.trust.model_copy(update={"nodes": (*settings.trust.nodes, *spared)})
        settings = settings.model_copy(update={"trust": trust})
    faults = [fault for layer in layers for fault in layer.faults]
    return Read(settings, tuple(dict.fromkeys([*faults, *choice.faults])))


def _file(path: Path) -> Document | None:
    """What stands in it; None where there is none."""
    name = str(path)
    try:
        if path.exists() and not path.is_file():
            return Document(name, "", faults=[Fault(name, 1, "is no file; write the settings into one")])
        text, doubt = decoded(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return Document(name, "", faults=[Fault(name, 1, f"cannot be read: {error.strerror}")])
    document = parse(text, name)
    if doubt:
        document.faults.append(Fault(name, 1, doubt, warning=True))
    return document


def _environment() -> Document:
    """What the variables of the environment say, by section and key."""
    found = Document(_VARIABLES, "")
    for name, text in os.environ.items():
        zmban, _, rest = name.lower().partition("_")
        section, _, key = rest.partition("_")
        if zmban != "zmban":
            continue
        # One that is misspelt is found out with all other keys that are not known.
        if section in Settings.model_fields:
            found.sections.setdefault(section, {})[key] = text.strip()
        elif near := get_close_matches(rest, _VARIABLE_KEYS, 1, 0.8):
            cure = f"is not known; did you mean ZMBAN_{_VARIABLE_KEYS[near[0]].upper()}?"
            found.faults.append(Fault(f"variable {name}", 1, cure))
            found.lost.append(text)
    return found


@dataclass
class _Choice:
    """The values that are left to choose from, by section and key, that of the topmost layer last."""

    layers: list[Document]
    faults: list[Fault] = field(default_factory=list)
    spared: list[Network] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left: dict[tuple[str, str], list[tuple[Document, Any]]] = {}
        for layer in self.layers:
            for section, keys in layer.sections.items():
                for key, value in keys.items():
                    self._left.setdefault((section, key), []).append((layer, value))
            self.spared += (network for text in layer.lost for network in meant(text))

    def made(self) -> Settings:
        """The settings, once all that cannot be read is left out."""
        while True:
            values: dict[str, dict[str, Any]] = {}
            for (section, key), candidates in self._left.items():
                if candidates:
                    values.setdefault(section, {})[key] = candidates[-1][1]
            try:
                return Settings(**values)
            except ValidationError as error:
                self._leave_out(error.errors())

    def _leave_out(self, errors: list[ErrorDetails]) -> None:
        entries: dict[tuple[str, str], dict[int, str]] = {}
        for error in errors:
            place, message = error["loc"], error["msg"].removeprefix("Value error, ")
            name = str(place[0]), str(place[1]) if len(place) > 1 else ""
            if error["type"] == "extra_forbidden":
                self._unknown(name[0], name[1] if len(place) > 1 else None)
            elif len(place) > 2 and isinstance(place[2], int):
                entries.setdefault(name, {})[place[2]] = message
            elif self._left.get(name):
                self._drop(name, message)
        for name, wrong in entries.items():
            self._without(name, wrong)

    def _unknown(self, section: str, key: str | None) -> None:
        """A section, or a key, that is not known, in whichever layers."""
        there = list(Settings.model_fields) if key is None else keys_of(section)
        one = [(section, key)] if key is not None and (section, key) in self._left else []
        for name in one or [n for n in self._left if n[0] == section and key is None]:
            for layer, value in self._left.pop(name):
                text = f"is not known; there are: {', '.join(there)}"
                self._told(layer, section, key or "", text)
                self._spare(value)

    def _drop(self, name: tuple[str, str], message: str) -> None:
        layer, value = self._left[name].pop()
        below = self._left[name][-1][1] if self._left[name] else "the default"
        self._told(layer, *name, f"{message}; until then it is {below}")
        if name[0] == "trust":
            self._spare(value)

    def _without(self, name: tuple[str, str], wrong: dict[int, str]) -> None:
        """A list without these entries."""
        layer, value = self._left[name].pop()
        entries = list(listed(value))  # type: ignore[call-overload]
        for place, message in wrong.items():
            shown = "" if repr(entries[place]) in message else f"{str(entries[place])[:60]!r}: "
            whom = meant(str(entries[place])) if name[0] == "trust" else []
            cure = f"; until then {', '.join(map(str, whom))} is never banned" if whom else ""
            self._told(layer, *name, f"{shown}{message}{cure}", entries[place])
            self.spared += whom
        kept = [entry for place, entry in enumerate(entries) if place not in wrong]
        self._left[name].append((layer, kept))

    def _spare(self, value: object) -> None:
        self.spared += meant(str(value))

    def _told(self, layer: Document, section: str, key: str, message: str, entry: object = None) -> None:
        few = len(self.faults) < _MOST_PLACED
        file, line = layer.file, layer.line(section, key, entry) if few else 1
        if file == _VARIABLES:
            file = f"variable {'_'.join(('ZMBAN', *filter(None, (section, key)))).upper()}"
        self.faults.append(Fault(file, line, f"[{section}]{f' {key}' if key else ''}: {message}"))
