"""What `check` finds around the configuration: logs that are missing, a Fail2Ban that still runs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from sidecar.configuration.loading import Loaded
from sidecar.detect import grammar
from sidecar.detect.match.forged_example import ATTACKER, VICTIM, forged
from sidecar.detect.prefilter import literals, multipattern, prefilter
from sidecar.model import Fault
from sidecar.offline.check import lint
from sidecar.sources.log_copies import need_not_be

_MAY_NOT_READ = "may not be read; give zmban the group of the file or CAP_DAC_READ_SEARCH"
# What the practice says for zimbra-mail, where each line counts.
_LINES = 5
_FAIL2BAN_SOCKET = Path("/var/run/fail2ban/fail2ban.sock")


def surroundings(loaded: Loaded) -> list[Fault]:
    """Faults and warnings that only this host can tell, as opposed to the files alone."""
    faults = [*_logs(loaded), *_slow(loaded), *_loose(loaded), *_named(loaded), *_counting(loaded)]
    faults += lint.passed_over(loaded)
    if refused := multipattern.refused():
        text = f"{refused}: literals are looked for one by one, which is slower the more jails read a log"
        faults.append(Fault("/proc/cpuinfo", 1, text, warning=True))
    other = running_fail2ban()
    if other:
        faults.append(
            Fault(
                other,
                1,
                "a Fail2Ban runs beside zmban and bans by its own count; systemctl disable --now fail2ban",
                warning=True,
            )
        )
    if not loaded.jails.jails and not loaded.faults:
        places = ", ".join(str(d) for d in loaded.files.directories) or "any directory"
        faults.append(Fault(places, 1, "no jail is enabled; write enabled = true into one of jail.d"))
    return faults


def running_fail2ban() -> str | None:
    """The process of a Fail2Ban server or its socket, if one is seen from here."""
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
            paths = glob.glob(log.glob)
            closed = [path for path in paths or _way(log.glob) if not os.access(path, os.R_OK)]
            for path in closed:
                yield Fault(file, line, f"{path} {_MAY_NOT_READ}", jail.name)
            if not paths and not closed and not need_not_be(log.glob):
                message = (
                    f"{log.glob} is not there; it is read as soon as it appears (is its directory mounted?)"
                )
                yield Fault(file, line, message, jail.name, warning=True)


def _way(pattern: str) -> list[str]:
    """The directories on the way to a log that are there."""
    return [str(d) for d in reversed(Path(pattern).parents) if d.is_dir()]


def _loose(loaded: Loaded) -> Iterator[Fault]:
    """Regexes that begin anywhere in a line whose grammar is not known: a client's text may imitate them."""
    for jail in loaded.jails.jails.values():
        if jail.filter.grammar or all(grammar.of_log(log.glob) for log in jail.logpath):
            continue
        for pattern in jail.filter.failregex:
            anywhere = not pattern.regex.pattern.startswith("^")
            proof = forged(pattern.regex)
            if proof is None and not anywhere and not pattern.regex.pattern.startswith(("^.*", "^.+")):
                continue
            message = (
                f"{pattern.text[:60]!r} can be imitated: a client that can write text into the log can have"
            )
            message += (
                " somebody else banned; begin it with ^ and what the server writes, and put nothing greedy"
            )
            message += " before <HOST>"
            if proof is not None:
                message += f"; of this line of {ATTACKER} it blames {VICTIM}: {proof[:300]!r}"
            yield Fault(pattern.file, pattern.line, message, jail.name, warning=True)


def _counting(loaded: Loaded) -> Iterator[Fault]:
    """A maxretry that was meant for lines, in a jail that counts logins."""
    for jail in loaded.jails.jails.values():
        file, line = loaded.jails.place(jail.name, "maxretry")
        # Who wrote both meant both: one of them came with the shipped jail.
        together = loaded.jails.place(jail.name, "zmban.count")[0] == file
        if jail.count == "logins" and not together and jail.maxretry >= _LINES:
            text = (
                f"maxretry = {jail.maxretry} means logins here (zmban.count = logins); 5 lines are 3 logins"
            )
            yield Fault(file, line, text, jail.name, warning=True)


def _named(loaded: Loaded) -> Iterator[Fault]:
    """Jails that look names up because somebody said so, in logs whose grammar does not name the client."""
    for jail in loaded.jails.jails.values():
        if jail.filter.usedns != "yes" or jail.filter.grammar:
            continue
        known = all(grammar.of_log(log.glob) for log in jail.logpath)
        if known or not any("dns" in p.regex.groupindex for p in jail.filter.failregex):
            continue
        text = (
            "a name in a log means what its owner's DNS says, and he may point it at somebody else; "
            "write usedns = no"
        )
        yield Fault(*loaded.jails.place(jail.name, "usedns"), text, jail.name, warning=True)


def _slow(loaded: Loaded) -> Iterator[Fault]:
    for jail in loaded.jails.jails.values():
        spec = jail.filter
        needed = prefilter.requirements(spec)
        if None not in needed:
            continue
        first = spec.failregex[needed.index(None)]
        vague = literals.required(first.regex) is None
        if spec.maxlines > 1:
            reason = f"maxlines = {spec.maxlines}: each line may be a part of what is matched"
        elif vague and not (spec.prefregex and literals.required(spec.prefregex.regex)):
            reason = "no literal text that every match contains"
        else:
            reason = "with a datepattern of its own, nobody knows where in a line the date stands"
        text = f"{reason}: each line of the log is matched by it, which is slow"
        yield Fault(first.file, first.line, text, jail.name, warning=True)
