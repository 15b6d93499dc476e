"""`zmban status`: state of jails, sources and kernel; with --watch refreshed every second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, NoReturn

import click

from sidecar.cli.output.printing import emit, json_options
from sidecar.cli.output.tables import Column, Row, rendered
from sidecar.cli.output.terminal import styled, supports_control_codes, width, wrapped
from sidecar.cli.places import ask, socket_option
from sidecar.local_time import moment
from sidecar.model import counted, printable


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@socket_option
@json_options
def status(watch: bool, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Show the state of jails, logs and kernel."""
    if as_json or jsonl:
        emit([ask(socket, "status")], jsonl=jsonl)
        return
    if watch and supports_control_codes(sys.stdout):
        _watch(socket)
    click.echo(_display(ask(socket, "status")))


def _watch(socket: Path) -> NoReturn:
    """Redraw the alternate screen of the terminal every second; restore the normal one at the end."""
    write = sys.stdout.write
    write("\x1b[?1049h\x1b[?25l")
    try:
        while True:
            lines = _display(ask(socket, "status")).split("\n")[: get_terminal_size().lines - 1]
            write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            sys.stdout.flush()
            time.sleep(1)
    finally:
        write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()


# Limit of entries shown of each kind of finding, and of logs of a jail.
_MOST_SHOWN = 3
_JAILS = (
    Column("jail", least=16),
    Column("banned", rank=2),
    Column("failing", rank=3),
    Column("maxretry", rank=4),
    Column("log", rank=1, least=12),
)
_SOURCES = (
    Column("log"),
    Column("lines", rank=3),
    Column("candidates", rank=5),
    Column("last line", rank=2),
    Column("zone", rank=4),
    Column("state", rank=1, least=12),
)
_NEWEST = (
    Column("banned", rank=2),
    Column("network"),
    Column("jail", rank=1, least=8, floor=24),
    Column("because", rank=3, least=12),
)


def _display(state: dict[str, Any]) -> str:
    newest = [(moment(b["at"]), b["network"], b["jail"], b["reason"]) for b in state["last_bans"]]
    shown = list(_head(state))
    for columns, rows in ((_JAILS, _jails(state)), (_SOURCES, _sources(state)), (_NEWEST, newest)):
        heading, *lines = rendered(columns, rows, width(sys.stdout))
        shown += ["", styled(heading, "bold", sys.stdout), *lines]
    return "\n".join(shown)


def _head(state: dict[str, Any]) -> Iterator[str]:
    """Whether bans are enforced, then problems, proposals and findings."""
    word, style = ("enforced", "good") if state["enforced"] else ("NOT ENFORCED", "bad")
    banned = f"{counted(state['networks_banned'], 'network')} banned"
    line = _wrap(f"{word}   {banned}   since {moment(state['since'])}", state)
    yield styled(word, style, sys.stdout) + line.removeprefix(word)
    if state["dry_bans"]:
        dry = f"dry-run bans, recorded but not enforced: {state['dry_bans']}"
        yield _wrap(dry, state, "notice")
    if group := state["cluster"]:
        away = "" if group["up"] else ", which cannot be reached"
        yield _wrap(
            f"{group['here']} of {counted(group['peers'], 'other host')} in {group['group']}{away}", state
        )
    for problem in dict.fromkeys(_problems(state)):
        yield _wrap(problem, state, "notice")
    for one in state["proposals"]:
        yield _wrap(_proposal(one), state)
    for finding in _findings(state):
        yield _wrap(finding, state, "notice")


def _wrap(text: str, state: dict[str, Any], style: str = "") -> str:
    """Wrap the text to the terminal; no path of a log is broken, even one with a space."""
    whole = (source["source"] for source in state["sources"])
    text = wrapped(printable(text), width(sys.stdout), whole=map(printable, whole))
    return styled(text, style, sys.stdout)


def _proposal(one: dict[str, Any]) -> str:
    kept = counted(one["kept_reachable"], "network in it stays", "networks in it stay")
    ban = f"zmban ban {one['network']} would ban all {one['addresses']} addresses"
    return f"{one['banned']} of {one['network']} are banned one by one; {ban} ({kept} reachable)"


def _problems(state: dict[str, Any]) -> Iterator[str]:
    yield from (*state["not_enforced_because"], *state["not_ready_because"], *state["doubts"])
    for slow in state["slow_regexes"]:
        problem = f"{slow['jail']}: {slow['regex']} is too slow on lines of {slow['source']}"
        yield f"{problem}; disabled until {moment(slow['left_out_until'])}"
    if state["prefilter"] != "good":
        yield state["prefilter"]


def _findings(state: dict[str, Any]) -> Iterator[str]:
    """What the logs show but no jail bans."""
    for one in state["spread"][:_MOST_SHOWN]:
        accounts = counted(one["accounts"], "account")
        addresses = counted(one["from"], "address", "addresses")
        yield f"{one['subject']}: {accounts} tried from {addresses} within a day"
    for one in state["masked"]:
        yield f"{one['proxy']} hides clients ({counted(one['lines'], 'line')}): {one['cure']}"
    for one in state["suspected_proxies"]:
        yield one["told"]
    for one in state["spared"][-1:]:
        text = f"{one['client']}: logins succeeded recently and now fail; a device with an old password?"
        yield f"{text} {one['line'][:120]}"
    for one in state["framed"][-_MOST_SHOWN:]:
        yield f"framed: the filter names {one['named']}, the client is {one['client']}: {one['line'][:200]}"


def _jails(state: dict[str, Any]) -> Iterator[Row]:
    for jail in state["jails"]:
        words = [*["dry run"] * jail["dry_run"], *["switched"] * (jail.get("switched") is not None)]
        name = jail["jail"] + (f" ({', '.join(words)})" if words else "")
        banned = f"{jail['banned']} + {jail['dry_bans']} dry" if jail["dry_bans"] else str(jail["banned"])
        yield name, banned, str(jail["failing"]), str(jail["maxretry"]), _some(jail["logs"])


def _some(logs: list[str]) -> str:
    """The first logs and the number of the others: a glob may match hundreds."""
    more = len(logs) - _MOST_SHOWN
    return ", ".join(logs[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none yet"


def _sources(state: dict[str, Any]) -> Iterator[Row]:
    for source in state["sources"]:
        yield (
            source["source"],
            str(source["lines"]),
            str(source["candidates"]),
            moment(source["last_line"]) if source["last_line"] else "-",
            _zone(source),
            source["error"] or _progress(source),
        )


def _zone(source: dict[str, Any]) -> str:
    if not source["followed"]:
        return "-"
    return (source["zone"] or "configured") + (" (learned)" if source["zone_learnt"] else "")


def _progress(source: dict[str, Any]) -> str:
    if not source["followed"]:
        return "read under another name"
    return "live" if source["caught_up"] else "catching up"
