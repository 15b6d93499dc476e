"""The section `speed`: all programs over the same logs, turn by turn, so that a slow minute hits all alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.scan import access, mailbox, places, programs, rust, zimbra
from bench.scan.generate import Kind, Log, cached
from bench.scan.measure import Program, Runs, once

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is measured. `prefix` lines are what fail2ban-regex gets, for all would take it minutes."""

    lines: int
    prefix: int


@dataclass(frozen=True)
class _Entry:
    """One program over one log, and how many lines it has to find: None where its grammar is its own."""

    program: Program
    log: Log
    hits: int | None
    note: str = ""
    superset: bool = False


def sizes(lines: int) -> dict[str, Size]:
    """Each log's share of the work: a log of hits alone costs every program most."""
    fifth, twentieth = max(2_000, lines // 5), max(2_000, lines // 20)
    return {
        zimbra.QUIET.name: Size(lines, min(500_000, twentieth)),
        zimbra.ATTACK.name: Size(twentieth, max(2_000, min(100_000, lines // 50))),
        mailbox.MAILBOX.name: Size(fifth, min(100_000, twentieth)),
        access.ACCESS.name: Size(fifth, min(50_000, twentieth)),
    }


def measure(lines: int, rounds: int, say: Say) -> list[Runs]:
    """Every program over every log, `rounds` times. AssertionError where one does not find what was planted."""
    with tempfile.TemporaryDirectory(prefix="zmban-bench-") as folder:
        place = Path(folder)
        entries = [entry for kind in KINDS for entry in _entries(kind, sizes(lines)[kind.name], place, say)]
        all_runs = [Runs(e.program.name, e.log.kind, e.log.lines, e.log.bytes, e.note) for e in entries]
        for entry, runs in zip(entries, all_runs, strict=True):
            runs.start = once(entry.program, empty(place)).wall
        for turn in range(rounds):
            for entry, runs in zip(entries, all_runs, strict=True):
                runs.add(once(entry.program, entry.log.path))
                say(
                    f"round {turn + 1}: {runs.program} over {runs.log}: {runs.lines / runs.wall[-1]:,.0f} lines/s"
                )
                _check(entry, runs.found)
        return all_runs


KINDS = (zimbra.QUIET, zimbra.ATTACK, mailbox.MAILBOX, access.ACCESS)
_JAILS = {
    zimbra.QUIET.name: "zimbra-smtp",
    zimbra.ATTACK.name: "zimbra-smtp",
    mailbox.MAILBOX.name: "zimbra-mail",
}
_DATES = {"zimbra.log": rust.SYSLOG, "mailbox.log": rust.LOG4J, "nginx.access.log": rust.NGINX}


def _check(entry: _Entry, found: int) -> None:
    """Speed counts only where the answer is right."""
    if entry.hits is not None:
        right = found >= entry.hits if entry.superset else found == entry.hits
        assert right, f"{entry.program.name} finds {found} lines in {entry.log.kind}, not {entry.hits}"


def _entries(kind: Kind, size: Size, place: Path, say: Say) -> Iterator[_Entry]:
    say(f"{kind.name}: {size.lines:,} lines")
    log = cached(kind, size.lines)
    yield _Entry(
        ours(kind, place), log, log.hits, "the benchmark's own filter" if kind is access.ACCESS else ""
    )
    yield _Entry(programs.everything(kind.file, empty(place)), log, None, "what else is in it counts too")
    # The same seed: this is the begin of the long log, with its own number of hits.
    part = cached(kind, min(size.prefix, size.lines))
    filter_, note = _filter(kind, place)
    short = "" if part.lines == log.lines else f"the first {part.lines:,} lines"
    yield _Entry(programs.fail2ban(filter_), part, part.hits, "; ".join(filter(None, (short, note))))
    # In mailbox.log it takes names of Java classes for hosts, and asks the name server for each.
    if kind is not mailbox.MAILBOX:
        yield _Entry(programs.sshguard(), log, None, "its own grammar, not the jail's")
    regexes = translated(kind, place)
    for program in programs.ripgrep(_folder(place, kind), regexes):
        exact = program.name.endswith("-P")
        note = "counts only" if exact else "counts only; lookarounds left out"
        yield _Entry(program, log, log.hits, note, superset=not exact)
    yield _Entry(programs.wc(), log, log.lines, "counts line ends")


def ours(kind: Kind, place: Path) -> Program:
    """zmban for this kind of log: the shipped jails, or the benchmark's own where none is shipped."""
    if kind is access.ACCESS:
        config = place / "access"
        return programs.zmban(
            config if config.is_dir() else places.for_access(config), {"bench-access": None}
        )
    return programs.shipped(_JAILS[kind.name], empty(place))


def translated(kind: Kind, place: Path) -> dict[str, list[str]]:
    """The regexes of this kind's filter for ripgrep, in both forms."""
    directory, name = places.CONFIG, _JAILS.get(kind.name, "bench-access")
    if kind is access.ACCESS:
        directory = place / "access"
    texts = rust.failregexes(directory, name)
    date = _DATES[kind.file]
    return {"pcre": [rust.pcre(t, date) for t in texts], "rust": [rust.rust(t, date) for t in texts]}


def _filter(kind: Kind, place: Path) -> tuple[Path, str]:
    """The file of the filter that fail2ban-regex is given, and what is to be said of it."""
    if kind is access.ACCESS:
        return place / "access" / "filter.d" / "bench-access.conf", "the benchmark's own filter"
    if kind is mailbox.MAILBOX:
        return places.mailbox_filter(
            place
        ), "zimbra-mail with `oip=<HOST>` in its head, for it knows no log grammar"
    return places.CONFIG / "filter.d" / "zimbra-smtp.conf", ""


def empty(place: Path) -> Path:
    """A log without a line."""
    path = place / "empty.log"
    path.touch()
    return path


def _folder(place: Path, kind: Kind) -> Path:
    folder = place / f"of-{kind.name}"
    folder.mkdir(exist_ok=True)
    return folder
