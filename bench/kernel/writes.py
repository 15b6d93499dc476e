"""The section `writes`: all bans at once, one more, and none again, by zmban and by the programs people use."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from bench.kernel.figures import Figures, Say, addresses, prefixes, seconds
from sidecar.app.enforce.reconciler import Reconciler
from sidecar.bans.table import BanTable
from sidecar.kernel import registry
from sidecar.kernel.backend import Entry
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.settings import KernelSettings
from tests.netns import Namespace, program, run

_EXTRA = Network.parse("203.0.113.7")
_ONE_BY_ONE = 2_000
_CHUNK = 1_000


class Writer(Protocol):
    """One way to write bans. What is prepared in its making is not measured."""

    name: str

    def add(self) -> None:
        """All of them."""

    def one(self) -> None:
        """One more."""

    def clear(self) -> None:
        """None any more."""


class Ours:
    """The backend as the service uses it: a reconcile of the ban table, one ban, a flush."""

    name = "zmban"

    def __init__(self, wanted: dict[Network, Entry], _: Path) -> None:
        self._bans = BanTable(Ban(network, "smtp", 1.0, None, "log") for network in wanted)
        self._backend = registry.make(KernelSettings())
        self._reconciler = Reconciler(self._backend, self._bans)

    def add(self) -> None:
        asyncio.run(self._reconciler.make_good())

    def one(self) -> None:
        assert not self._reconciler.ban([_EXTRA])

    def clear(self) -> None:
        with contextlib.closing(self._backend) as backend:
            backend.flush(list(self._bans.refused()), everywhere=False)


@dataclass(frozen=True)
class _Words:
    """How a program is told: a file of everything, and two commands. {} is an address."""

    name: str
    program: str
    package: str
    read: tuple[str, ...]
    begin: str
    line: str
    one: tuple[str, ...]
    clear: tuple[str, ...]
    many: int = 1


class Told:
    """A program that reads a file of its own commands."""

    def __init__(self, words: _Words, wanted: dict[Network, Entry], folder: Path) -> None:
        self.name, self._words = words.name, words
        self._path, self._file = program(words.program, words.package), folder / "all"
        with self._file.open("w", encoding="utf-8") as file:
            file.write(words.begin)
            texts = [str(network.address) for network in wanted]
            for start in range(0, len(texts), words.many):
                file.write(words.line.replace("{}", ", ".join(texts[start : start + words.many])))

    def add(self) -> None:
        if "{file}" in self._words.read:
            run(self._path, *(word.replace("{file}", str(self._file)) for word in self._words.read))
        else:
            with self._file.open("rb") as commands:
                subprocess.run([self._path, *self._words.read], stdin=commands, check=True)

    def one(self) -> None:
        run(self._path, *(word.replace("{}", str(_EXTRA.address)) for word in self._words.one))

    def clear(self) -> None:
        run(self._path, *self._words.clear)


def _nft(name: str, flags: str) -> _Words:
    begin = f"add table inet bench\nadd set inet bench bans {{ type ipv4_addr; {flags} }}\n"
    each = "add element inet bench bans { {} }"
    clear = ("delete", "table", "inet", "bench")
    return _Words(name, "nft", "nftables", ("-f", "{file}"), begin, each + "\n", (each,), clear, _CHUNK)


_OTHERS = (
    _Words(
        "ip -batch", "ip", "iproute2", ("-batch", "{file}"), "",
        "route add blackhole {} table 2520 proto 222\n",
        ("route", "add", "blackhole", "{}", "table", "2520", "proto", "222"),
        ("route", "flush", "table", "2520"),
    ),
    _nft("nft, set of addresses", ""),
    _nft("nft, set of intervals", "flags interval;"),
    _Words(
        "ipset restore, hash:net", "ipset", "ipset", ("restore",),
        "create bench hash:net maxelem 4194304\n", "add bench {}\n", ("add", "bench", "{}"), ("destroy", "bench"),
    ),
)  # fmt: skip
OTHERS = [words.name for words in _OTHERS]
# In this, adding one looks at all that are there: at 1,000,000 it takes minutes.
_MOST = {"nft, set of intervals": 300_000}
ONE_BY_ONE = "pyroute2, one by one"


def measure(figures: Figures, sizes: Sequence[int], rounds: int, say: Say) -> None:
    """Every size, turn by turn, each writer in a namespace of its own; IPv6 by zmban alone."""
    for size in sizes:
        wanted, six = addresses(size), prefixes(min(size, 300_000))
        writers: list[Callable[[Path], Writer]] = [partial(Ours, wanted)]
        writers += [partial(Told, words, wanted) for words in _OTHERS if size <= _MOST.get(words.name, size)]
        for _ in range(rounds):
            for make in writers:
                _life(figures, f"writes/{size}", make)
            if len(six) == size:
                _life(figures, f"writes/{size} IPv6", partial(Ours, six))
        say(f"writes: {size:,} done")
    _one_by_one(figures)


def _life(figures: Figures, name: str, make: Callable[[Path], Writer]) -> None:
    host = Namespace()
    try:
        with host.inside(), tempfile.TemporaryDirectory() as folder:
            writer = make(Path(folder))
            for what, work in (("all", writer.add), ("one", writer.one), ("none", writer.clear)):
                figures.add(f"{name}/{writer.name}/{what}", seconds(work))
    finally:
        host.remove()


def _one_by_one(figures: Figures) -> None:
    """pyroute2 as its documentation shows it."""
    from pyroute2 import IPRoute

    host = Namespace()
    try:
        with host.inside(), IPRoute() as route:
            some = [str(network) for network in addresses(_ONE_BY_ONE)]

            def add() -> None:
                for text in some:
                    route.route("add", dst=text, type="blackhole", table=2520, proto=222)

            figures.add(f"writes/{_ONE_BY_ONE}/{ONE_BY_ONE}/all", seconds(add))
    finally:
        host.remove()
