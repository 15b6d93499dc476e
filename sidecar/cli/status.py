"""`zmban status`: jails, sources and kernel at a glance; with --watch a display that refreshes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from sidecar.cli.output import build_table, emit, json_options, moment, printable
from sidecar.cli.places import ask, socket_option


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
    from rich.text import Text

    slow = [
        f"{s['jail']}: {s['regex']} works too long on lines of {s['source']}; left out until "
        f"{moment(s['left_out_until'])}"
        for s in state["slow_regexes"]
    ]
    unusual = [] if state["prefilter"] == "good" else [state["prefilter"]]
    because = [*state["not_enforced_because"], *state["not_ready_because"], *state["doubts"], *slow, *unusual]
    head = Text()
    head.append(
        "enforced" if state["enforced"] else "NOT ENFORCED", "bold green" if state["enforced"] else "bold red"
    )
    head.append(f"   {state['networks_banned']} networks banned   since {moment(state['since'])}")
    if because:
        head.append("\n" + "\n".join(printable(reason) for reason in dict.fromkeys(because)), "yellow")
    for one in state["proposals"]:
        head.append(
            f"\n{one['banned']} of {one['network']} are banned one by one; zmban ban {one['network']} would "
            f"refuse all {one['addresses']} addresses ({one['kept_reachable']} networks in it stay reachable)"
        )
    for one in state["spread"][:_MOST_SHOWN]:
        told = f"{one['subject']}: {one['accounts']} accounts tried from {one['from']} addresses within a day"
        head.append(f"\n{printable(told)}", "yellow")
    for one in state["masked"]:
        head.append(
            f"\n{one['proxy']} hides clients ({one['lines']} lines): {printable(one['cure'])}", "yellow"
        )
    for one in state["spared"][-1:]:
        told = f"somebody logged in from {one['client']} lately, and now fails: a phone with an old password?"
        head.append(f"\n{printable(told)} {printable(one['line'][:120])}", "yellow")
    for one in state["framed"][-_MOST_SHOWN:]:
        text = f"\nframed: names {one['named']}, its client is {one['client']}: {one['line'][:200]}"
        head.append(printable(text.lstrip()).join(("\n", "")), "yellow")
    jails = build_table(
        ("jail", "banned", "failing", "maxretry", "log"),
        [
            (
                j["jail"] + (" (dry run)" if j["dry_run"] else ""),
                str(j["banned"]),
                str(j["failing"]),
                str(j["maxretry"]),
                ", ".join(j["logs"]) or "none yet",
            )
            for j in state["jails"]
        ],
    )
    sources = build_table(
        ("log", "lines", "looked at", "last line", "zone", "state"),
        [
            (
                s["source"],
                str(s["lines"]),
                str(s["candidates"]),
                moment(s["last_line"]) if s["last_line"] else "-",
                (s["zone"] or "told") + (" (learnt)" if s["zone_learnt"] else ""),
                s["error"] or ("live" if s["caught_up"] else "catching up"),
            )
            for s in state["sources"]
        ],
    )
    newest = build_table(
        ("banned", "network", "jail", "because"),
        [(moment(b["at"]), b["network"], b["jail"], b["reason"]) for b in state["last_bans"]],
    )
    return Group(head, jails, sources, newest)
