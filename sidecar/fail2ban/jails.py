"""Reads the jails of a configuration. All faults are collected; a faulty jail stops only itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from sidecar.fail2ban import actions, filters, increment, log_paths, zmban_options
from sidecar.fail2ban.ignore import jail_ignoreip, lost_sections
from sidecar.fail2ban.ignore.ignoreip import Ignored
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.jail_options import Options
from sidecar.fail2ban.log_paths import LogPath
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.fail2ban.syntax.ini import NOT_JAILS, Ini
from sidecar.fail2ban.syntax.interpolation import Values
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.model import ConfigError, Fault, Seconds
from sidecar.network import Network

_BACKENDS = ("auto", "pyinotify", "polling", "gamin", "systemd")


@dataclass(frozen=True, slots=True)
class JailSpec:
    """One enabled jail, ready to run. Durations are in seconds; `bantime` None is for ever.

    `ignoreip` are the networks known when the configuration is read; `ignored` also has the host names and
    the files that may change later. The fields from `ipv4_prefix` on are set by `zmban_options.py`.
    """

    name: str
    filter: FilterSpec
    logpath: tuple[LogPath, ...]
    maxretry: int = 3
    findtime: Seconds = 600.0
    bantime: Seconds | None = 600.0
    increment: Increment | None = None
    maxmatches: int = 5
    ignoreip: tuple[Network, ...] = ()
    ignored: Ignored = field(default_factory=Ignored)
    logtimezone: tzinfo | None = None
    logencoding: str = "utf-8"
    ipv4_prefix: int = 32
    ipv6_prefix: int = 64
    dry_run: bool = False
    report_only: bool = False
    confirms: bool = False
    count: zmban_options.Count = "lines"
    distinct: str = ""
    excused_by: str = ""
    spare_good: bool = False
    spare_peers: bool = False
    most_addresses: int = 0
    # The file name of the Zimbra log whose lines its logs carry, "" for their own file names.
    log: str = ""
    shared: zmban_options.Shared = "counts"
    # When to ban whole prefixes.
    widen: tuple[zmban_options.WidenRule, ...] = ()


@dataclass(slots=True)
class Configuration:
    """All enabled jails that can run, and all faults."""

    jails: dict[str, JailSpec] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    enabled: set[str] = field(default_factory=set)
    ini: Ini = field(default_factory=Ini)

    def place(self, jail: str, key: str) -> tuple[str, int]:
        """File and line of an option of a jail."""
        values = Values(self.ini, jail)
        option = values.option(key) or values.option("enabled")
        return (option.file, option.line) if option else ("jail.conf", 1)

    @property
    def stopped(self) -> set[str]:
        """Names of jails that cannot run although they are enabled, or may be enabled."""
        return {f.jail for f in self.faults if f.jail and f.stops} | (self.enabled - set(self.jails))

    def why_stopped(self) -> Iterator[str]:
        """One message per stopped jail, or a message that no jail is enabled."""
        for name in sorted(self.stopped):
            why = next((f for f in self.faults if f.jail == name and f.stops), None)
            yield f"jail {name} cannot run{f': {why}' if why else ''}"
        if not self.jails and not self.stopped:
            yield "no jail is enabled"

    @property
    def degraded(self) -> set[str]:
        """Names of jails that run without their faulty parts."""
        return {f.jail for f in self.faults if f.jail in self.jails and not f.warning}


def load(files: ConfigFiles) -> Configuration:
    """Read all jails. Never raises: see `faults`. A fault affects the smallest possible part."""
    ini = files.jails()
    result, spared = Configuration(ini=ini), lost_sections.spared(ini)
    enabled = result.enabled
    for name in ini.sections:
        if name in NOT_JAILS:
            continue
        options = Options(ini, name, files.directory)
        if options.boolean("enabled"):
            enabled.add(name)
            spec = _Reader(files, options, spared).read()
            if found := lost_sections.switched_off(ini, name):
                text = (
                    f"{found[0]} in a section without a valid header may belong to {name}; "
                    "until fixed, the jail bans nobody"
                )
                options.faults.append(Fault(found[1].file, found[1].line, text, name))
                spec = spec and replace(spec, dry_run=True)
            if spec is not None and options.good:
                result.jails[name] = spec
        else:
            # An invalid `enabled`: the jail may be meant to run.
            options.faults = [replace(fault, stops=True) for fault in options.faults]
        result.faults += options.faults
    for fault in ini.faults:
        # A fault in a disabled jail is only a warning.
        if fault.jail in ini.undecided and fault.jail not in enabled:
            result.faults.append(replace(fault, stops=True))
            continue
        off = fault.jail is not None and fault.jail not in enabled
        result.faults.append(replace(fault, warning=True, stops=False) if off else fault)
        if fault.jail and fault.stops:
            result.jails.pop(fault.jail, None)
    result.faults = list(dict.fromkeys(result.faults))
    return result


def one(files: ConfigFiles, name: str) -> tuple[JailSpec | None, list[Fault]]:
    """One jail, enabled or not; None if it does not exist or cannot run."""
    ini = files.jails()
    if name in NOT_JAILS or name not in ini.sections:
        return None, []
    options = Options(ini, name, files.directory)
    spec = _Reader(files, options, lost_sections.spared(ini)).read()
    faults = [*options.faults, *(f for f in ini.faults if f.jail in (None, name))]
    return (spec if options.good else None), faults


def _bantime(time: Seconds) -> str:
    return "never bans; write -1 for ever" if time <= 0 and time != -1 else ""


def _findtime(time: Seconds) -> str:
    return "is not a positive time" if time <= 0 else ""


class _Reader:
    """Builds one JailSpec from the options of a jail."""

    def __init__(self, files: ConfigFiles, options: Options, spared: Ignored) -> None:
        self._files, self._options, self._spared = files, options, spared
        # Options that probably mean ignoreip.
        self._misspelt: list[str] = []

    def read(self) -> JailSpec | None:
        """The jail, or None if it has no usable filter. Faults are added to the options."""
        options = self._options
        spec = self._filter()
        bans = self._lint()
        bantime = options.seconds("bantime", "600", _bantime, endless=True)
        ignored = jail_ignoreip.ignored(options, self._misspelt, self._spared)
        jail = JailSpec(
            name=options.name,
            filter=spec or FilterSpec("none", ()),
            logpath=log_paths.logpath(options),
            maxretry=options.whole("maxretry", 3, 1, 1_000_000),
            findtime=options.seconds("findtime", "600", _findtime),
            bantime=None if bantime == -1 else bantime,
            increment=increment.read(options),
            maxmatches=options.whole("maxmatches", 5, 0, 1_000_000),
            ignoreip=jail_ignoreip.filled(options, ignored, self._files.listed).networks,
            ignored=ignored,
            logtimezone=options.timezone(),
            logencoding=options.encoding(),
            **zmban_options.read(options),
        )
        return replace(jail, dry_run=jail.dry_run or not bans) if spec else None

    def _filter(self) -> FilterSpec | None:
        options = self._options
        given = options.text("filter")
        if not given and options.values.option("failregex") and not self._has_filter_of_same_name():
            return self._checked(*filters.from_jail(options.ini, options.name))
        try:
            return self._checked(*options.read("filter", options.name, self._loaded))
        except ValueError as error:
            options.fault("filter", str(error), stops=True)
            return None

    def _loaded(self, text: str) -> tuple[FilterSpec, list[Fault]]:
        options = self._options
        try:
            name, given = split_name(text or options.name)
            spec, faults = filters.load(self._files, name, given, options.over)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        for doubt in hints.unclosed(given):
            options.fault("filter", doubt, warning=True)
        return spec, faults

    def _checked(self, spec: FilterSpec, faults: list[Fault]) -> FilterSpec:
        self._options.faults += [replace(fault, jail=self._options.name) for fault in faults]
        return spec

    def _has_filter_of_same_name(self) -> bool:
        """Whether the jail sets no `filter` (not even an empty one) and a filter of its name exists."""
        options = self._options
        return options.values.option("filter") is None and self._files.filter(options.name) is not None

    def _lint(self) -> bool:
        """Report unsupported and unknown options. Returns False if the jail must not ban anybody."""
        options, dry = self._options, False
        for key in sorted(options.values.keys()):
            # A misspelt dry_run would ban for years, so unknown zmban options are errors.
            if key.startswith(("zmban.", "zmban_")) and key not in zmban_options.KEYS:
                text, meant_dry = zmban_options.unknown(key)
                dry |= meant_dry
                options.fault(key, f"{text} until fixed, the jail bans nobody" if meant_dry else text)
            elif near := options.misspelt(key):
                self._misspelt += [key] * (near == "ignoreip")
                options.fault(key, f"{key} is not a jail option; did you mean {near}?", warning=True)
        port = options.values.own("port")
        if port and options.text("port") not in ("", "all", "any", "0:65535", "1:65535"):
            options.fault("port", "a route blocks all ports of the host, not only these", warning=True)
        self._backend()
        if options.text("ignorecommand"):
            text = "ignorecommand: zmban runs no commands; use ignoreip (file:PATH) or zmban allow"
            options.fault("ignorecommand", text, stops=True)
        return self._actions() and not dry

    def _backend(self) -> None:
        options = self._options
        backend = options.text("backend", "auto").lower()
        if not backend.startswith(_BACKENDS):
            text = f"backend = {backend[:60]!r} is unknown; leave it out"
            options.fault("backend", text, warning=True)
        elif backend.startswith("systemd"):
            read = bool(options.text("logpath"))
            cure = "the files of logpath are read instead" if read else "name the log file in logpath"
            options.fault("backend", f"the systemd journal is not read; {cure}", warning=read, stops=not read)

    def _actions(self) -> bool:
        """Whether any action blocks the address. An `action` with missing actions only counts as misspelt,
        and the layer below applies; other actions are taken as written."""
        options = self._options
        found = options.read("action", "route", self._checked_actions)
        for message in (*found.missing, *found.errors):
            dry = "" if found.bans else "; until fixed, the jail bans nobody"
            options.fault("action", message + dry)
        for message in found.warnings:
            options.fault("action", message, warning=True)
        if not (found.bans or found.errors):
            text = "no action of the jail blocks addresses, so it is a dry run; write action = route"
            options.fault("action", text, warning=True)
        return found.bans

    def _checked_actions(self, text: str) -> actions.Actions:
        try:
            found = actions.judge(text, self._files.action)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if found.missing and not (found.bans or found.errors):
            raise ValueError("; ".join(found.missing))
        return found
