"""The differences between the bans of two replays, and what is kept of each ban."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from sidecar.model import Ban, Extended
from sidecar.network import Network
from sidecar.offline.compare.ban_diff import AFTER, BEFORE, BanDiff, Span

NETWORK, OTHER = Network.parse("198.51.100.7"), Network.parse("203.0.113.0/24")


def ban(at: float, until: float | None, network: Network = NETWORK, jail: str = "smtp", *lines: str) -> Ban:
    return Ban(network, jail, at, until, "log", "", 2, lines or (f"line at {at:g}",))


def test_the_bans_of_a_network_are_one_entry_from_the_first_to_the_last() -> None:
    diff = BanDiff()
    diff.take(BEFORE, ban(100, 160))
    diff.take(BEFORE, Extended(ban(100, 200)))
    diff.take(BEFORE, ban(300, 360))
    (entry,) = diff.only(BEFORE)
    assert entry.only == Span(100, 360, 160, 2, 2)
    assert diff.lines(entry) == ["line at 100"]
    assert diff.bans[BEFORE] == {"smtp": 2}
    assert list(diff.only(AFTER)) == list(diff.both()) == []


def test_what_both_ban_is_no_difference_but_in_time_and_length() -> None:
    diff = BanDiff()
    diff.take(BEFORE, ban(100, 160))
    diff.take(BEFORE, ban(100, None, OTHER))
    diff.take(AFTER, ban(90, 170))
    diff.take(AFTER, ban(100, None, OTHER))
    first, second = diff.both()
    assert (first.start, first.length) == (-1, 1)
    assert (second.start, second.length) == (0, 0)
    # The same network in another jail is another ban.
    diff.take(AFTER, ban(95, 96, NETWORK, "web"))
    assert [one.jail for one in diff.only(AFTER)] == ["web"]
    assert diff.jails_that_ban(BEFORE, NETWORK) == ["smtp"]
    assert diff.jails_that_ban(AFTER, Network.parse("203.0.113.9")) == ["smtp"]
    assert diff.jails_that_ban(AFTER, Network.parse("203.0.112.9")) == []


def test_the_differences_of_all_jails_are_in_order_of_time() -> None:
    diff = BanDiff()
    for at in range(10):
        diff.take(AFTER, ban(at, None, Network(4, at << 8, 24), ("smtp", "web", "imap")[at % 3]))
    assert [one.only.at for one in diff.only(AFTER)] == list(range(10))


def test_long_lines_many_lines_and_no_line_at_all_come_back_as_they_were() -> None:
    diff = BanDiff()
    each = ["", "x" * 16_000, "é\n\x1b[31m\0", "y"]
    diff.take(AFTER, ban(1, 2, NETWORK, "smtp", *each))
    diff.take(AFTER, ban(1, 2, OTHER)._replace(evidence=()))
    assert [diff.lines(one) for one in diff.only(AFTER)] == [each[1:], []]


def test_a_full_disk_costs_the_lines_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - closed with its owner
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    diff = BanDiff()
    for at in range(300):
        diff.take(AFTER, ban(at, None, Network(4, at << 8, 24), "smtp", "x" * 1000))
    lines = [line for one in diff.only(AFTER) for line in diff.lines(one)]
    assert len(lines) == 300
    assert lines[0].startswith("(this line could not be stored")
