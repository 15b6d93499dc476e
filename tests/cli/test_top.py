"""`zmban top`: what it shows of the answers of a service, on every width of a terminal."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sidecar.cli.online.watch.top import Screen, sparkline


def answer(*events: dict[str, Any], lost: bool = False, **status: Any) -> dict[str, Any]:
    """An answer of the command `live`."""
    facts = {
        "enforced": True, "networks_banned": 7, "since": 1e9, "not_enforced_because": [], "not_ready_because": [],
        "doubts": [], "faults": [], "last_bans": [], "jails": [
            {"jail": "smtp", "banned": 5, "dry_bans": 0, "failing": 2, "dry_run": False},
            {"jail": "web", "banned": 0, "dry_bans": 2, "failing": 0, "dry_run": True},
        ],
    }  # fmt: skip
    spans = [{"at": 60.0 * n, "bans": n % 3, "failures": n} for n in range(60)]
    return {
        "position": "1-5", "lost": lost, "events": list(events), "bans": 3, "failures": 9,
        "rates": {"hour": spans, "day": spans}, "status": {**facts, **status},
    }  # fmt: skip


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "at": time.time(),
        "network": "203.0.113.7/32",
        "jail": "smtp",
        "reason": "2 failures",
        **more,
    }


def shown(screen: Screen, width: int = 120, height: int = 40, *, plain: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=not plain,
        color_system=None,
        markup=False,
    )
    console.print(screen.plain() if plain else screen.layout(console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_events_appear_newest_first_with_health_rates_and_jails() -> None:
    screen = Screen()
    screen.take(answer(last_bans=[{"at": 1e9, "network": "198.51.100.1/32", "jail": "old", "reason": "x"}]))
    screen.take(answer(event("ban"), event("unban", network="203.0.113.9/32", reason="manual")))
    for text in (shown(screen), shown(screen, plain=True)):
        assert text.index("203.0.113.9/32") < text.index("203.0.113.7/32") < text.index("198.51.100.1/32")
        for part in ("enforced", "7 networks banned", "smtp", "web (dry run)", "last hour, bans", "█"):
            assert part in text


def test_problems_stand_at_the_top_and_lost_events_are_told() -> None:
    screen = Screen()
    facts: dict[str, Any] = {"enforced": False, "not_enforced_because": ["no rule leads to table 2520"]}
    screen.take(answer(**facts))
    screen.take(answer(lost=True, **facts))
    text = shown(screen)
    assert "NOT ENFORCED" in text
    assert "no rule leads to table 2520" in text
    assert "lost" in text


def test_hostile_text_neither_controls_the_terminal_nor_is_read_as_markup() -> None:
    screen = Screen()
    screen.take(answer())
    screen.take(answer(event("refused", network="[bold]x[/]\x1b[2J\u202e\n", jail="[red]", reason="\r\x07")))
    text = shown(screen, plain=True)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]x[/]" in text


@pytest.mark.parametrize("width", [20, 40, 80, 99, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    screen = Screen()
    screen.take(answer(event("ban"), not_enforced_because=["a long reason " * 20]))
    screen.take(answer(event("ban", network="203.0.113.7/32"), not_enforced_because=["short"]))
    lines = shown(screen, width, 24).splitlines()
    assert max(map(len, lines)) <= width
    # Of what is shown, the network is never cut.
    assert width < 30 or any("203.0.113.7/32" in line for line in lines)
    assert len(lines) <= 25


def test_a_screen_that_stays_open_for_weeks_keeps_only_so_many_events() -> None:
    screen = Screen()
    for _ in range(50):
        screen.take(answer(*(event("ban") for _ in range(100))))
    assert len(screen._events) == 200


@given(st.lists(st.integers(0, 10**9), max_size=200), st.integers(1, 100))
def test_a_sparkline_has_a_bar_for_each_value_above_zero(values: list[int], width: int) -> None:
    line = sparkline(values, width)
    last = values[-width:]
    assert len(line) == len(last)
    assert [bar == " " for bar in line] == [value == 0 for value in last]
    if any(last):
        assert line[last.index(max(last))] == "█"
