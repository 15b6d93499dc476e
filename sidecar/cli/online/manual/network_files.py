"""Reads the networks of a manual ban: from arguments, and from files with one network per line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

from sidecar.model import StoreError
from sidecar.network import Network
from sidecar.store.imports import network_list

STDIN = "-"
_MOST = 1_000_000


class Given(NamedTuple):
    """A network as it was given: `network` is None if `text` is none. `place` is FILE:LINE, "" for an
    argument."""

    text: str
    network: Network | None
    place: str = ""

    def refusal(self) -> dict[str, Any]:
        """The answer for a text that is no network. `meant` is the network of an address with host bits."""
        meant: dict[str, str] = {}
        with contextlib.suppress(ValueError):
            meant = {"meant": str(Network.around(self.text))}
        return {"network": self.text, "result": "refused", "reason": "not-a-network", **meant}


def given(arguments: Iterable[str], files: Iterable[str]) -> list[Given]:
    """All networks in order: arguments, then the lines of each file. UsageError for a file that cannot be
    opened, StoreError for one that is not a list; both before anything is banned."""
    found = [_given(text) for text in arguments]
    for name in files:
        try:
            with _opened(name) as file:
                found += _of_file(file, "standard input" if name == STDIN else name)
        except OSError as error:
            raise click.UsageError(f"--file {name}: {error.strerror or error}") from error
    return found


def _of_file(file: BinaryIO, name: str) -> Iterator[Given]:
    for number, text in network_list.lines(file, name, "zmban ban --file -"):
        if number > _MOST:
            raise StoreError(f"{name}: more than {_MOST:,} lines; split the list")
        if text:
            yield _given(network_list.split(text)[0] or text[:200], f"{name}:{number}")


def _given(text: str, place: str = "") -> Given:
    try:
        return Given(text, Network.parse(text), place)
    except ValueError:
        return Given(text, None, place)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file
