"""`zmban top`: live bans, rates and health on a terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sidecar.cli.places import ask, socket_option
from sidecar.model import counted, printable

_EVERY_SECONDS = 1.0
_MOST_KEPT = 200
_BARS = "▁▂▃▄▅▆▇█"
# Widths below which the jails have no column of their own.
_NARROW = 100
# The columns of events, each with the width from which on it is shown; and the width without a terminal.
_EVENT_COLUMNS = {"at": 40, "event": 30, "network": 0, "jail": 55, "because": 75}
_PLAIN = 80
_STYLES = {"ban": "bold red", "extend": "red", "unban": "green", "refused": "yellow"}


@click.command()
@click.option(
    "--once", is_flag=True, help="Print one snapshot and exit. Default if the output is not a terminal."
)
@socket_option
def top(once: bool, socket: Path) -> None:
    """Show live bans, rates and health until Ctrl-C."""
    console = Console(highlight=False, markup=False, emoji=False)
    screen = Screen()
    screen.take(ask(socket, "live"))
    if once or not sys.stdout.isatty():
        console.print(screen.plain())
        return
    with Live(screen.layout(console), console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen.layout(console), refresh=True)
            time.sleep(_EVERY_SECONDS)
            screen.take(ask(socket, "live", after=screen.position))


class Screen:
    """What is shown: the newest events, and the last answer of the service."""

    def __init__(self) -> None:
        self.position = ""
        self._answer: dict[str, Any] = {}
        self._events: deque[dict[str, Any]] = deque(maxlen=_MOST_KEPT)

    def take(self, answer: dict[str, Any]) -> None:
        """Take over an answer of the command `live`."""
        first = not self.position
        self.position, self._answer = answer["position"], answer
        if first:
            newest = reversed(answer["status"]["last_bans"])
            self._events.extend({"event": "ban", **ban} for ban in newest)
        elif answer["lost"]:
            self._events.append({"event": "lost", "at": time.time(), "network": "some events"})
        self._events.extend(answer["events"])

    def plain(self) -> RenderableType:
        """Everything below each other, for a pipe."""
        return Group(self._health(), self._rates(_PLAIN - 30), self._jails(), self._bans(20, _PLAIN))

    def layout(self, console: Console) -> RenderableType:
        """Everything in the size of the terminal."""
        width, height = console.size
        health = self._health()
        # Two lines of border and padding.
        top_lines = len(console.render_lines(health, console.options.update(width=max(1, width - 4)))) + 2
        upper = Layout(name="upper", size=min(top_lines, max(3, height // 2)))
        upper.update(Panel(health, title="zmban"))
        rates = Layout(Panel(self._rates(max(10, width - 34)), title="rates"), size=6)
        wide = width >= _NARROW
        room = width * 3 // 5 if wide else width
        bans = Layout(Panel(self._bans(max(1, height), room - 4), title="events, newest first"), ratio=3)
        lower = Layout()
        if wide:
            lower.split_row(bans, Layout(Panel(self._jails(), title="jails"), ratio=2))
        else:
            lower.update(bans)
        whole = Layout()
        whole.split_column(upper, rates, lower)
        return whole

    def _health(self) -> Text:
        status = self._answer["status"]
        enforced = status["enforced"]
        text = Text()
        text.append("enforced" if enforced else "NOT ENFORCED", "bold green" if enforced else "bold red")
        text.append(f"   {counted(status['networks_banned'], 'network')} banned")
        bans, failures = counted(self._answer["bans"], "ban"), counted(self._answer["failures"], "failure")
        text.append(f"   {bans}, {failures} since {_clock(status['since'], date=True)}")
        kinds = ("not_enforced_because", "not_ready_because", "doubts", "faults")
        for reason in dict.fromkeys(reason for kind in kinds for reason in status[kind]):
            text.append(f"\n{printable(reason)}", "yellow")
        return text

    def _rates(self, width: int) -> Table:
        rates = self._answer["rates"]
        table = Table.grid(padding=(0, 1))
        for title, spans in (("last hour", rates["hour"]), ("last day", rates["day"])):
            for kind in ("bans", "failures"):
                values = [span[kind] for span in spans]
                line = Text(sparkline(values, width), "bold red" if kind == "bans" else "cyan")
                table.add_row(f"{title}, {kind}", line, str(sum(values)))
        return table

    def _jails(self) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        table.add_column("jail", overflow="ellipsis", no_wrap=True)
        table.add_column("banned", justify="right")
        table.add_column("failing", justify="right")
        for jail in sorted(self._answer["status"]["jails"], key=lambda one: -one["banned"]):
            name = jail["jail"] + (" (dry run)" if jail["dry_run"] else "")
            table.add_row(printable(name), str(jail["banned"] + jail["dry_bans"]), str(jail["failing"]))
        return table

    def _bans(self, most: int, room: int) -> Table:
        """The newest events. In a narrow `room` columns are left out, but never the network."""
        titles = [title for title, least in _EVENT_COLUMNS.items() if room >= least]
        table = Table(box=None, padding=(0, 1), header_style="bold")
        for title in titles:
            narrow = {"network": 18, "at": 8, "event": 7}.get(title)
            table.add_column(title, no_wrap=True, overflow="ellipsis", min_width=narrow)
        for event in list(reversed(self._events))[:most]:
            kind = event["event"]
            cells: dict[str, str | Text] = {
                "at": _clock(event["at"]),
                "event": Text(kind, _STYLES.get(kind, "")),
                "network": printable(event.get("network") or "-"),
                "jail": printable(event.get("jail") or ""),
                "because": printable(event.get("reason") or ""),
            }
            table.add_row(*(cells[title] for title in titles))
        return table


def sparkline(values: Sequence[float], width: int) -> str:
    """The values as bars, the newest at the right: the last `width` of them. No bar for 0."""
    shown = list(values)[-width:]
    most = max(shown, default=0)
    return "".join(_bar(value, most) for value in shown)


def _bar(value: float, most: float) -> str:
    if value <= 0:
        return " "
    return _BARS[min(len(_BARS) - 1, int(value * len(_BARS) / most))]


def _clock(at: float | None, *, date: bool = False) -> str:
    if at is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(at).astimezone()
    except (ValueError, OverflowError, OSError):
        return "-"
    today = moment.date() == datetime.now().astimezone().date() and not date
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
