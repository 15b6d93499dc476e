"""The section `growth`: how zmban's time and memory grow with jails, logs, lines and attackers."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.scan import places, programs, zimbra
from bench.scan.generate import Log, cache, cached
from bench.scan.measure import Program, Runs, once

Say = Callable[[str], None]
JAILS = (1, 2, 4, 8, 16, 32, 64)
LOGS = (1, 2, 4, 8, 16, 32)
# Failures stay in the window and no client is banned.
_PATIENT = 100
_HUGE_COPIES = 7
_SYLLABLES = "ba do fe gi ku lan mor nis pel rat sol tun ver wix yor zam".split()


def measure(lines: int, rounds: int, say: Say) -> list[Runs]:
    """Measure every point of every curve, `rounds` times, in turn."""
    with tempfile.TemporaryDirectory(prefix="growth-", dir=cache()) as folder:
        place = Path(folder)
        points = [
            *_jails(place, lines // 2),
            *_logs(place, lines // 5),
            *_lines(place, lines),
            *_attackers(place, lines),
        ]
        for turn in range(rounds):
            for runs, program, log in points:
                # A million attackers are for memory only, which does not vary: one round.
                if turn and runs.program == "attackers":
                    continue
                runs.add(once(program, log.path))
                say(
                    f"round {turn + 1}: {runs.program} {runs.log}: {runs.wall[-1]:.2f} s, {runs.rss[-1] / 2**20:.0f} MiB"
                )
                assert runs.found == log.hits, (
                    f"{runs.program} {runs.log}: {runs.found} found, not {log.hits}"
                )
        return [runs for runs, _, _ in points]


_Point = tuple[Runs, Program, Log]


def _point(series: str, x: int, program: Program, log: Log) -> _Point:
    return Runs(series, str(x), log.lines, log.bytes), program, log


def _tens(least: int, most: int) -> list[int]:
    """The powers of ten in this range."""
    return [10**n for n in range(12) if least <= 10**n <= most]


def _jails(place: Path, lines: int) -> Iterator[_Point]:
    """One jail with hits, then further jails on the same log with other literals."""
    log = cached(zimbra.QUIET, lines)
    texts = [_own_filter(number) for number in range(max(JAILS) - 1)]
    for count in JAILS:
        others = {f"own-{number}": text for number, text in enumerate(texts[: count - 1])}
        jails = [("zimbra-smtp", "zimbra-smtp", 2), *((name, name, 2) for name in others)]
        config = places.configuration(place / f"jails-{count}", jails, others)
        names: dict[str, Path | None] = {name: None for name, _, _ in jails}
        yield _point("jails", count, programs.zmban(config, names), log)


def _own_filter(number: int) -> str:
    """A filter in the style of those for Postfix, with unique literals."""
    chance = random.Random(f"filter {number}")
    word = ["".join(chance.choices(_SYLLABLES, k=4)) for _ in range(3)]
    return (
        "[Definition]\n"
        rf"failregex = ^\s*\S+\s+postfix/(?:submission/|smtps/)?smtpd\[\d+\]: warning: {word[0]} from "
        rf"[^\[\]\s]*\[<HOST>\]: {word[1]} refused$"
        "\n"
        rf"            ^\s*\S+\s+{word[2]}d\[\d+\]: failed {word[0]} for \S+ from <HOST>$"
        "\nignoreregex =\n"
    )


def _logs(place: Path, lines: int) -> Iterator[_Point]:
    """The same lines, distributed over more and more logs."""
    log = cached(zimbra.QUIET, lines)
    config = places.configuration(place / "logs", [("zimbra-smtp", "zimbra-smtp", 2)])
    for count in LOGS:
        parts = [place / f"logs-{count}-{number}" / "zimbra.log" for number in range(count)]
        _deal(log.path, parts)
        # The first part is the measured log, the others are added to it.
        program = programs.zmban(
            config, {"zimbra-smtp": None}, extra=[f"--log=zimbra-smtp={p}" for p in parts[1:]]
        )
        yield _point("logs", count, program, Log(log.kind, parts[0], log.lines, log.bytes, log.hits))


def _deal(log: Path, parts: list[Path]) -> None:
    with ExitStack() as stack:
        files = []
        for part in parts:
            part.parent.mkdir()
            files.append(stack.enter_context(part.open("wb")))
        whole = stack.enter_context(log.open("rb"))
        turn = 0
        while lines := whole.readlines(1 << 22):
            for number, file in enumerate(files):
                file.writelines(lines[(number - turn) % len(files) :: len(files)])
            turn += len(lines)


def _lines(place: Path, lines: int) -> Iterator[_Point]:
    """The shipped jails with longer and longer logs."""
    empty = place / "empty.log"
    empty.touch()
    for count in _tens(10_000, lines):
        yield _point("lines", count, programs.shipped("zimbra-smtp", empty), cached(zimbra.QUIET, count))


def _attackers(place: Path, lines: int) -> Iterator[_Point]:
    """More and more attackers, with one failure each."""
    config = places.configuration(place / "attackers", [("zimbra-smtp", "zimbra-smtp", _PATIENT)])
    for count in _tens(1, min(1_000_000, lines)):
        yield _point("attackers", count, programs.zmban(config, {"zimbra-smtp": None}), attackers(count))


def attackers(count: int) -> Log:
    """A log with this number of attackers, one line each."""
    return cached(zimbra.ATTACK, count, attackers=count)


def huge(lines: int, say: Say) -> Runs:
    """Memory with a log of 10 GB: several copies of the long log, removed afterwards. The dates start again with
    each copy, which does not affect the result."""
    log = cached(zimbra.QUIET, lines)
    need = log.bytes * _HUGE_COPIES
    free = shutil.disk_usage(cache()).free
    if free < need * 1.2:
        raise RuntimeError(f"--huge needs {need * 1.2 / 1e9:.0f} GB in {cache()}; there are {free / 1e9:.0f}")
    with tempfile.TemporaryDirectory(prefix="huge-", dir=cache()) as folder:
        path, empty = Path(folder) / "zimbra.log", Path(folder) / "empty.log"
        empty.touch()
        with path.open("wb") as file:
            for _ in range(_HUGE_COPIES):
                with log.path.open("rb") as part:
                    shutil.copyfileobj(part, file, 1 << 22)
        runs = Runs("huge", str(need), log.lines * _HUGE_COPIES, need)
        runs.add(once(programs.shipped("zimbra-smtp", empty), path))
        say(f"{need / 1e9:.1f} GB: {runs.wall[0]:.1f} s, {runs.rss[0] / 2**20:.0f} MiB")
        assert runs.found == log.hits * _HUGE_COPIES
        return runs
