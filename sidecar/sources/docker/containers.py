"""Facts about a container from the Docker API: what runs in it, and where its files are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_WORDS = re.compile(r"[a-z]+")

# Resolves a path inside the container; None if it does not exist.
Look = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of a container; `source` is its directory on the host, if there is one."""

    destination: str
    source: str | None
    writable: bool

    def holds(self, path: str) -> bool:
        """Whether a path of the container is inside the mount."""
        return f"{path}/".startswith(f"{self.destination.rstrip('/')}/")


@dataclass(frozen=True)
class Facts:
    """Facts about a container. `called`: image and service; `words`: the words in the last part of both;
    `surroundings`: environment, user and working directory. `look` and `processes` are None if Docker does
    not allow access."""

    name: str
    called: str
    words: frozenset[str]
    command: tuple[str, ...]
    surroundings: tuple[str, ...]
    ports: frozenset[int]
    mounts: tuple[Mount, ...]
    look: Look | None = None
    processes: tuple[str, ...] | None = None

    def mount(self, path: str) -> Mount | None:
        """The innermost mount that holds a path of the container."""
        holding = (mount for mount in self.mounts if mount.holds(path))
        return max(holding, key=lambda mount: len(mount.destination), default=None)

    def on_host(self, path: str) -> str | None:
        """The directory on the host of a directory of the container; None if it is not in a mount."""
        place = (self.look(path) if self.look else None) or path
        mount = self.mount(place)
        if mount is None or mount.source is None:
            return None
        return mount.source.rstrip("/") + place[len(mount.destination.rstrip("/")) :]


def facts_of(
    attributes: Mapping[str, Any], devices: Mapping[str, str] | None = None, look: Look | None = None
) -> Facts:
    """Facts from the attributes of a container, as returned by the Docker API."""
    config = attributes["Config"]
    name = str(attributes["Name"]).lstrip("/")
    # The container name of Compose begins with the project, usually a directory name; the label does not.
    service = str((config.get("Labels") or {}).get("com.docker.compose.service", name)).lower()
    image = _without_registry(str(config["Image"])).lower()
    command = [attributes.get("Path"), attributes.get("Args")]
    ports = {
        *(config.get("ExposedPorts") or {}),
        *((attributes.get("HostConfig") or {}).get("PortBindings") or {}),
        *(attributes["NetworkSettings"].get("Ports") or {}),
    }
    numbers = (port.partition("/")[0] for port in ports if not port.endswith("/udp"))
    return Facts(
        name,
        f"{image} {service}",
        frozenset(_WORDS.findall(f"{image.rpartition('/')[2].partition(':')[0]} {service}")),
        _flat(command if any(command) else [config.get("Entrypoint"), config.get("Cmd")]),
        _flat([config.get("Env"), config.get("WorkingDir"), config.get("User")]),
        frozenset(int(number) for number in numbers if number.isdecimal()),
        _mounts(attributes, devices or {}),
        look,
    )


def _flat(words: Iterable[Any]) -> tuple[str, ...]:
    """All words as one tuple: the API returns a string, a list or null."""
    return tuple(str(one) for word in words if word for one in ([word] if isinstance(word, str) else word))


def _without_registry(image: str) -> str:
    first, slash, rest = image.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else image


def _mounts(attributes: Mapping[str, Any], devices: Mapping[str, str]) -> tuple[Mount, ...]:
    found = [
        Mount(
            _place(one.get("Destination", "")),
            devices.get(str(one.get("Name")), str(one.get("Source") or "")) or None,
            one.get("RW") is not False,
        )
        for one in attributes.get("Mounts") or ()
    ]
    # Docker does not always list these as mounts.
    more = (attributes.get("HostConfig") or {}).get("Tmpfs"), attributes["Config"].get("Volumes")
    known = {mount.destination for mount in found}
    declared = {_place(place) for places in more for place in places or ()} - known
    return (*found, *(Mount(place, None, True) for place in sorted(declared)))


def _place(destination: object) -> str:
    return str(destination).rstrip("/") or "/"
