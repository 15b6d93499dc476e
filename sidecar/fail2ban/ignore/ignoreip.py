"""Parses `ignoreip` entries: networks, host names and files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.network import Network, meant

# An IPv4 address with a typing error, such as a letter.
_ALMOST_ADDRESS = re.compile(r"\d+\.\d+\.\d*\w?\.?\w{0,3}", re.ASCII)
_NAME = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9-]*[a-z][a-z0-9-]*\.?", re.I
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Hosts that a jail never counts: networks, host names to resolve, and files that list both."""

    networks: tuple[Network, ...] = ()
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def words(text: str) -> list[str]:
    """The entries of an `ignoreip`, separated by whitespace and commas."""
    return text.replace(",", " ").split()


def lines(text: str) -> list[str]:
    """The entries of a file of networks, several per line; # and ; start a comment."""
    return [word for line in text.splitlines() for word in words(re.split(r"[#;]", line, maxsplit=1)[0])]


def is_name(word: str) -> bool:
    """Whether `word` is a valid host name (at least one letter, so no address)."""
    return _NAME.fullmatch(word) is not None


def read(entries: Iterable[str]) -> tuple[Ignored, list[str]]:
    """Sort the entries by kind. Also returns the invalid entries; networks that they probably mean are
    included in the result."""
    networks: list[Network] = []
    names: list[str] = []
    files: list[str] = []
    wrong: list[str] = []
    for word in entries:
        if word.lower().startswith("file:"):
            files.append(word.partition(":")[2])
            continue
        try:
            networks.append(Network.around(word))
        except ValueError:
            if is_name(word) and not _ALMOST_ADDRESS.fullmatch(word):
                names.append(word)
            else:
                wrong.append(word)
                networks += meant(word)
    return Ignored(tuple(networks), tuple(dict.fromkeys(names)), tuple(dict.fromkeys(files))), wrong


def instead(word: str) -> str:
    """The networks ignored instead of an invalid entry, as the end of a sentence; "" if there are none."""
    return f"; until fixed, {', '.join(map(str, found))} is ignored" if (found := meant(word)) else ""


def filled(ignored: Ignored, text_of: Callable[[str], str | None]) -> Ignored:
    """`ignored` with the entries of its files; unreadable files and invalid entries are skipped."""
    networks, names = [*ignored.networks], [*ignored.names]
    for path in ignored.files:
        more, _ = read(lines(text_of(path) or ""))
        networks += more.networks
        names += more.names
    return Ignored(tuple(networks), tuple(dict.fromkeys(names)), ignored.files)
