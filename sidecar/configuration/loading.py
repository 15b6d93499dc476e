"""Loads the configuration: directories in order, settings, jails; and the time zone of the host."""

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
from sidecar.decide.jail_state import needs_confirmation
from sidecar.detect.grammar import GRAMMARS, LOGS, Trust
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
    """A loaded configuration with its faults, each once.

    `given`: the directories of --config, empty for the default ones.
    """

    files: ConfigFiles
    settings: Settings
    jails: jails.Configuration
    faults: tuple[Fault, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        """The texts of the faults. A fault of several jails, such as in [DEFAULT], appears once."""
        return list(dict.fromkeys(map(str, self.faults)))

    @property
    def errors(self) -> int:
        """Number of faults that are not warnings."""
        return len({str(fault) for fault in self.faults if not fault.warning})


def directories(given: Sequence[str]) -> list[Path]:
    """The configuration directories, lowest priority first: those given, else the shipped one, /etc/fail2ban
    and /etc/zmban. ConfigError if a given one does not exist."""
    for name in given:
        if fault := _missing(name):
            raise ConfigError(f"{fault.file}: {fault.message}")
    return layers(given)


def _missing(name: str) -> Fault | None:
    there = os.access(name, os.R_OK | os.X_OK)
    return None if there else Fault(name, 1, "no such configuration directory, or no permission to read it")


def layers(given: Sequence[str]) -> list[Path]:
    """As `directories`, without a check whether the given ones exist."""
    if given:
        return [Path(name) for name in given]
    shipped = SHIPPED if SHIPPED.is_dir() else _IN_CHECKOUT
    return [d for d in (shipped, Path("/etc/fail2ban"), Path("/etc/zmban")) if d.is_dir()]


def tried(given: Sequence[str], against: Sequence[str]) -> list[str]:
    """The directories of a configuration that is to be tried beside that of `given`: each of `against`
    replaces one directory, counted from the last. The shipped directory always stays."""
    current, shipped = layers(given), (SHIPPED, _IN_CHECKOUT)
    own = [layer for layer in current if layer.resolve() not in shipped]
    replaced = own[-len(against) :]
    kept = [str(layer) for layer in current if layer not in replaced]
    return list(dict.fromkeys([*kept, *against]))


def load_or_empty(given: Sequence[str]) -> Loaded:
    """As `load`, but never raises: an unexpected error becomes a fault, with an empty configuration."""
    try:
        return load(given, tolerant=True)
    except Exception as error:
        _log.exception("cannot load the configuration")
        text = f"cannot load the configuration ({type(error).__name__}: {printable(str(error))[:200]})"
        fault = Fault(", ".join(given) or "configuration", 1, text)
        return Loaded(ConfigFiles([]), Settings(), jails.Configuration(), (fault,), tuple(given))


def load(given: Sequence[str], *, tolerant: bool = False) -> Loaded:
    """Load the configuration, with its faults in `faults`. A missing directory is a ConfigError; a fault if
    `tolerant`."""
    places = layers(given) if tolerant else directories(given)
    missing = [fault for name in given if (fault := _missing(name))]
    files = ConfigFiles([layer for layer in places if not _missing(str(layer))])
    found = jails.load(files)
    every = list(found.jails.values())
    # Compiling literals takes most of the time, so single jails are tried only if all together fail.
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
    """Remove the jails with `zmban.confirms` unless some jail needs confirmation by another log."""
    if any(needs_confirmation(jail) for jail in found.jails.values()):
        return
    for name in [jail.name for jail in found.jails.values() if jail.confirms]:
        del found.jails[name]
        found.enabled.discard(name)


def _scanned(specs: Sequence[jails.JailSpec]) -> str | None:
    """Why no prefilter can be built for these jails; None if it can."""
    try:
        Prefilter.of(specs)
    except ScanError as error:
        return str(error)
    return None


def _unusable(jail: jails.JailSpec, *, scanned: bool) -> Iterator[str]:
    """Faults that only show when the filter is used: unknown grammar, no prefilter."""
    if jail.log and jail.log not in LOGS:
        yield f"zmban.log: {jail.log[:100]!r} is no log of Zimbra; there are: {', '.join(LOGS)}"
    grammar = jail.filter.grammar
    if grammar is not None and grammar not in (*GRAMMARS, "log"):
        yield f"zmban.grammar = {grammar!r} is not known; there are: {', '.join(GRAMMARS)}, log"
    if not scanned and (reason := _scanned([jail])):
        yield f"filter {jail.filter.name} cannot be used: {reason}"


def host_zone() -> tzinfo:
    """The time zone of the host: TZ (IANA name or POSIX TZ string), else /etc/localtime, else UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    if name:
        return zone(name)
    path = Path("/etc/localtime")
    if path.is_file():
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key="localtime")
    return UTC


def zone(name: str) -> tzinfo:
    """A time zone by IANA name or POSIX TZ string. ConfigError for anything else."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    # A zone file without transitions takes its rules from the POSIX TZ string in its footer.
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 1) + bytes(7)
    try:
        return ZoneInfo.from_file(io.BytesIO(block + block + b"\n" + name.encode("ascii") + b"\n"), key=name)
    except (ValueError, UnicodeEncodeError) as error:
        text = f"time zone {name!r} is not known; write Europe/Zurich, or CET-1CEST,M3.5.0,M10.5.0/3"
        raise ConfigError(text) from error


def trust(settings: Settings) -> Trust:
    """The configured proxies and own networks."""
    named = settings.trust
    return Trust(named.proxies, (*named.own, *named.gateways, *named.networks))


def protected(settings: Settings) -> dict[str, tuple[Network, ...]]:
    """Networks that are protected by the configuration alone, by reason label."""
    trust = settings.trust
    return {
        "own-address": trust.own,
        "gateway": trust.gateways,
        "trusted-proxy": trust.proxies,
        "ignored": (*trust.nodes, *trust.admins, *trust.networks),
    }
