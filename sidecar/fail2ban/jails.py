"""The jails of a configuration: every option typed, every fault named; one bad jail stops only itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import tzinfo

from sidecar.fail2ban import actions, filters, hints, ignoring, increment, own
from sidecar.fail2ban.files import ConfigFiles
from sidecar.fail2ban.filters import FilterSpec
from sidecar.fail2ban.ignoring import Ignored
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.ini import Ini
from sidecar.fail2ban.interpolation import Values
from sidecar.fail2ban.naming import split_name
from sidecar.fail2ban.options import Options
from sidecar.model import ConfigError, Fault, Seconds
from sidecar.network import Network

_NOT_JAILS = {"DEFAULT", "INCLUDES"}
_BACKENDS = ("auto", "pyinotify", "polling", "gamin", "systemd")


@dataclass(frozen=True, slots=True)
class LogPath:
    """One glob of `logpath`; `tail` reads from the end only."""

    glob: str
    tail: bool = False


@dataclass(frozen=True, slots=True)
class JailSpec:
    """One enabled jail, ready to run. Durations in seconds; `bantime` None is for ever.

    `ignoreip` are the networks that are known when the configuration is read, `ignored` is where more
    come from: host names, and files that may change. The last eleven are `own.py`'s.
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
    count: own.Count = "lines"
    distinct: str = ""
    excused_by: str = ""
    spare_good: bool = False
    spare_peers: bool = False
    most_addresses: int = 0


@dataclass(slots=True)
class Configuration:
    """All enabled jails that can run, and everything that is wrong anywhere."""

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
    def broken(self) -> set[str]:
        """Names of jails that should run and cannot: those that are enabled, or may be."""
        return {f.jail for f in self.faults if f.jail and not f.warning} | (self.enabled - set(self.jails))


def load(files: ConfigFiles) -> Configuration:
    """Read all jails. Never raises: what is wrong is in `faults`, and the other jails stand."""
    ini = files.jails()
    result = Configuration(ini=ini)
    enabled = result.enabled
    for name in ini.sections:
        if name in _NOT_JAILS:
            continue
        options = Options(ini, name, files.directory)
        if options.boolean("enabled"):
            enabled.add(name)
            spec = _Reader(files, options).read()
            if spec is not None and options.good:
                result.jails[name] = spec
        result.faults += options.faults
    _apply(ini.faults, enabled, result)
    return result


def one(files: ConfigFiles, name: str) -> tuple[JailSpec | None, list[Fault]]:
    """One jail, whether it is enabled or not; None where no file has it or it cannot be read."""
    ini = files.jails()
    if name in _NOT_JAILS or name not in ini.sections:
        return None, []
    options = Options(ini, name, files.directory)
    spec = _Reader(files, options).read()
    faults = [*options.faults, *(f for f in ini.faults if f.jail in (None, name))]
    return (spec if options.good else None), faults


def _apply(faults: list[Fault], enabled: set[str], result: Configuration) -> None:
    """What is wrong in the files themselves: it stops the jail that it stands in, or all of them."""
    lost = [fault for fault in faults if fault.jail is None and not fault.warning]
    if lost:
        # What is lost there, ignoreip perhaps or a dry run, concerns every jail: none may run without it.
        result.jails.clear()
    for fault in faults:
        # What is wrong in a jail that is switched off hurts nobody.
        off = fault.jail is not None and fault.jail not in enabled
        result.faults.append(replace(fault, warning=True) if off else fault)
        if fault.jail and not fault.warning:
            result.jails.pop(fault.jail, None)
    if lost:
        text = "no jail runs until this is mended, for what stands there may concern each"
        result.faults.append(Fault(lost[0].file, lost[0].line, text))
    result.faults = list(dict.fromkeys(result.faults))


class _Reader:
    """Puts one jail together from its options."""

    def __init__(self, files: ConfigFiles, options: Options) -> None:
        self._files, self._options = files, options

    def read(self) -> JailSpec | None:
        """The jail, or None where it has no filter. What else is wrong is in the options' faults."""
        options = self._options
        spec = self._filter()
        bans = self._lint()
        bantime = options.seconds("bantime", "600", endless=True)
        findtime = options.seconds("findtime", "600")
        if findtime <= 0:
            options.fault("findtime", f"findtime = {findtime:g} is no time to count in")
        if bantime <= 0 and bantime != -1:
            options.fault("bantime", f"bantime = {bantime:g} never bans; -1 is for ever")
        ignored = self._ignored()
        jail = JailSpec(
            name=options.name,
            filter=spec or FilterSpec("none", ()),
            logpath=self._logpath(),
            maxretry=options.whole("maxretry", 3, 1, 1_000_000),
            findtime=findtime,
            bantime=None if bantime == -1 else bantime,
            increment=increment.read(options),
            maxmatches=options.whole("maxmatches", 5, 0, 1_000_000),
            ignoreip=self._listed(ignored).networks,
            ignored=ignored,
            logtimezone=options.timezone(),
            logencoding=options.encoding(),
            **own.read(options),
        )
        return replace(jail, dry_run=jail.dry_run or not bans) if spec else None

    def _filter(self) -> FilterSpec | None:
        options = self._options
        text = options.text("filter")
        try:
            if not text and options.values.option("failregex") and not self._namesake():
                spec, faults = filters.from_jail(options.ini, options.name)
            else:
                name, given = split_name(text or options.name)
                for doubt in hints.unclosed(given):
                    options.fault("filter", doubt, warning=True)
                spec, faults = filters.load(self._files, name, given, options.over)
        except ConfigError as error:
            options.fault("filter", str(error))
            return None
        options.faults += [Fault(f.file, f.line, f.message, options.name, f.warning) for f in faults]
        return spec

    def _namesake(self) -> bool:
        """Whether a jail that names no filter has one of its own name; `filter =` is a jail without any."""
        options = self._options
        return options.values.option("filter") is None and self._files.filter(options.name) is not None

    def _lint(self) -> bool:
        """What cannot be done here as it is written; whether the jail bans anybody at all."""
        options = self._options
        for key in sorted(options.values.keys()):
            # A dry run that is misspelt bans for years: our own options are never passed over.
            if key.startswith(("zmban.", "zmban_")) and key not in own.KEYS:
                text = f"{key} is not known in a jail; there are: {', '.join(sorted(own.KEYS))}"
                options.fault(key, text)
            elif meant := options.misspelt(key):
                options.fault(key, f"{key} is not known in a jail; did you mean {meant}?", warning=True)
        port = options.values.own("port")
        if port and options.text("port") not in ("", "all", "any", "0:65535", "1:65535"):
            options.fault("port", "a route closes every port of the host, not only these", warning=True)
        self._backend()
        if options.text("ignorecommand"):
            options.fault(
                "ignorecommand",
                "ignorecommand: no command is run here; use ignoreip (file:PATH) or zmban allow",
            )
        return self._actions()

    def _backend(self) -> None:
        options = self._options
        backend = options.text("backend", "auto").lower()
        if not backend.startswith(_BACKENDS):
            text = f"backend = {backend[:60]!r} is not known; leave it out"
            options.fault("backend", text, warning=True)
        elif backend.startswith("systemd"):
            read = bool(options.text("logpath"))
            cure = "the files of logpath are" if read else "name the log file with logpath"
            options.fault("backend", f"the journal is not read; {cure}", warning=read)

    def _actions(self) -> bool:
        options = self._options
        try:
            found = actions.judge(options.text("action", "route"), self._files.action)
        except ConfigError as error:
            options.fault("action", str(error))
            return True
        for message in found.errors:
            options.fault("action", message)
        for message in found.warnings:
            options.fault("action", message, warning=True)
        if not found.bans and not found.errors:
            text = "none of its actions refuses anybody: the jail runs dry; write action = route"
            options.fault("action", text, warning=True)
        return found.bans

    def _logpath(self) -> tuple[LogPath, ...]:
        options = self._options
        paths: list[LogPath] = []
        for line in options.text("logpath").split("\n"):
            words = line.split()
            if not words:
                continue
            place = words.pop() if len(words) > 1 and words[-1] in ("head", "tail") else "head"
            if len(words) != 1 or not words[0].startswith("/"):
                options.fault("logpath", hints.path(line.strip()[:200]))
                continue
            paths.append(LogPath(words[0], place == "tail"))
        if not paths and options.good:
            options.fault("logpath", f"jail {options.name} names no log; add logpath = /var/log/zimbra.log")
        return tuple(paths)

    def _ignored(self) -> Ignored:
        options = self._options
        found, wrong = ignoring.read(ignoring.words(options.text("ignoreip")))
        for word in wrong:
            # Not a warning: without this entry somebody who must not be banned would be.
            options.fault(
                "ignoreip", f"ignoreip: {word[:100]!r} is none of address, network, name, file:PATH"
            )
        return found

    def _listed(self, ignored: Ignored) -> Ignored:
        """With what the files say now."""
        options = self._options
        for path in ignored.files:
            text = self._files.listed(path)
            if text is None:
                options.fault("ignoreip", f"ignoreip: file:{path[:200]} cannot be read")
            for word in ignoring.read(ignoring.lines(text or ""))[1]:
                options.fault("ignoreip", f"{path[:200]}: {word[:100]!r} is no address, network or host name")
        return ignoring.filled(ignored, self._files.listed)
