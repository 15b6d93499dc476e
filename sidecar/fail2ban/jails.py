"""The jails of a configuration: every option typed, every fault named; one bad jail stops only itself."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.fail2ban import filters
from sidecar.fail2ban.dates import fixed_offset
from sidecar.fail2ban.durations import seconds
from sidecar.fail2ban.files import ConfigFiles
from sidecar.fail2ban.filters import FilterSpec
from sidecar.fail2ban.ini import Ini
from sidecar.fail2ban.interpolation import Values
from sidecar.model import ConfigError, Fault, Network, Seconds

_TRUE = {"1", "on", "true", "yes"}
_FALSE = {"0", "off", "false", "no", ""}
_OWN = {"zmban.dry_run", "zmban.ipv4_prefix", "zmban.ipv6_prefix"}
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
# Longer is for ever; it also bounds what a calendar has to show.
_LONGEST_BAN = 100 * 365.25 * 86400
_NOT_JAILS = {"DEFAULT", "INCLUDES"}
# Actions of Fail2Ban's own set that refuse an address at the host; all of them become a route here.
_BAN_ACTIONS = ("route", "iptables", "nftables", "ufw", "firewallcmd", "shorewall", "pf", "blackhole", "%(")


@dataclass(frozen=True, slots=True)
class LogPath:
    """One glob of `logpath`; `tail` reads from the end only."""

    glob: str
    tail: bool = False


@dataclass(frozen=True, slots=True)
class JailSpec:
    """One enabled jail, ready to run. Durations in seconds; `bantime` None is for ever."""

    name: str
    filter: FilterSpec
    logpath: tuple[LogPath, ...]
    maxretry: int = 5
    findtime: Seconds = 600.0
    bantime: Seconds | None = 600.0
    maxmatches: int = 5
    ignoreip: tuple[Network, ...] = ()
    logtimezone: tzinfo | None = None
    logencoding: str = "utf-8"
    ipv4_prefix: int = 32
    ipv6_prefix: int = 64
    dry_run: bool = False


@dataclass(slots=True)
class Configuration:
    """All enabled jails that can run, and everything that is wrong anywhere."""

    jails: dict[str, JailSpec] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    ini: Ini = field(default_factory=Ini)

    def place(self, jail: str, key: str) -> tuple[str, int]:
        """File and line of an option of a jail."""
        values = Values(self.ini, jail)
        option = values.option(key) or values.option("enabled")
        return (option.file, option.line) if option else ("jail.conf", 1)

    @property
    def broken(self) -> set[str]:
        """Names of enabled jails that cannot run."""
        return {f.jail for f in self.faults if f.jail and not f.warning}


def load(files: ConfigFiles) -> Configuration:
    """Read all jails. Never raises: what is wrong is in `faults`, and the other jails stand."""
    ini = files.jails()
    result = Configuration(ini=ini)
    enabled: set[str] = set()
    for name in ini.sections:
        if name in _NOT_JAILS:
            continue
        values = Values(ini, name)
        try:
            word = (values.get("enabled") or "").strip().lower()
        except ConfigError as error:
            result.faults.append(_fault_at(values, "enabled", str(error), name))
            continue
        if word not in _TRUE | _FALSE:
            text = f"enabled = {word!r} is neither true nor false"
            result.faults.append(_fault_at(values, "enabled", text, name))
        if word not in _TRUE:
            continue
        enabled.add(name)
        _JailReader(files, ini, name, result).read()
    lost = [fault for fault in ini.faults if fault.jail is None and not fault.warning]
    if lost:
        # What is lost there, ignoreip perhaps or a dry run, concerns every jail: none may run without it.
        result.jails.clear()
        text = "no jail runs until this is mended, for what stands there may concern each"
        result.faults.append(Fault(lost[0].file, lost[0].line, text))
    for fault in ini.faults:
        result.faults.append(fault)
        if fault.jail in enabled and not fault.warning and fault.jail:
            result.jails.pop(fault.jail, None)
    result.faults = list(dict.fromkeys(result.faults))
    return result


def _fault_at(values: Values, key: str, message: str, jail: str, *, warning: bool = False) -> Fault:
    option = values.option(key) or values.option("enabled")
    file, line = (option.file, option.line) if option else ("jail.conf", 1)
    return Fault(file, line, message.removeprefix(f"{file}:{line}: "), jail, warning)


class _JailReader:
    """Types the options of one jail and collects what is wrong with them."""

    def __init__(self, files: ConfigFiles, ini: Ini, name: str, result: Configuration) -> None:
        self.files, self.name, self.result = files, name, result
        self.values = Values(ini, name)
        self.good = True

    def fault(self, key: str, message: str, *, warning: bool = False) -> None:
        self.result.faults.append(_fault_at(self.values, key, message, self.name, warning=warning))
        self.good = self.good and warning

    def text(self, key: str, fallback: str = "") -> str:
        try:
            value = self.values.get(key, fallback)
            return fallback if value is None else value.strip()
        except ConfigError as error:
            self.fault(key, str(error))
            return fallback

    def whole(self, key: str, fallback: int, low: int, high: int) -> int:
        text = self.text(key, str(fallback))
        if _WHOLE.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        hint = " (a comment behind a value needs ' ;', not ' #')" if "#" in text else ""
        self.fault(key, f"{key} = {text!r} is no whole number from {low} to {high}{hint}")
        return fallback

    def boolean(self, key: str) -> bool:
        text = self.text(key).lower()
        if text not in _TRUE | _FALSE:
            self.fault(key, f"{key} = {text!r} is neither true nor false")
        return text in _TRUE

    def seconds(self, key: str, fallback: str) -> Seconds:
        text = self.text(key, fallback)
        try:
            return seconds(text)
        except ValueError as error:
            self.fault(key, f"{key}: {error}")
            return seconds(fallback)

    def read(self) -> None:
        spec = self._filter()
        self._lint()
        bantime = self.seconds("bantime", "600")
        findtime = self.seconds("findtime", "600")
        if findtime <= 0:
            self.fault("findtime", f"findtime = {findtime:g} is no time to count in")
        if bantime <= 0 and bantime != -1:
            self.fault("bantime", f"bantime = {bantime:g} never bans; -1 is for ever")
        maxretry = self.whole("maxretry", 5, 1, 1_000_000)
        jail = JailSpec(
            name=self.name,
            filter=spec or FilterSpec("none", ()),
            logpath=self._logpath(),
            maxretry=maxretry,
            findtime=findtime,
            bantime=None if bantime == -1 or bantime > _LONGEST_BAN else bantime,
            maxmatches=self.whole("maxmatches", maxretry, 0, 1_000_000),
            ignoreip=self._ignoreip(),
            logtimezone=self._timezone(),
            logencoding=self._encoding(),
            ipv4_prefix=self.whole("zmban.ipv4_prefix", 32, 8, 32),
            ipv6_prefix=self.whole("zmban.ipv6_prefix", 64, 16, 128),
            dry_run=self.boolean("zmban.dry_run"),
        )
        if self.good and spec:
            self.result.jails[self.name] = jail

    def _filter(self) -> FilterSpec | None:
        try:
            name, given = filters.split_name(self.text("filter", self.name) or self.name)
            spec, faults = filters.load(self.files, name, given, self.values)
        except ConfigError as error:
            self.fault("filter", str(error))
            return None
        for fault in faults:
            self.result.faults.append(Fault(fault.file, fault.line, fault.message, self.name, fault.warning))
            self.good = self.good and fault.warning
        return spec

    def _lint(self) -> None:
        for key in sorted(self.values.keys()):
            # A dry run that is misspelt bans for years: our own options are never passed over.
            if key.startswith(("zmban.", "zmban_")) and key not in _OWN:
                self.fault(key, f"{key} is not known in a jail; there are: {', '.join(sorted(_OWN))}")
        for line in self.text("action", "route").split("\n"):
            if line.strip() and not line.strip().startswith(_BAN_ACTIONS):
                self.fault("action", f"action {line.strip()!r} is not run here; write action = route")
        option = self.values.option("port")
        if option and self.text("port") not in ("", "all", "any", "0:65535", "1:65535"):
            self.fault("port", "a route closes every port of the host, not only these", warning=True)
        if self.text("usedns", "no").lower() not in ("no", "warn", "yes"):
            self.fault("usedns", "usedns is read as no: only addresses are banned", warning=True)
        if self.text("backend", "auto").lower().startswith("systemd"):
            self.fault("backend", "the journal is not read; name the log file with logpath")
        if self.text("ignorecommand"):
            self.fault("ignorecommand", "no command is run here; use ignoreip or zmban allow")

    def _logpath(self) -> tuple[LogPath, ...]:
        paths: list[LogPath] = []
        for line in self.text("logpath").split("\n"):
            words = line.split()
            if not words:
                continue
            place = words.pop() if len(words) > 1 and words[-1] in ("head", "tail") else "head"
            if len(words) != 1 or not words[0].startswith("/"):
                self.fault("logpath", f"{line.strip()!r} is no absolute path or glob, one a line")
                continue
            paths.append(LogPath(words[0], place == "tail"))
        if not paths and self.good:
            self.fault("logpath", f"jail {self.name} names no log; add logpath = /var/log/zimbra.log")
        return tuple(paths)

    def _ignoreip(self) -> tuple[Network, ...]:
        networks: list[Network] = []
        for word in self.text("ignoreip").replace(",", " ").split():
            try:
                networks.append(_ignored(word))
            except ValueError:
                # Not a warning: without this entry somebody who must not be banned would be.
                self.fault(
                    "ignoreip", f"ignoreip: {word!r} is no address or network; names are not looked up"
                )
        return tuple(networks)

    def _timezone(self) -> tzinfo | None:
        text = self.text("logtimezone")
        if not text:
            return None
        try:
            return fixed_offset(text)
        except ValueError:
            pass
        try:
            return ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fault("logtimezone", f"logtimezone = {text!r}: write Europe/Zurich or +0200")
            return None

    def _encoding(self) -> str:
        text = self.text("logencoding", "auto").lower()
        try:
            name = codecs.lookup("utf-8" if text in ("auto", "utf-8-sig") else text).name
            if "az09[]:\n".encode(name) == b"az09[]:\n" and name != "utf-7":
                return name
        except (LookupError, ValueError, TypeError):
            pass
        self.fault("logencoding", f"logencoding = {text!r} is no encoding that holds ASCII; write utf-8")
        return "utf-8"


def _ignored(word: str) -> Network:
    """`127.0.0.1/8` has host bits, and everybody writes it so: what counts is the network."""
    address, slash, length = word.partition("/")
    parsed = Network.parse(address)
    return parsed.supernet(_length(length, parsed)) if slash else parsed


def _length(text: str, address: Network) -> int:
    if "." in text and address.version == 4:
        mask = Network.parse(text).value
        length = bin(mask).count("1")
        if mask != Network(4, 2**32 - 1, 32).supernet(length).value:
            raise ValueError(f"{text} is no netmask")
        return length
    if not text.isdecimal() or int(text) > address.length:
        raise ValueError(f"/{text} is no prefix length")
    return int(text)
