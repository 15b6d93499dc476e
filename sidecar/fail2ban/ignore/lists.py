"""The lists of a jail, `logpath` and `ignoreip`: an entry that cannot be read costs itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from sidecar.fail2ban.ignore import ignoring
from sidecar.fail2ban.ignore.ignoring import Ignored
from sidecar.fail2ban.options import Options
from sidecar.fail2ban.syntax import hints
from sidecar.network import meant

_MOST_TOLD = 20
_REFERENCE = re.compile(r"%\(([^)]*)\)s?")
_BLANKS = re.compile(r"\s*/\s*")


@dataclass(frozen=True, slots=True)
class LogPath:
    """One glob of `logpath`; `tail` reads from the end only."""

    glob: str
    tail: bool = False


def logpath(options: Options) -> tuple[LogPath, ...]:
    """The globs of a jail; without any it is stopped."""

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
        text = f"jail {options.name} names no log; add logpath = /var/log/zimbra.log"
        options.fault("logpath", text, stops=True)
    return paths


def _paths(text: str) -> tuple[list[LogPath], list[str]]:
    paths: list[LogPath] = []
    wrong: list[str] = []
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        place = words.pop() if len(words) > 1 and words[-1] in ("head", "tail") else "head"
        if len(words) == 1 and words[0].startswith("/"):
            paths.append(LogPath(words[0], place == "tail"))
        elif len(wrong) < _MOST_TOLD:
            wrong.append(f"logpath: {hints.path(line.strip()[:200])}")
    return paths, wrong


def ignored(options: Options, misspelt: Iterable[str], spared: Ignored) -> Ignored:
    """Whom a jail ignores, and those `spared` with them; of an entry, a reference or an option name with a
    slip of the pen, what can be made out counts: without it somebody who must not be banned may be."""
    found, wrong = ignoring.read(ignoring.words(options.text("ignoreip")))
    for word in wrong:
        text = f"ignoreip: {word[:100]!r} is none of address, network, name, file:PATH"
        options.fault("ignoreip", text + ignoring.instead(word))
    raw = list(_raw(options, ("ignoreip", *misspelt)))
    also, _ = ignoring.read(word for text in raw for word in ignoring.words(text))
    if "/" in wrong:
        also = replace(
            also, networks=(*also.networks, *(n for text in raw for n in meant(_BLANKS.sub("/", text))))
        )
    more = dict.fromkeys((*spared.networks, *also.networks))
    return Ignored(
        (*found.networks, *(network for network in more if network not in found.networks)),
        tuple(dict.fromkeys((*found.names, *spared.names))),
        tuple(dict.fromkeys((*found.files, *spared.files))),
    )


def _raw(options: Options, keys: Iterable[str]) -> Iterator[str]:
    """These options as they are written, and those that they refer to, or may."""
    known, waiting = set[str](), list(keys)
    while waiting and len(known) < _MOST_TOLD:
        key = waiting.pop()
        option = options.values.option(key)
        if option is None:
            near = get_close_matches(key, options.values.keys(), 1, 0.6)
            option = options.values.option(near[0]) if near else None
        if option is not None and key not in known:
            known.add(key)
            yield _REFERENCE.sub(" ", option.value)
            waiting += (name.lower().rpartition("/")[2] for name in _REFERENCE.findall(option.value))


def filled(options: Options, found: Ignored, text_of: Callable[[str], str | None]) -> Ignored:
    """With what the files say now that an `ignoreip` names."""
    for path in found.files:
        text = text_of(path)
        if text is None:
            options.fault("ignoreip", f"ignoreip: file:{path[:200]} cannot be read")
        for word in ignoring.read(ignoring.lines(text or ""))[1]:
            wrong = f"{path[:200]}: {word[:100]!r} is no address, network or host name"
            options.fault("ignoreip", wrong + ignoring.instead(word))
    return ignoring.filled(found, text_of)
