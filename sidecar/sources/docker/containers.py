"""A container as Docker's API describes it, as far as it tells what runs in it and where its files are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_WORDS = re.compile(r"[a-z]+")

# Where a path of the container really is, None where it is not there.
Look = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume or directory of the host in a container; `source` is its place on the host, if it has one."""

    destination: str
    source: str | None
    writable: bool

    def holds(self, path: str) -> bool:
        """Whether a path of the container lies in it."""
        return f"{path}/".startswith(f"{self.destination.rstrip('/')}/")


@dataclass(frozen=True)
class Facts:
    """What Docker says of a container. `called` is its image and service, `words` those of their last parts;
    `surroundings` its environment, user and directory. Without `look` and `processes` nobody could look."""

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
        """The mount that a path of the container lies in: the nearest."""
        holding = (mount for mount in self.mounts if mount.holds(path))
        return max(holding, key=lambda mount: len(mount.destination), default=None)

    def on_host(self, path: str) -> str | None:
        """Where a directory of the container lies on the host, None where it is in no volume."""
        place = (self.look(path) if self.look else None) or path
        mount = self.mount(place)
        if mount is None or mount.source is None:
            return None
        return mount.source.rstrip("/") + place[len(mount.destination.rstrip("/")) :]


def facts_of(
    attributes: Mapping[str, Any], devices: Mapping[str, str] | None = None, look: Look | None = None
) -> Facts:
    """A container's attributes, as Docker's API gives them, as far as they tell what it is."""
    config = attributes["Config"]
    name = str(attributes["Name"]).lstrip("/")
    # Compose puts the project's name, which is a directory's, before that of each service.
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
    """Docker gives one word, a list, or nothing."""
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
    # Neither of these is always told of as a mount.
    more = (attributes.get("HostConfig") or {}).get("Tmpfs"), attributes["Config"].get("Volumes")
    known = {mount.destination for mount in found}
    declared = {_place(place) for places in more for place in places or ()} - known
    return (*found, *(Mount(place, None, True) for place in sorted(declared)))


def _place(destination: object) -> str:
    return str(destination).rstrip("/") or "/"
