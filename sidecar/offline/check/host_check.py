"""Checks that depend on the host: missing logs, a running Fail2Ban, slow or forgeable regexes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from sidecar.configuration.loading import Loaded
from sidecar.detect import grammar
from sidecar.detect.match.forged_example import ATTACKER, VICTIM, forged
from sidecar.detect.prefilter import literals, multipattern, prefilter
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Fault
from sidecar.offline.check import lint
from sidecar.sources.kinds import FILE, KINDS, kind_of, log_name
from sidecar.sources.log_copies import need_not_be

_NOT_READABLE = "is not readable; give zmban the group of the file or CAP_DAC_READ_SEARCH"
# The recommended maxretry of zimbra-mail if each line counts.
_LINES = 5
_FAIL2BAN_SOCKET = Path("/var/run/fail2ban/fail2ban.sock")


def surroundings(loaded: Loaded) -> list[Fault]:
    """The faults and warnings of a configuration on this host, beside those found while reading it."""
    faults = [*_logs(loaded), *_slow(loaded), *_forgeable(loaded), *_resolving(loaded), *_counting(loaded)]
    faults += lint.passed_over(loaded)
    if refused := multipattern.refused():
        text = f"{refused}: literals are searched one by one, which is slower with each jail that reads a log"
        faults.append(Fault("/proc/cpuinfo", 1, text, warning=True))
    other = running_fail2ban()
    if other:
        faults.append(
            Fault(
                other,
                1,
                "Fail2Ban is running too and bans on its own; run systemctl disable --now fail2ban",
                warning=True,
            )
        )
    if not loaded.jails.jails and not loaded.faults:
        places = ", ".join(str(d) for d in loaded.files.directories) or "any directory"
        faults.append(Fault(places, 1, "no jail is enabled; write enabled = true into a jail in jail.d"))
    return faults


def running_fail2ban() -> str | None:
    """The /proc entry of a Fail2Ban server, or its socket, if visible from here."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.rpartition(b"/")[2] == b"fail2ban-server" for word in words[:2]):
            return str(entry)
    return str(_FAIL2BAN_SOCKET) if _FAIL2BAN_SOCKET.is_socket() else None


def _logs(loaded: Loaded) -> Iterator[Fault]:
    for jail in loaded.jails.jails.values():
        file, line = loaded.jails.place(jail.name, "logpath")
        for log in jail.logpath:
            try:
                kind = kind_of(log.glob)
            except ValueError as error:
                yield Fault(file, line, f"logpath: {error}", jail.name)
                continue
            if kind.file is None:
                # The source itself reports that it is missing.
                continue
            pattern = kind.file(log.glob)
            # Of a link that leads nowhere, `look_up` says what is missing.
            found = kind.look_up(log.glob, ()) if kind is not KINDS[FILE] else None
            paths = glob.glob(pattern) if found is None else [kind.file(name) for name in found.found]
            unreadable = [path for path in paths or _parents(pattern) if not os.access(path, os.R_OK)]
            for path in unreadable:
                yield Fault(file, line, f"{path} {_NOT_READABLE}", jail.name)
            if found is not None and not paths and not unreadable:
                yield Fault(file, line, found.why, jail.name, warning=True)
            elif not paths and not unreadable and not need_not_be(log.glob):
                text = f"{log.glob} does not exist; it is read once it appears (is its directory mounted?)"
                yield Fault(file, line, text, jail.name, warning=True)


def _known(jail: JailSpec) -> bool:
    """Whether the grammar of every log of the jail is known."""
    return all(grammar.of_log(jail.log or log_name(log.glob)) for log in jail.logpath)


def _parents(pattern: str) -> list[str]:
    """The existing parent directories of a log, from the root on."""
    return [str(d) for d in reversed(Path(pattern).parents) if d.is_dir()]


def _forgeable(loaded: Loaded) -> Iterator[Fault]:
    """Unanchored regexes for logs without a known grammar: text of a client may match them."""
    for jail in loaded.jails.jails.values():
        if jail.filter.grammar or _known(jail):
            continue
        for pattern in jail.filter.failregex:
            anywhere = not pattern.regex.pattern.startswith("^")
            proof = forged(pattern.regex)
            if proof is None and not anywhere and not pattern.regex.pattern.startswith(("^.*", "^.+")):
                continue
            message = (
                f"{pattern.text[:60]!r} can be forged: a client that can write text into the log can get "
                "another address banned; start it with ^ and text of the server, and put nothing greedy "
                "before <HOST>"
            )
            if proof is not None:
                message += f"; this line, caused by {ATTACKER}, bans {VICTIM}: {proof[:300]!r}"
            yield Fault(pattern.file, pattern.line, message, jail.name, warning=True)


def _counting(loaded: Loaded) -> Iterator[Fault]:
    """A maxretry that probably means lines, in a jail that counts logins."""
    for jail in loaded.jails.jails.values():
        file, line = loaded.jails.place(jail.name, "maxretry")
        # If both options are in one file, maxretry is meant for logins.
        together = loaded.jails.place(jail.name, "zmban.count")[0] == file
        if jail.count == "logins" and not together and jail.maxretry >= _LINES:
            text = (
                f"maxretry = {jail.maxretry} counts logins (zmban.count = logins), not lines; "
                "write 3 logins instead of 5 lines"
            )
            yield Fault(file, line, text, jail.name, warning=True)


def _resolving(loaded: Loaded) -> Iterator[Fault]:
    """Jails with `usedns = yes` on logs without a known grammar: they resolve host names from the log."""
    for jail in loaded.jails.jails.values():
        if jail.filter.usedns != "yes" or jail.filter.grammar:
            continue
        known = _known(jail)
        if known or not any("dns" in p.regex.groupindex for p in jail.filter.failregex):
            continue
        text = (
            "the owner of a host name decides which address it resolves to, also that of another host; "
            "write usedns = no"
        )
        yield Fault(*loaded.jails.place(jail.name, "usedns"), text, jail.name, warning=True)


def _slow(loaded: Loaded) -> Iterator[Fault]:
    """Failregexes without a literal for the prefilter, so that every line is matched."""
    for jail in loaded.jails.jails.values():
        spec = jail.filter
        needed = prefilter.requirements(spec)
        if None not in needed:
            continue
        first = spec.failregex[needed.index(None)]
        vague = literals.required(first.regex) is None
        if spec.maxlines > 1:
            reason = f"with maxlines = {spec.maxlines} any line may be part of a match"
        elif vague and not (spec.prefregex and literals.required(spec.prefregex.regex)):
            reason = "the regex has no literal text that every match contains"
        else:
            reason = "with this datepattern the position of the date in a line is unknown"
        text = f"{reason}: every line of the log is matched, which is slow"
        yield Fault(first.file, first.line, text, jail.name, warning=True)
