"""Reads everything an administrator wrote: directories in order, settings, jails; and the host's zone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar import settings
from sidecar.fail2ban import jails
from sidecar.fail2ban.files import ConfigFiles
from sidecar.model import ConfigError, Network
from sidecar.settings import Settings

SHIPPED = Path("/usr/share/zmban")
_IN_CHECKOUT = Path(__file__).resolve().parents[2] / "config"


@dataclass(frozen=True)
class Loaded:
    """One reading of the whole configuration."""

    files: ConfigFiles
    settings: Settings
    jails: jails.Configuration


def directories(given: Sequence[str]) -> list[Path]:
    """The layers of configuration, lowest first: those given, else the shipped, Fail2Ban's, our own."""
    if given:
        missing = [d for d in given if not Path(d).is_dir()]
        if missing:
            raise ConfigError(f"{missing[0]}: no such configuration directory")
        return [Path(d) for d in given]
    shipped = SHIPPED if SHIPPED.is_dir() else _IN_CHECKOUT
    return [d for d in (shipped, Path("/etc/fail2ban"), Path("/etc/zmban")) if d.is_dir()]


def load(given: Sequence[str]) -> Loaded:
    """Read it. Raises ConfigError only for what concerns all jails; the rest is in `jails.faults`."""
    layers = directories(given)
    files = ConfigFiles(layers)
    return Loaded(files, settings.load(layers), jails.load(files))


def host_zone() -> tzinfo:
    """The zone of this host: TZ (an IANA name or a POSIX string's file), else /etc/localtime, else UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    if name:
        return zone(name)
    path = Path("/etc/localtime")
    if path.is_file():
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    return UTC


def zone(name: str) -> tzinfo:
    """A zone by its IANA name. ConfigError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"time zone {name!r} is not known; write an IANA name such as Europe/Zurich"
        ) from error


def protected(settings: Settings) -> dict[str, tuple[Network, ...]]:
    """What the configuration alone protects, by the reason that a refusal gives."""
    trust = settings.trust
    return {
        "own-address": trust.own,
        "gateway": trust.gateways,
        "trusted-proxy": trust.proxies,
        "ignored": (*trust.nodes, *trust.admins, *trust.networks),
    }
