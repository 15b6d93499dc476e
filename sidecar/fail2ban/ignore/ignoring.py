"""`ignoreip`: networks, host names and files, told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.network import Network, meant

# An address with a letter in it.
_NEARLY = re.compile(r"\d+\.\d+\.\d*\w?\.?\w{0,3}", re.ASCII)
_NAME = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9-]*[a-z][a-z0-9-]*\.?", re.I
)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Who a jail never counts: networks, names whose addresses are looked up, and files of all these."""

    networks: tuple[Network, ...] = ()
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def words(text: str) -> list[str]:
    """The entries of an `ignoreip`, separated by blanks, commas and new lines."""
    return text.replace(",", " ").split()


def lines(text: str) -> list[str]:
    """The entries of a file of networks: many a line; # and ; begin a comment."""
    return [word for line in text.splitlines() for word in words(re.split(r"[#;]", line, maxsplit=1)[0])]


def is_name(word: str) -> bool:
    """Whether it could be a host name, and is no address that was written wrong."""
    return _NAME.fullmatch(word) is not None


def read(entries: Iterable[str]) -> tuple[Ignored, list[str]]:
    """Tell the entries apart; those that are nothing are given back, and whom they may mean counts."""
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
            if is_name(word) and not _NEARLY.fullmatch(word):
                names.append(word)
            else:
                wrong.append(word)
                networks += meant(word)
    return Ignored(tuple(networks), tuple(dict.fromkeys(names)), tuple(dict.fromkeys(files))), wrong


def instead(word: str) -> str:
    """Who is ignored in place of an entry that is nothing, as the end of a sentence."""
    return f"; until then {', '.join(map(str, found))} is ignored" if (found := meant(word)) else ""


def filled(ignored: Ignored, text_of: Callable[[str], str | None]) -> Ignored:
    """With what its files hold; one that cannot be read, or an entry that is nothing, adds nothing."""
    networks, names = [*ignored.networks], [*ignored.names]
    for path in ignored.files:
        more, _ = read(lines(text_of(path) or ""))
        networks += more.networks
        names += more.names
    return Ignored(tuple(networks), tuple(dict.fromkeys(names)), ignored.files)
