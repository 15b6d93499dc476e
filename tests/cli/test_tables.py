"""Text output never breaks an address, and a pipe gets full rows with aligned columns."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cli.offline import explain, replay
from sidecar.cli.online import bans, import_
from sidecar.cli.online.manual import answer_text
from sidecar.cli.online.watch import status
from sidecar.cli.output.printing import Bar, say, table
from sidecar.cli.output.tables import Column, rendered
from sidecar.cli.output.terminal import cells, shortened, styled, width, wrapped
from sidecar.model import counted, printable
from sidecar.network import Network

WIDTHS = (1, 20, 40, 80, 200)
NETWORKS = st.one_of(
    st.builds(lambda n, p: Network(4, n, 32).supernet(p), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(lambda n, p: Network(6, n, 128).supernet(p), st.integers(0, 2**128 - 1), st.integers(0, 128)),
).map(str)
# Text that attackers, other systems or typing errors may produce.
HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", " ", "\x1b[2J\x1b]0;x\x07", "漢字 " * 30, "x" * 500, "e\u0301" * 40, "\u202e abc", "a\nb\r\n"]),
    st.sampled_from(["2 failures in 86400 s", "👩‍👩‍👧 emoji", "\x9b31m", "word " * 60, "\t|", "\U000e0041"]),
)  # fmt: skip
PATHS = st.from_regex(r"/[a-z]{1,12}(/[a-z0-9._-]{1,20}){0,6}", fullmatch=True)


class Terminal(io.StringIO):
    """A terminal of the given width, or no terminal."""

    def __init__(self, columns: int | None) -> None:
        super().__init__()
        self._columns = columns

    def isatty(self) -> bool:
        return self._columns is not None


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that replaces standard output by a terminal of the given width, or none, and returns it."""
    kept = sys.stdout, dict(os.environ)

    def made(columns: int | None) -> Terminal:
        os.environ["COLUMNS"] = str(columns or 30)
        sys.stdout = terminal = Terminal(columns)
        return terminal

    os.environ["NO_COLOR"] = "1"
    yield made
    sys.stdout = kept[0]
    os.environ.clear()
    os.environ.update(kept[1])


def seen(terminal: Terminal) -> list[str]:
    """The output lines; fails if one contains control codes."""
    lines = terminal.getvalue().removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    return lines


def starts(lines: list[str], texts: list[str]) -> set[int]:
    """The terminal columns at which these consecutive texts begin in the lines."""
    return {cells(line[: line.index(text)]) for line, text in zip(lines, texts, strict=True)}


def ban(network: str, jail: str, reason: str, suspended: str | None) -> dict[str, Any]:
    return {
        "network": network, "jail": jail, "since": 1.7e9, "until": None, "enforced": True, "dry": False,
        "suspended": suspended, "reason": reason, "folded_into": None, "folded": 0,
    }  # fmt: skip


BANS = st.lists(st.builds(ban, NETWORKS, HOSTILE, HOSTILE, st.none() | HOSTILE), max_size=8)


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_a_ban_is_one_line_and_its_network_is_whole(screen: Any, columns: int | None) -> None:
    @given(BANS)
    def holds(records: list[dict[str, Any]]) -> None:
        terminal = screen(columns)
        bans._show(iter(records), fold=True)
        heading, *lines = seen(terminal)
        assert heading.split()[0] == "network"
        rows = lines[: len(records)]
        assert [row.split()[0] for row in rows] == [one["network"] for one in records]
        if columns is None:
            assert len(starts([heading, *rows], ["network", *(one["network"] for one in records)])) == 1
            shown = [printable(one["jail"]) for one in records]
            assert all(
                row.endswith(printable(one["reason"]).rstrip())
                for row, one in zip(rows, records, strict=True)
            )
            offset = heading.index("jail")
            assert all(row[offset:].startswith(jail.rstrip()) for row, jail in zip(rows, shown, strict=True))
        else:
            widest = max([7, *(len(one["network"]) for one in records)])
            assert all(cells(row) <= max(columns, widest) for row in [heading, *rows])

    holds()


def decision(network: str, jail: str, evidence: str, event: str) -> dict[str, Any]:
    return {
        "event": event, "at": 1.7e9, "network": network, "jail": jail, "until": 1.8e9, "failures": 1,
        "reason": "framed", "evidence": [f"{evidence} {network} {evidence}"],
    }  # fmt: skip


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_a_decision_is_one_line_and_its_evidence_names_the_address_whole(
    screen: Any, columns: int | None
) -> None:
    @given(
        st.lists(
            st.builds(decision, NETWORKS, HOSTILE, HOSTILE, st.sampled_from(["ban", "refused"])), max_size=6
        )
    )
    def holds(records: list[dict[str, Any]]) -> None:
        terminal = screen(columns)
        table(replay._COLUMNS, replay._rows(records, Bar(0, None)), 1 if columns else 2000)
        _, *lines = seen(terminal)
        told = sum(1 + (one["event"] == "ban") for one in records)
        assert len(lines) == told or columns
        for one in records:
            many = 1 + (one["event"] == "ban")
            assert sum(one["network"] in line for line in lines) >= many
        if columns is None:
            rows = [line for line in lines if not line.startswith("    ")]
            assert (
                len({row.index(f" {one['network']} "[:-1]) for row, one in zip(rows, records, strict=True)})
                <= 1
            )

    holds()


def state(path: str, network: str, jail: str, text: str) -> dict[str, Any]:
    return {
        "enforced": False, "networks_banned": 1, "since": 1.7e9, "not_enforced_because": [f"{text} {network} {text}"],
        "not_ready_because": [f"{path} {text}"], "doubts": [], "slow_regexes": [], "prefilter": "good",
        "proposals": [{"network": network, "banned": 9, "addresses": 256, "kept_reachable": 1}],
        "spread": [{"subject": text, "accounts": 1, "from": 1}], "masked": [], "spared": [],
        "suspected_proxies": [], "dry_bans": 2, "cluster": None,
        "framed": [{"named": network, "client": "203.0.113.7", "line": text}],
        "jails": [{"jail": jail, "dry_run": True, "banned": 1, "dry_bans": 1, "failing": 2, "maxretry": 3, "logs": [path] * 9}],
        "sources": [{"source": path, "lines": 1, "candidates": 1, "last_line": 1.7e9, "zone": None,
                     "zone_learnt": True, "caught_up": True, "followed": True, "up": True, "error": text}],
        "last_bans": [{"at": 1.7e9, "network": network, "jail": jail, "reason": text}],
    }  # fmt: skip


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_status_shows_addresses_and_paths_whole(screen: Any, columns: int | None) -> None:
    @given(PATHS, NETWORKS, HOSTILE, HOSTILE)
    def holds(path: str, network: str, jail: str, text: str) -> None:
        terminal = screen(columns)
        terminal.write(status._display(state(path, network, jail, text)))
        lines = seen(terminal)
        # In the ban, the proposal with its command, the reason for not enforced, and the framed line.
        assert sum(line.count(network) for line in lines) >= 5
        # In the log, and in the reason for not ready.
        assert sum(path in line for line in lines) >= 2
        assert "1 network banned" in " ".join(" ".join(lines).split())
        if columns is None:
            assert len([line for line in lines if path in line]) == 3

    holds()


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_explain_and_import_show_addresses_whole(screen: Any, columns: int | None) -> None:
    @given(NETWORKS, HOSTILE)
    def holds(network: str, text: str) -> None:
        terminal = screen(columns)
        one = {"network": network, "jail": text, "since": 1.7e9, "until": 1.8e9, "reason": text, "dry": False,
               "evidence": [f"{text} {network} {text}"]}  # fmt: skip
        failing = {"network": network, "jail": text, "failures": 1, "maxretry": 2}
        explain._show_subject({"subject": network, "verdict": "x", "bans": [one], "failures": [failing],
                       "protected": [f"{text} {network}"]})  # fmt: skip
        told = [{"event": "refused", "network": network, "jail": text or "x", "reason": text},
                {"event": "skipped", "text": text, "place": "line 1", "reason": text}]  # fmt: skip
        import_._show(told, {"file": "/a", "lifted": 0, **dict.fromkeys(import_._OUTCOMES, 1)})
        lines = seen(terminal)
        assert sum(line.count(network) for line in lines) >= 6

    holds()


@pytest.mark.parametrize("columns", WIDTHS)
def test_text_is_broken_between_words_only_and_nothing_of_it_is_lost(columns: int) -> None:
    @given(HOSTILE, st.integers(0, 12))
    def holds(text: str, indent: int) -> None:
        text = printable(text)
        lines = wrapped(text, columns, indent).split("\n")
        assert " ".join(lines).split() == text.split()
        assert all(cells(line) <= columns or len(line.split()) == 1 for line in lines)

    holds()


def test_a_path_with_a_blank_is_whole_where_it_is_told(screen: Any) -> None:
    terminal = screen(30)
    say("/srv/my mail/jail.local:1: warning: this is wrong in /srv/my mail", whole=["/srv/my mail"])
    assert seen(terminal) == [
        "/srv/my mail/jail.local:1:", "    warning: this is wrong in", "    /srv/my mail",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("2 failures in 86400 s", 21, "2 failures in 86400 s"),
        ("2 failures in 86400 s", 20, "2 failures in …"),
        ("2 failures in 86400 s no", 22, "2 failures in 86400 …"),
        ("2 failures in 86400 s", 12, "2 failures …"),
        ("seen at 203.0.113.77 lately", 19, "seen at …"),
        ("zimbra-nginx-mail", 8, "zimbra-…"),
        ("漢字漢字", 5, "漢字…"),
        ("漢字漢字", 4, "漢…"),
        ("xy", 1, "…"),
    ],
)
def test_what_is_shortened_ends_with_a_whole_word(text: str, room: int, shown: str) -> None:
    assert shortened(text, room) == shown
    assert cells(shown) <= room


@pytest.mark.parametrize(
    ("room", "heading"),
    [
        (None, "network jail since until enforced reason"),
        (110, "network jail since until enforced reason"),
        (95, "network jail until enforced reason"),
        (70, "network jail until enforced"),
        (45, "network jail enforced"),
        (33, "network jail"),
        (20, "network"),
    ],
)
def test_the_least_important_column_goes_first(room: int | None, heading: str) -> None:
    moment = "2026-01-05 10:00:01"
    row = ("2001:db8:1:2::/64", "zimbra-smtp", moment, moment, "yes", "2 failures in 86400 s")
    first, line = rendered(bans._COLUMNS, [row], room)
    assert first.split() == heading.split()
    assert line.startswith("2001:db8:1:2::/64")


def test_columns_stay_aligned_when_more_rows_come_than_are_held() -> None:
    def rows() -> Iterator[tuple[str, str]]:
        yield from (("203.0.113.7/32", "a"),) * 5
        yield "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128", "b"

    lines = list(rendered(bans._COLUMNS[:2], rows(), None, held=3))
    assert {len(line) - 1 for line in lines[1:]} == {lines[0].index("jail")}


def test_what_came_before_an_error_is_shown() -> None:
    def rows() -> Iterator[tuple[str]]:
        yield ("203.0.113.7/32",)
        raise KeyboardInterrupt

    lines = rendered([Column("network")], rows(), None)
    assert [next(lines), next(lines)] == ["network", "203.0.113.7/32"]
    with pytest.raises(KeyboardInterrupt):
        next(lines)


def test_a_bar_is_drawn_on_a_terminal_and_taken_away_before_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80)
    monkeypatch.setattr("sidecar.cli.output.printing._REDRAW_SECONDS", -1.0)
    bar = Bar(100, terminal)
    bar.advance(50)
    assert "50 %" in terminal.getvalue()
    bar.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")
    bar.clear()
    assert terminal.getvalue().count("\r\x1b[K") == 2


@pytest.mark.parametrize(
    ("columns", "variables", "coloured"),
    [(80, {}, True), (80, {"NO_COLOR": "1"}, False), (80, {"TERM": "dumb"}, False), (None, {}, False),
     (None, {"FORCE_COLOR": "1"}, False)],
)  # fmt: skip
def test_colours_are_for_terminals_and_for_who_wants_them(
    monkeypatch: pytest.MonkeyPatch, columns: int | None, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (styled("x", "bad", Terminal(columns)) != "x") == coloured


@pytest.mark.parametrize(
    ("given_columns", "expected"), [("120", 120), ("0", 80), ("wide", 80), ("", 80), ("٣", 80)]
)
def test_the_width_is_that_of_the_variable_or_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, given_columns: str, expected: int
) -> None:
    monkeypatch.setenv("COLUMNS", given_columns)
    assert width(Terminal(1)) == expected
    assert width(Terminal(None)) is None


@pytest.mark.parametrize(
    ("number", "one", "many", "text"),
    [
        (0, "failure", "", "0 failures"),
        (1, "failure", "", "1 failure"),
        (2, "match", "matches", "2 matches"),
        (1, "ban inside is", "bans inside are", "1 ban inside is"),
    ],
)
def test_the_word_is_chosen_by_the_number(number: int, one: str, many: str, text: str) -> None:
    assert counted(number, one, many) == text


def test_a_preview_and_what_becomes_of_bans_count_in_words_that_fit() -> None:
    covers = {"addresses": 1, "bans": 1, "kept_reachable": 1, "good_logins": 1, "delivered_to": 1}
    told = answer_text._covered({"result": "banned", "covers": covers})
    assert told == (
        ": 1 address, 1 active ban, 1 network kept reachable, 1 address with recent successful logins, "
        "1 known mail server"
    )
    many = answer_text._covered({"result": "banned", "covers": dict.fromkeys(covers, 2000)})
    assert many.startswith(": 2,000 addresses, 2000 active bans, 2000 networks kept reachable")
    assert answer_text._changed_bans({"suspended": 1}) == "; 1 ban inside is suspended"
    assert answer_text._changed_bans({"enforced": 2}) == "; 2 bans inside are enforced again"
