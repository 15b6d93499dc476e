"""Lists of networks in common formats."""

from __future__ import annotations

import gzip
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import StoreError
from sidecar.network import Network
from sidecar.store.imports import network_list
from sidecar.store.imports.entry import ListedBan, Skipped


def read(data: bytes | str) -> list[ListedBan | Skipped]:
    return list(
        network_list.read(io.BytesIO(data.encode() if isinstance(data, str) else data), "bad.txt", 5.0)
    )


def said(data: bytes | str) -> list[tuple[str, str]]:
    return [(str(one.ban.network), one.ban.reason) for one in read(data) if isinstance(one, ListedBan)]


def test_a_network_a_line_is_banned_for_ever_from_now_on() -> None:
    (one,) = read("203.0.113.0/24")
    assert isinstance(one, ListedBan) and one.current
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
        (gzip.compress(b"203.0.113.7\n", mtime=0), "compressed; decompress it first: zcat"),
        ("203.0.113.7\n".encode("utf-16"), "line 1 is not text"),
        (b"203.0.113.7\n\0", "line 2 is not text"),
        (b"203.0.113.7 " + b"x" * 70_000, "line 1 is not text"),
        (b"<html>\n<body>no such page\n", "none of the 2 lines is a network; line 1: '<html>'"),
        (b"SQLite format", "the only line is not a network; line 1"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words) as error:
        read(data)
    assert str(error.value).startswith("bad.txt")


# Lines of lists and arbitrary text and bytes.
PIECES = st.one_of(
    st.sampled_from([b"203.0.113.7", b"203.0.113.0/24", b"2001:db8::/32", b"0.0.0.0/0", b"203.0.113.300", b"1.2.3.4/99", b"\n",
                     b"\r\n", b" ", b"\t", b";", b"#", b",", b" why", b"\x1b[2J", b"\0", "\ufeff".encode(), "\u202e".encode(),
                     b"x" * 3000, b"\xff", b"\x1f\x8b", b"SQLite format 3\0"]),
    st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace")),
    st.binary(max_size=20),
)  # fmt: skip


LINES = st.sampled_from([b"", b"# why", b"203.0.113.7 why", b"mail.example.com", b",", b"203.0.113.300 ;"])


@given(
    st.lists(PIECES, max_size=20).map(b"".join)
    | st.lists(LINES | st.lists(PIECES, max_size=3).map(b"".join), max_size=10).map(b"\n".join)
)
def test_each_line_of_any_file_is_a_ban_of_its_first_word_or_skipped_by_its_number(data: bytes) -> None:
    lines = data.split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    texts = [
        line.decode("utf-8-sig" if n == 0 else "utf-8", "replace").strip() for n, line in enumerate(lines)
    ]
    told = [(n, text) for n, text in enumerate(texts, start=1) if text and text[0] not in "#;"]
    refusal = None
    try:
        found = read(data)
    except StoreError as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal.startswith("bad.txt") and "\n" not in refusal and len(refusal) < 500
        networks = [text for _, text in told if is_network(re.split(r"[\s,;#]", text)[0])]
        assert not networks or b"\0" in data or data.startswith((b"\x1f\x8b", b"BZh", b"PK")) or not lines
        return
    assert len(found) == len(told)
    for one, (number, text) in zip(found, told, strict=True):
        if isinstance(one, Skipped):
            assert (one.place, one.reason) == (f"line {number}", "not-a-network")
            assert text.startswith(one.text) and len(one.text) <= 200
        else:
            assert one.ban.network == Network.around(re.split(r"[\s,;#]", text)[0])
            assert (one.ban.jail, one.ban.at, one.ban.until, one.ban.origin) == (
                "import",
                5.0,
                None,
                "import",
            )
            assert one.ban.reason.isprintable() and len(one.ban.reason.encode()) <= 1024


def is_network(word: str) -> bool:
    try:
        return bool(Network.around(word))
    except ValueError:
        return False
