"""The lists of a jail, `logpath` and `ignoreip`: an entry that cannot be read costs itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sidecar.fail2ban import hints, ignoring
from sidecar.fail2ban.ignoring import Ignored
from sidecar.fail2ban.options import Options
from sidecar.network import Network

_MOST_TOLD = 20


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


def ignored(options: Options, misspelt: Iterable[str], spared: Iterable[Network]) -> Ignored:
    """Whom a jail ignores, and `spared` with them; of an entry, a reference or an option name with a slip of
    the pen, whatever can be made out counts: without it somebody who must not be banned may be."""
    found, wrong = ignoring.read(ignoring.words(options.text("ignoreip")))
    for word in wrong:
        text = f"ignoreip: {word[:100]!r} is none of address, network, name, file:PATH"
        options.fault("ignoreip", text + ignoring.instead(word))
    raw = [option.value for key in ("ignoreip", *misspelt) if (option := options.values.option(key))]
    also = (network for text in raw for network in ignoring.read(ignoring.words(text))[0].networks)
    return replace(found, networks=tuple(dict.fromkeys((*found.networks, *spared, *also))))


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
