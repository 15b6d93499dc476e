"""What `zmban export` writes is read back as it was, and anything else is refused or skipped by its number."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import LATEST, Ban, StoreError
from sidecar.network import Network
from sidecar.records import ban_record
from sidecar.store.imports import exported, list_line, network_list
from sidecar.store.imports.entry import ListedBan, Skipped

HOSTILE = [
    '"', "\\", '\\"', "# x", "; y", '" since=2026-01-01T00:00:00Z until=never reason="', "\u202e", "\x1b[2J", "\n", "漢字", "never",
    "jail=", "\ud800", "]", "},{", "\u2028",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8), max_size=4).map("".join)
PRINTABLE = TEXTS.map(lambda text: "".join(c for c in text if c.isprintable()).strip())
TIMES = st.floats(0, 4e9) | st.sampled_from([0.0, LATEST, 1790000000.123456])
NETWORKS = st.sampled_from(["203.0.113.7", "203.0.113.0/24", "2001:db8::/32", "2001:db8::7"]).map(
    Network.parse
)


def any_ban(reasons: st.SearchStrategy[str]) -> st.SearchStrategy[Ban]:
    jails = PRINTABLE.filter(lambda text: 0 < len(text) <= 200)
    counts = st.integers(0, 2**31 - 1)
    lines = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3).map(tuple)
    return st.builds(
        Ban, NETWORKS, jails, TIMES, st.none() | TIMES, st.sampled_from(["log", "manual", "import", "cluster"]),
        reasons, counts, lines, counts, st.booleans(), PRINTABLE,
    )  # fmt: skip


def opened(data: bytes) -> io.BufferedReader:
    return cast("io.BufferedReader", io.BufferedReader(io.BytesIO(data)))


def record(ban: Ban) -> dict[str, Any]:
    return exported.fields(ban_record(ban, enforced=True))


def read(text: str | bytes) -> list[ListedBan | Skipped]:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    file = opened(data)
    assert exported.is_export(file)
    found = list(exported.read(file, "bans.json", 5.0))
    assert not file.closed
    return found


def as_list(text: str) -> list[ListedBan | Skipped]:
    return list(network_list.read(io.BytesIO(text.encode()), "bans.txt", 5.0))


@given(st.lists(any_ban(PRINTABLE), min_size=1, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_every_ban_of_an_export_is_read_back_as_it_was(
    bans: list[Ban], indent: int | None, ascii_only: bool
) -> None:
    records = [record(ban) for ban in bans]
    lines = "\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in records)
    for text in (lines, json.dumps(records, indent=indent, ensure_ascii=ascii_only), f"\ufeff {lines}\r\n"):
        assert read(text) == [ListedBan(ban) for ban in bans]


@given(any_ban(TEXTS))
def test_what_is_not_printable_in_a_reason_is_left_out_once_and_then_stays(ban: Ban) -> None:
    (first,) = read(json.dumps(record(ban)))
    assert isinstance(first, ListedBan)
    assert first.ban.reason.isprintable() and first.ban._replace(reason="") == ban._replace(reason="")
    assert read(json.dumps(record(first.ban))) == [first]


@given(any_ban(TEXTS))
def test_a_line_of_text_keeps_network_jail_times_and_reason(ban: Ban) -> None:
    line = list_line.written(record(ban._replace(dry=False)))
    assert line.isprintable() and line.split(" ")[0] == str(ban.network)
    (found,) = as_list(line)
    assert isinstance(found, ListedBan)
    one = found.ban
    assert (one.network, one.jail, one.origin, one.times) == (ban.network, ban.jail, "import", 1)
    assert one.reason == "".join(c if c.isprintable() else " " for c in ban.reason)
    assert abs(one.at - ban.at) < 1e-5
    assert one.until is None if ban.until is None else abs((one.until or 0) - ban.until) < 1e-5
    # From then on it is the same.
    assert as_list(list_line.written(record(one))) == [found]


def test_a_dry_run_ban_is_a_comment_of_a_list() -> None:
    ban = Ban(Network.parse("203.0.113.7"), "smtp", 1.0, None, "log", "x", dry=True)
    line = list_line.written(record(ban))
    assert line.startswith("# dry run: 203.0.113.7/32 # jail=")
    assert as_list(line) == []


@pytest.mark.parametrize(
    "comment",
    [
        'jail="smtp" since=yesterday until=never reason="x"',
        'jail="smtp" since=2026-01-05T10:00:00 until=never reason="x"',
        'jail="smtp" since=2026-01-05T10:00:00Z until=0000 reason="x"',
        'jail="" since=2026-01-05T10:00:00Z until=never reason="x"',
        'jail="a\\nb" since=2026-01-05T10:00:00Z until=never reason="x"',
        'jail="smtp" since=2026-01-05T10:00:00Z until=never reason="x" and more',
    ],
)
def test_a_comment_that_is_not_quite_one_of_ours_is_the_reason(comment: str) -> None:
    (found,) = as_list(f"203.0.113.7 # {comment}")
    assert isinstance(found, ListedBan)
    assert (found.ban.jail, found.ban.at, found.ban.until) == ("import", 5.0, None)
    assert found.ban.reason == comment


def test_only_the_network_is_needed() -> None:
    assert read('[{"network": "203.0.113.0/24"}]') == [
        ListedBan(
            Ban(Network.parse("203.0.113.0/24"), "import", 5.0, None, "import", "imported from bans.json")
        )
    ]
    assert read("[]") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network": "mail.example.com"}, "not-a-network"),
        ({"network": "203.0.113.9/24"}, "not-a-network"),
        ({"network": 7}, "not-a-network"),
        ({"jail": ""}, "unreadable"),
        ({"jail": "a\x1b"}, "unreadable"),
        ({"since": "now"}, "unreadable"),
        ({"since": float("nan")}, "unreadable"),
        ({"since": -1}, "unreadable"),
        ({"until": float("inf")}, "unreadable"),
        ({"until": True}, "unreadable"),
        ({"count": -1}, "unreadable"),
        ({"failures": 2**31}, "unreadable"),
        ({"failures": 1.5}, "unreadable"),
        ({"origin": "heaven"}, "unreadable"),
        ({"origin": []}, "unreadable"),
        ({"dry": "no"}, "unreadable"),
        ({"reason": 5}, "unreadable"),
        ({"evidence": "a line"}, "unreadable"),
        ({"evidence": [1]}, "unreadable"),
    ],
)
def test_a_record_that_is_no_ban_is_skipped_by_its_number_and_the_rest_is_read(
    change: dict[str, Any], reason: str
) -> None:
    good = record(Ban(Network.parse("203.0.113.7"), "smtp", 1.0, None, "log"))
    first, second = read(json.dumps([good, good | change]))
    assert isinstance(first, ListedBan)
    assert isinstance(second, Skipped) and (second.place, second.reason) == ("record 2", reason)


@pytest.mark.parametrize(
    "text",
    [
        '[{"network": "203.0.113.7"}',
        '[{"network": "203.0.113.7"},',
        '[{"network": "203.0.113.7"}, ',
        '{"network": "203.0.113.7"',
        '{"network": "203.0.113.7"}]',
        '[{"network": "203.0.113.7"} {"network": "203.0.113.8"}]',
        '[{"network": "203.0.113.7"}] x',
        '[{"network": "203.0.113.7"}, 5]',
        '{"network": "203.0.113.7"}\nhello',
        "[{" * 5000,
        b'{"network": "\xff"}',
    ],
)
def test_a_file_that_is_not_complete_or_no_json_is_refused_in_one_sentence(text: str | bytes) -> None:
    with pytest.raises(StoreError) as error:
        read(text)
    told = str(error.value)
    assert told.startswith("bans.json") and "nothing was imported" in told and "\n" not in told


@given(st.data())
def test_a_file_cut_anywhere_is_refused_or_holds_the_bans_before_the_cut(data: st.DataObject) -> None:
    bans = data.draw(st.lists(any_ban(PRINTABLE), min_size=1, max_size=3))
    array = json.dumps([record(ban) for ban in bans], indent=2)
    cut = data.draw(st.integers(3, len(array) - 1))
    with pytest.raises(StoreError):
        read(array[:cut].rstrip() if array[:cut].count("{") else array[:1] + "{")


@pytest.mark.parametrize("begin", ["[2001:db8::7]\n", "203.0.113.7\n", "# {\n", ""])
def test_a_list_is_not_taken_for_json(begin: str) -> None:
    assert not exported.is_export(opened(begin.encode()))


def test_a_record_longer_than_a_block_is_read_whole() -> None:
    ban = Ban(Network.parse("203.0.113.7"), "manual", 1.0, None, "manual", "x", 0, ("y" * 300_000,) * 3)
    assert read("\n".join([json.dumps(record(ban))] * 3)) == [ListedBan(ban)] * 3


def test_evidence_without_end_is_cut() -> None:
    (found,) = read(json.dumps({"network": "203.0.113.7", "evidence": ["x" * 1000] * 5000}))
    assert isinstance(found, ListedBan) and len(found.ban.evidence) == 1000
    (found,) = read(json.dumps({"network": "203.0.113.7", "evidence": ["x" * 100_000] * 50}))
    assert isinstance(found, ListedBan) and len(found.ban.evidence) == 16
