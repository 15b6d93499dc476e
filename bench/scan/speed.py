"""The section `speed`: all programs with the same logs, in turn, so that load on the host affects all of them."""

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
    """How much is measured. `prefix`: number of lines for fail2ban-regex, which would take minutes for all."""

    lines: int
    prefix: int


@dataclass(frozen=True)
class _Entry:
    """One program with one log, and the number of lines it must find (None if it has its own grammar)."""

    program: Program
    log: Log
    hits: int | None
    note: str = ""
    superset: bool = False


def sizes(lines: int) -> dict[str, Size]:
    """The length of each log; shorter for a log of hits only, which is slow for every program."""
    fifth, twentieth = max(2_000, lines // 5), max(2_000, lines // 20)
    return {
        zimbra.QUIET.name: Size(lines, min(500_000, twentieth)),
        zimbra.ATTACK.name: Size(twentieth, max(2_000, min(100_000, lines // 50))),
        mailbox.MAILBOX.name: Size(fifth, min(100_000, twentieth)),
        access.ACCESS.name: Size(fifth, min(50_000, twentieth)),
    }


def measure(lines: int, rounds: int, say: Say) -> list[Runs]:
    """Run every program with every log, `rounds` times. AssertionError if the number of lines found is wrong."""
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
    """AssertionError if the number of lines found is wrong."""
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
    # The same seed: this is the beginning of the long log, with its own number of hits.
    part = cached(kind, min(size.prefix, size.lines))
    filter_, note = _filter(kind, place)
    short = "" if part.lines == log.lines else f"the first {part.lines:,} lines"
    yield _Entry(programs.fail2ban(filter_), part, part.hits, "; ".join(filter(None, (short, note))))
    # In mailbox.log it takes names of Java classes for host names, and resolves each.
    if kind is not mailbox.MAILBOX:
        yield _Entry(programs.sshguard(), log, None, "its own grammar, not the jail's")
    regexes = translated(kind, place)
    for program in programs.ripgrep(_folder(place, kind), regexes):
        exact = program.name.endswith("-P")
        note = "counts only" if exact else "counts only; lookarounds left out"
        yield _Entry(program, log, log.hits, note, superset=not exact)
    yield _Entry(programs.wc(), log, log.lines, "counts line ends")


def ours(kind: Kind, place: Path) -> Program:
    """zmban for this kind of log: with the shipped jails, or with the benchmark's own if none is shipped."""
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
    """The filter file for fail2ban-regex, and the note for the table."""
    if kind is access.ACCESS:
        return place / "access" / "filter.d" / "bench-access.conf", "the benchmark's own filter"
    if kind is mailbox.MAILBOX:
        return places.mailbox_filter(
            place
        ), "zimbra-mail with `oip=<HOST>` added, because it has no log grammar"
    return places.CONFIG / "filter.d" / "zimbra-smtp.conf", ""


def empty(place: Path) -> Path:
    """An empty log."""
    path = place / "empty.log"
    path.touch()
    return path


def _folder(place: Path, kind: Kind) -> Path:
    folder = place / f"of-{kind.name}"
    folder.mkdir(exist_ok=True)
    return folder
