"""`zmban status`: jails, sources and kernel at a glance; with --watch a display that refreshes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sidecar.cli.output import build_table, emit, json_options, moment
from sidecar.cli.places import ask, socket_option
from sidecar.model import printable


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@socket_option
@json_options
def status(watch: bool, socket: Path, as_json: bool, jsonl: bool) -> None:
    """State of jails, sources and kernel."""
    if as_json or jsonl:
        emit([ask(socket, "status")], jsonl=jsonl)
        return
    from rich.console import Console

    if not (watch and sys.stdout.isatty()):
        Console().print(_display(ask(socket, "status")))
        return
    from rich.live import Live

    with Live(_display(ask(socket, "status")), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(_display(ask(socket, "status")), refresh=True)


# Of lines that name somebody else, so many are shown; all of them are counted.
_MOST_SHOWN = 3


def _display(state: dict[str, Any]) -> Any:
    from rich.console import Group

    newest = build_table(
        ("banned", "network", "jail", "because"),
        [(moment(b["at"]), b["network"], b["jail"], b["reason"]) for b in state["last_bans"]],
    )
    return Group(_head(state), _jails(state), _sources(state), newest)


def _head(state: dict[str, Any]) -> Any:
    """Whether bans hold, and what a person may want to look at."""
    from rich.text import Text

    head = Text()
    good = state["enforced"]
    head.append("enforced" if good else "NOT ENFORCED", "bold green" if good else "bold red")
    head.append(f"   {state['networks_banned']} networks banned   since {moment(state['since'])}")
    if state["dry_bans"]:
        head.append(f"\ndry bans, decided and recorded but not enforced: {state['dry_bans']}", "yellow")
    for told in dict.fromkeys(_troubles(state)):
        head.append(f"\n{printable(told)}", "yellow")
    for one in state["proposals"]:
        head.append(
            f"\n{one['banned']} of {one['network']} are banned one by one; zmban ban {one['network']} would "
            f"refuse all {one['addresses']} addresses ({one['kept_reachable']} networks in it stay reachable)"
        )
    for told in _oddities(state):
        head.append(f"\n{printable(told)}", "yellow")
    return head


def _troubles(state: dict[str, Any]) -> Iterator[str]:
    yield from (*state["not_enforced_because"], *state["not_ready_because"], *state["doubts"])
    for slow in state["slow_regexes"]:
        told = f"{slow['jail']}: {slow['regex']} works too long on lines of {slow['source']}"
        yield f"{told}; left out until {moment(slow['left_out_until'])}"
    if state["prefilter"] != "good":
        yield state["prefilter"]


def _oddities(state: dict[str, Any]) -> Iterator[str]:
    """What lines say that ban nobody."""
    for one in state["spread"][:_MOST_SHOWN]:
        yield f"{one['subject']}: {one['accounts']} accounts tried from {one['from']} addresses within a day"
    for one in state["masked"]:
        yield f"{one['proxy']} hides clients ({one['lines']} lines): {one['cure']}"
    for one in state["spared"][-1:]:
        told = f"somebody logged in from {one['client']} lately, and now fails: a phone with an old password?"
        yield f"{told} {one['line'][:120]}"
    for one in state["framed"][-_MOST_SHOWN:]:
        yield f"framed: names {one['named']}, its client is {one['client']}: {one['line'][:200]}"


def _jails(state: dict[str, Any]) -> Any:
    rows = [
        (
            jail["jail"] + (" (dry run)" if jail["dry_run"] else ""),
            f"{jail['banned']} + {jail['dry_bans']} dry" if jail["dry_bans"] else str(jail["banned"]),
            str(jail["failing"]),
            str(jail["maxretry"]),
            _some(jail["logs"]),
        )
        for jail in state["jails"]
    ]
    return build_table(("jail", "banned", "failing", "maxretry", "log"), rows)


def _some(logs: list[str]) -> str:
    """A glob may name hundreds, for each of many jails."""
    more = len(logs) - _MOST_SHOWN
    return ", ".join(logs[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none yet"


def _sources(state: dict[str, Any]) -> Any:
    rows = [
        (
            source["source"],
            str(source["lines"]),
            str(source["candidates"]),
            moment(source["last_line"]) if source["last_line"] else "-",
            _zone(source),
            source["error"] or _reading(source),
        )
        for source in state["sources"]
    ]
    return build_table(("log", "lines", "looked at", "last line", "zone", "state"), rows)


def _zone(source: dict[str, Any]) -> str:
    if not source["followed"]:
        return "-"
    return (source["zone"] or "told") + (" (learnt)" if source["zone_learnt"] else "")


def _reading(source: dict[str, Any]) -> str:
    if not source["followed"]:
        return "read under another name"
    return "live" if source["caught_up"] else "catching up"
