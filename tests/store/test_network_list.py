"""Lists of networks as people keep and fetch them."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import StoreError
from sidecar.store.imports import network_list
from sidecar.store.imports.entry import Entry, Skipped


def read(data: bytes | str) -> list[Entry | Skipped]:
    return list(
        network_list.read(io.BytesIO(data.encode() if isinstance(data, str) else data), "bad.txt", 5.0)
    )


def said(data: bytes | str) -> list[tuple[str, str]]:
    return [(str(one.ban.network), one.ban.reason) for one in read(data) if isinstance(one, Entry)]


def test_a_network_a_line_is_banned_for_ever_from_now_on() -> None:
    (one,) = read("203.0.113.0/24")
    assert isinstance(one, Entry) and one.current
    ban = one.ban
    assert (ban.jail, ban.at, ban.until, ban.origin, ban.times) == ("import", 5.0, None, "import", 1)


@pytest.mark.parametrize(
    ("line", "network", "reason"),
    [
        ("203.0.113.7", "203.0.113.7/32", "imported from bad.txt"),
        ("  203.0.113.7\t guesses passwords \r", "203.0.113.7/32", "guesses passwords"),
        ("203.0.113.0/24 ; SBL256894", "203.0.113.0/24", "SBL256894"),
        ("203.0.113.0/24 # why # and more", "203.0.113.0/24", "why # and more"),
        ("203.0.113.0/24,spam", "203.0.113.0/24", "spam"),
        ("203.0.113.9/24", "203.0.113.0/24", "imported from bad.txt"),
        ("2001:db8::7", "2001:db8::7/128", "imported from bad.txt"),
        ("2001:DB8::/32 x\x1b[31m", "2001:db8::/32", "x [31m"),
        ("\ufeff203.0.113.7", "203.0.113.7/32", "imported from bad.txt"),
    ],
)
def test_text_behind_a_network_is_the_reason(line: str, network: str, reason: str) -> None:
    assert said(line) == [(network, reason)]


def test_comments_and_blank_lines_are_none_and_a_bad_line_is_named() -> None:
    found = read(b"# a list\n\n; of mine\n203.0.113.7\nmail.example.com spam\n,\n203.0.113.8\n")
    assert [one for one in found if isinstance(one, Skipped)] == [
        Skipped("mail.example.com spam", "line 5", "not-a-network"),
        Skipped(",", "line 6", "not-a-network"),
    ]
    assert len(found) == 4
    assert read("# nothing today\n") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (gzip.compress(b"203.0.113.7\n", mtime=0), "packed; unpack it first: zcat"),
        ("203.0.113.7\n".encode("utf-16"), "line 1 is no text"),
        (b"203.0.113.7\n\0", "line 2 is no text"),
        (b"203.0.113.7 " + b"x" * 70_000, "line 1 is no text"),
        (b"<html>\n<body>no such page\n", "none of its 2 lines is a network; line 1: '<html>'"),
        (b"SQLite format", "its only line is no network; line 1"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words) as error:
        read(data)
    assert str(error.value).startswith("bad.txt")


@given(st.binary(max_size=300))
def test_whatever_the_bytes_it_is_entries_or_our_own_error(data: bytes) -> None:
    try:
        found = read(data)
    except StoreError:
        return
    for one in found:
        assert one.record()
