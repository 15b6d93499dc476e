"""`logpath`: the globs of the logs of a jail. An invalid line is dropped alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sidecar.fail2ban.jail_options import Options
from sidecar.fail2ban.syntax import hints

_MOST_REPORTED = 20
# `KIND:NAME` names a log that is not a plain file; sidecar/sources/kinds.py knows the kinds.
_OF_A_KIND = re.compile(r"[a-z][a-z0-9-]*:.")


@dataclass(frozen=True, slots=True)
class LogPath:
    """One glob of `logpath`; with `tail` the log is read from its end only."""

    glob: str
    tail: bool = False


def logpath(options: Options) -> tuple[LogPath, ...]:
    """The globs of a jail. A jail without any is stopped."""

    def parse(text: str) -> tuple[LogPath, ...]:
        found, wrong = _paths(text)
        if wrong and not found:
            raise ValueError("; ".join(wrong))
        for message in wrong:
            options.fault("logpath", message)
        return tuple(found)

    before = len(options.faults)
    paths = options.read("logpath", "", parse)
    if not paths and len(options.faults) > before:
        options.faults[-1] = replace(options.faults[-1], stops=True)
    elif not paths and options.good:
        text = f"jail {options.name} has no logpath; add logpath = /var/log/zimbra.log"
        options.fault("logpath", text, stops=True)
    return paths


def _paths(text: str) -> tuple[list[LogPath], list[str]]:
    """The valid globs, and a message for each invalid line."""
    paths: list[LogPath] = []
    wrong: list[str] = []
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        place = words.pop() if len(words) > 1 and words[-1] in ("head", "tail") else "head"
        if len(words) == 1 and (words[0].startswith("/") or _OF_A_KIND.match(words[0])):
            paths.append(LogPath(words[0], place == "tail"))
        elif len(wrong) < _MOST_REPORTED:
            wrong.append(f"logpath: {hints.path(line.strip()[:200])}")
    return paths, wrong
