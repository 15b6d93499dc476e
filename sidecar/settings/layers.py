"""Merges several zmban.toml and the environment variables, key by key.

Every key is also an environment variable ZMBAN_SECTION_KEY (lists separated by commas), which overrides the
files. An invalid value is replaced by that of the layer below; an invalid list entry is dropped alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sidecar.file_text import decoded
from sidecar.model import Fault
from sidecar.network import Network, meant
from sidecar.settings.schema import SECRET, Settings, keys_of, listed
from sidecar.settings.toml import Document, parse

_VARIABLES = "environment"
# Variable names without ZMBAN_, mapped to the key they mean; some are accepted as typos without a section.
_VARIABLE_KEYS = {
    f"{section}_{key}": f"{section}_{key}" for section in Settings.model_fields for key in keys_of(section)
}
_VARIABLE_KEYS |= {key: f"{section}_{key}" for section in ("trust", "kernel") for key in keys_of(section)}
# Only this many faults get a line number, since finding one walks through the whole file.
_MOST_PLACED = 100


@dataclass(frozen=True)
class Read:
    """The settings, and the faults found in the files and variables."""

    settings: Settings
    faults: tuple[Fault, ...] = ()


def read(directories: list[Path]) -> Read:
    """Read `zmban.toml` of each directory, later ones overriding earlier ones, then the environment. Never
    raises. Networks named in an unreadable part of [trust] are never banned, but not trusted as proxies: a
    typing error there must not ban anybody."""
    layers = [layer for directory in directories if (layer := _file(directory / "zmban.toml"))]
    layers.append(_environment())
    merge = _Merge(layers)
    settings = merge.settings()
    protected = tuple(dict.fromkeys(merge.protected))
    if protected:
        trust = settings.trust.model_copy(update={"nodes": (*settings.trust.nodes, *protected)})
        settings = settings.model_copy(update={"trust": trust})
    faults = [fault for layer in layers for fault in layer.faults]
    return Read(settings, tuple(dict.fromkeys([*faults, *merge.faults])))


def _file(path: Path) -> Document | None:
    """The parsed file; None if it does not exist."""
    name = str(path)
    try:
        if path.exists() and not path.is_file():
            return Document(name, "", faults=[Fault(name, 1, "is not a regular file; replace it by one")])
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
    """The ZMBAN_ variables of the environment, by section and key."""
    found = Document(_VARIABLES, "")
    for name, text in os.environ.items():
        prefix, _, rest = name.lower().partition("_")
        section, _, key = rest.partition("_")
        if prefix != "zmban":
            continue
        # A misspelt key of a known section is reported with the other unknown keys.
        if section in Settings.model_fields:
            found.sections.setdefault(section, {})[key] = text.strip()
        elif near := get_close_matches(rest, _VARIABLE_KEYS, 1, 0.8):
            cure = f"unknown variable; did you mean ZMBAN_{_VARIABLE_KEYS[near[0]].upper()}?"
            found.faults.append(Fault(f"variable {name}", 1, cure))
            found.lost.append(text)
    return found


@dataclass
class _Merge:
    """The candidate values by section and key, the topmost layer last.

    `protected` are networks named in parts that could not be read.
    """

    layers: list[Document]
    faults: list[Fault] = field(default_factory=list)
    protected: list[Network] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._candidates: dict[tuple[str, str], list[tuple[Document, Any]]] = {}
        for layer in self.layers:
            for section, keys in layer.sections.items():
                for key, value in keys.items():
                    self._candidates.setdefault((section, key), []).append((layer, value))
            self.protected += (network for text in layer.lost for network in meant(text))

    def settings(self) -> Settings:
        """The settings without the invalid values."""
        while True:
            values: dict[str, dict[str, Any]] = {}
            for (section, key), candidates in self._candidates.items():
                if candidates:
                    values.setdefault(section, {})[key] = candidates[-1][1]
            try:
                return Settings(**values)
            except ValidationError as error:
                self._drop_invalid(error.errors())

    def _drop_invalid(self, errors: list[ErrorDetails]) -> None:
        entries: dict[tuple[str, str], dict[int, str]] = {}
        for error in errors:
            place, message = error["loc"], error["msg"].removeprefix("Value error, ")
            name = str(place[0]), str(place[1]) if len(place) > 1 else ""
            if error["type"] == "extra_forbidden":
                self._drop_unknown(name[0], name[1] if len(place) > 1 else None)
            elif len(place) > 2 and isinstance(place[2], int):
                entries.setdefault(name, {})[place[2]] = message
            elif self._candidates.get(name):
                self._drop_value(name, message)
        for name, wrong in entries.items():
            self._drop_entries(name, wrong)

    def _drop_unknown(self, section: str, key: str | None) -> None:
        """Drop an unknown key, or an unknown section (`key` None), from every layer."""
        kind, known = ("section", list(Settings.model_fields)) if key is None else ("key", keys_of(section))
        one = [(section, key)] if key is not None and (section, key) in self._candidates else []
        for name in one or [n for n in self._candidates if n[0] == section and key is None]:
            for layer, value in self._candidates.pop(name):
                text = f"unknown {kind}; known are: {', '.join(known)}"
                self._add_fault(layer, section, key or "", text)
                self._protect(value)

    def _drop_value(self, name: tuple[str, str], message: str) -> None:
        layer, value = self._candidates[name].pop()
        below = self._candidates[name][-1][1] if self._candidates[name] else "the default"
        if name in SECRET and self._candidates[name]:
            below = "the value of the layer below"
        self._add_fault(layer, *name, f"{message}; using {below}")
        if name[0] == "trust":
            self._protect(value)

    def _drop_entries(self, name: tuple[str, str], wrong: dict[int, str]) -> None:
        """Drop the entries at these indexes of a list."""
        layer, value = self._candidates[name].pop()
        entries = list(listed(value))  # type: ignore[call-overload]
        for index, message in wrong.items():
            shown = "" if repr(entries[index]) in message else f"{str(entries[index])[:60]!r}: "
            if name in SECRET:
                shown = f"entry {index + 1} "
            networks = meant(str(entries[index])) if name[0] == "trust" else []
            until = f"; until fixed, {', '.join(map(str, networks))} is never banned" if networks else ""
            self._add_fault(layer, *name, f"{shown}{message}{until}", entries[index])
            self.protected += networks
        kept = [entry for index, entry in enumerate(entries) if index not in wrong]
        self._candidates[name].append((layer, kept))

    def _protect(self, value: object) -> None:
        self.protected += meant(str(value))

    def _add_fault(self, layer: Document, section: str, key: str, message: str, entry: object = None) -> None:
        few = len(self.faults) < _MOST_PLACED
        file, line = layer.file, layer.line(section, key, entry) if few else 1
        if file == _VARIABLES:
            file = f"variable {'_'.join(('ZMBAN', *filter(None, (section, key)))).upper()}"
        self.faults.append(Fault(file, line, f"[{section}]{f' {key}' if key else ''}: {message}"))
