"""The networks of a manual ban, from arguments and from files as people and programs write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.cli.online.manual import network_files
from sidecar.cli.online.manual.network_files import Given
from sidecar.model import StoreError
from sidecar.network import Network


def of(path: Path, data: bytes | str) -> list[Given]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return network_files.given([], [str(path)])


def test_comments_empty_lines_and_text_behind_a_network_are_left_out(tmp_path: Path) -> None:
    text = "\ufeff203.0.113.7\r\n\r\n# mine\r\n; and theirs\r\n 198.51.100.0/24 ; SBL1 \r\n2001:DB8::/48# why\r\n"
    assert [(str(one.network), one.place.rpartition(":")[2]) for one in of(tmp_path / "list", text)] == [
        ("203.0.113.7/32", "1"),
        ("198.51.100.0/24", "5"),
        ("2001:db8::/48", "6"),
    ]


def test_a_line_that_is_no_network_has_its_file_and_line_and_what_was_probably_meant(tmp_path: Path) -> None:
    first, second, third = of(tmp_path / "list", "mail.example.com\n203.0.113.7\n203.0.113.9/24 spam\n")
    assert (first.network, first.place) == (None, f"{tmp_path}/list:1")
    assert first.refusal() == {
        "network": "mail.example.com",
        "result": "refused",
        "reason": "not-a-network",
    }
    assert second.network == Network.parse("203.0.113.7")
    assert third.refusal()["meant"] == "203.0.113.0/24"


def test_arguments_come_first_and_then_each_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"203.0.113.{len(name)}\n" if name == "one" else "203.0.113.9\n")
    files = [str(tmp_path / "two"), str(tmp_path / "one")]
    found = network_files.given(["198.51.100.7"], files)
    assert [one.text for one in found] == ["198.51.100.7", "203.0.113.9", "203.0.113.3"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"203.0.113.7\n", mtime=0), "is compressed; .* zcat FILE | zmban ban --file -"),
        ("203.0.113.7\n".encode("utf-16"), "line 1 is not text"),
        (b"203.0.113.7\n\0", "line 2 is not text"),
        (b"203.0.113.7\n" * 1001, "more than 1,000 lines"),
    ],
)
def test_what_is_no_list_is_refused_before_anything_is_banned(
    tmp_path: Path, data: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_files, "_MOST", 1000)
    with pytest.raises(StoreError, match=words):
        of(tmp_path / "list", data)


@pytest.mark.parametrize("name", ["nothing-there", "."])
def test_a_file_that_cannot_be_read_is_a_matter_of_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(click.UsageError, match="--file"):
        network_files.given([], [str(tmp_path / name)])


_LINES = st.one_of(
    st.sampled_from([b"203.0.113.7", b"2001:db8::/48", b"203.0.113.300", b"# x", b"", b";", b",", b"203.0.113.9/24",
                     b"203.0.113.7 # why", b"\x1b[2J203.0.113.7", b"\xff\xfe", "\u202e203.0.113.7".encode()]),
    st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"").replace(b"\0", b"")),
)  # fmt: skip


@given(st.lists(_LINES, max_size=8).map(b"\n".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_line_of_any_list_is_a_network_of_its_first_word_a_refusal_or_left_out(
    tmp_path: Path, data: bytes
) -> None:
    try:
        found = of(tmp_path / "list", data)
    except StoreError:
        assert data.startswith((b"\x1f\x8b", b"BZh", b"PK", b"\xfd7zXZ", b"\x28\xb5"))
        return
    lines = data.split(b"\n")
    places = [int(one.place.rpartition(":")[2]) for one in found]
    assert places == sorted(set(places))
    for one, number in zip(found, places, strict=True):
        line = lines[number - 1].decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        assert line.startswith(one.text) and one.text
        if one.network is not None:
            assert one.network == Network.parse(one.text)
    left_out = set(range(1, len(lines) + 1)) - set(places)
    for number in left_out:
        line = lines[number - 1].decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        assert not line or line[0] in "#;"
