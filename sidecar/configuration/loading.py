"""Reads everything an administrator wrote: directories in order, settings, jails; and the host's zone."""

from __future__ import annotations

import io
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar import settings
from sidecar.decide.jail_state import doubts
from sidecar.detect.grammar import GRAMMARS, Trust
from sidecar.detect.prefilter.multipattern import ScanError
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.fail2ban import jails
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import ConfigError, Fault, printable
from sidecar.network import Network
from sidecar.settings import Settings

_log = logging.getLogger("zmban.config")
SHIPPED = Path("/usr/share/zmban")
_IN_CHECKOUT = Path(__file__).resolve().parents[2] / "config"


@dataclass(frozen=True)
class Loaded:
    """One reading of the whole configuration, and everything that is wrong in it, each fault once.

    `given` are the directories that were named for it, none for the usual ones.
    """

    files: ConfigFiles
    settings: Settings
    jails: jails.Configuration
    faults: tuple[Fault, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        """All of it as it is told: what is said of several jails, such as of an option of [DEFAULT], once."""
        return list(dict.fromkeys(map(str, self.faults)))

    @property
    def errors(self) -> int:
        """How many of them are no mere warnings."""
        return len({str(fault) for fault in self.faults if not fault.warning})


def directories(given: Sequence[str]) -> list[Path]:
    """The layers of configuration, lowest first: those given, else the shipped, Fail2Ban's, our own.
    ConfigError where one that is given is not there."""
    for name in given:
        if fault := _missing(name):
            raise ConfigError(f"{fault.file}: {fault.message}")
    return layers(given)


def _missing(name: str) -> Fault | None:
    there = os.access(name, os.R_OK | os.X_OK)
    return None if there else Fault(name, 1, "no such configuration directory, or it may not be read")


def layers(given: Sequence[str]) -> list[Path]:
    """Where a configuration is looked for, whether it is there or not."""
    if given:
        return [Path(name) for name in given]
    shipped = SHIPPED if SHIPPED.is_dir() else _IN_CHECKOUT
    return [d for d in (shipped, Path("/etc/fail2ban"), Path("/etc/zmban")) if d.is_dir()]


def safely(given: Sequence[str]) -> Loaded:
    """As `load`, and never raises: what breaks the reading is a fault, and nothing of the files counts."""
    try:
        return load(given, tolerant=True)
    except Exception as error:
        _log.exception("the configuration cannot be read")
        text = f"the configuration cannot be read ({type(error).__name__}: {printable(str(error))[:200]})"
        fault = Fault(", ".join(given) or "configuration", 1, text)
        return Loaded(ConfigFiles([]), Settings(), jails.Configuration(), (fault,), tuple(given))


def load(given: Sequence[str], *, tolerant: bool = False) -> Loaded:
    """Read it. What is wrong is in `faults`; a directory that is not there is a ConfigError, or if `tolerant`
    a fault as well."""
    places = layers(given) if tolerant else directories(given)
    missing = [fault for name in given if (fault := _missing(name))]
    files = ConfigFiles([layer for layer in places if not _missing(str(layer))])
    found = jails.load(files)
    every = list(found.jails.values())
    # To compile literals takes longer than all the rest: jail by jail only where something is wrong.
    scanned = _scanned(every) is None
    for jail in every:
        for message in _unusable(jail, scanned=scanned):
            place = found.place(jail.name, "filter")
            found.faults.append(Fault(*place, message, jail.name, stops=True))
            found.jails.pop(jail.name, None)
    _drop_confirming(found)
    chosen = settings.read(files.directories)
    faults = dict.fromkeys((*missing, *chosen.faults, *found.faults))
    return Loaded(files, chosen.settings, found, tuple(faults), tuple(given))


def _drop_confirming(found: jails.Configuration) -> None:
    """Jails that only confirm what other logs say are read where some jail doubts, and nowhere else."""
    if any(doubts(jail) for jail in found.jails.values()):
        return
    for name in [jail.name for jail in found.jails.values() if jail.confirms]:
        del found.jails[name]
        found.enabled.discard(name)


def _scanned(specs: Sequence[jails.JailSpec]) -> str | None:
    """Why these filters cannot be scanned for; None if they can."""
    try:
        Prefilter.of(specs)
    except ScanError as error:
        return str(error)
    return None


def _unusable(jail: jails.JailSpec, *, scanned: bool) -> Iterator[str]:
    """What only the rooms that run a filter can tell of it."""
    grammar = jail.filter.grammar
    if grammar is not None and grammar not in (*GRAMMARS, "log"):
        yield f"zmban.grammar = {grammar!r} is not known; there are: {', '.join(GRAMMARS)}, log"
    if not scanned and (reason := _scanned([jail])):
        yield f"filter {jail.filter.name} cannot be scanned for: {reason}"


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
    """A zone by its IANA name, or as a POSIX TZ string. ConfigError for anything else."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    # A POSIX TZ string is the footer of a zone file without any transition of its own.
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 1) + bytes(7)
    try:
        return ZoneInfo.from_file(io.BytesIO(block + block + b"\n" + name.encode("ascii") + b"\n"), key=name)
    except (ValueError, UnicodeEncodeError) as error:
        text = f"time zone {name!r} is not known; write Europe/Zurich, or CET-1CEST,M3.5.0,M10.5.0/3"
        raise ConfigError(text) from error


def trust(settings: Settings) -> Trust:
    """The proxies that the configuration names, and the networks that it says are ours."""
    named = settings.trust
    return Trust(named.proxies, (*named.own, *named.gateways, *named.networks))


def protected(settings: Settings) -> dict[str, tuple[Network, ...]]:
    """What the configuration alone protects, by the reason that a refusal gives."""
    trust = settings.trust
    return {
        "own-address": trust.own,
        "gateway": trust.gateways,
        "trusted-proxy": trust.proxies,
        "ignored": (*trust.nodes, *trust.admins, *trust.networks),
    }
