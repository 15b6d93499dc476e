"""The token file: whatever is wrong with it, nobody is let in who has no token of it, and no token is logged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.serve.web.sign_in.tokens import TokenFile

TOKEN, OTHER = "a" * 16, "b" * 40


def tokens(path: Path, text: str | bytes) -> TokenFile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return TokenFile(path)


def test_each_line_names_a_token(tmp_path: Path) -> None:
    found = tokens(tmp_path / "t", f"# of the team\n\nalice: {TOKEN} \r\nbob:{OTHER}\n")
    assert (found.name_of(TOKEN), found.name_of(OTHER), found.faults) == ("alice", "bob", ())
    for wrong in ("", TOKEN[:-1], TOKEN + "a", "alice", f"alice: {TOKEN}", "# of the team"):
        assert found.name_of(wrong) is None


def test_a_token_alone_is_of_the_administrator(tmp_path: Path) -> None:
    assert tokens(tmp_path / "t", f"\ufeff{TOKEN}\n").name_of(TOKEN) == "admin"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice:short\n", "t:1: the token alice is shorter than 16"), ("", "contains no token"), ("\n#x\n", "contains no token"),
        (f":{TOKEN}\n", "t:1: the name of a token"), (f"a\x1b[2Jb:{TOKEN}\n", "t:1: the name of a token"),
        (b"\xff\xfe\x00", "utf-8"), ("x" * 70_000, "larger than 64 KiB"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_lets_nobody_in(tmp_path: Path, text: str | bytes, said: str) -> None:
    found = tokens(tmp_path / "t", text)
    assert found.name_of(TOKEN) is None
    assert found.name_of("") is None
    (fault,) = found.faults
    assert said in fault
    assert TOKEN not in fault
    assert "\x1b" not in fault


def test_a_good_line_counts_beside_a_wrong_one(tmp_path: Path) -> None:
    found = tokens(tmp_path / "t", f"alice:x\nbob:{TOKEN}\n")
    assert found.name_of(TOKEN) == "bob"
    assert len(found.faults) == 1


def test_a_file_that_is_missing_lets_nobody_in_until_it_is_there(tmp_path: Path) -> None:
    found = TokenFile(tmp_path / "t")
    assert found.name_of(TOKEN) is None
    assert "No such file" in found.faults[0]
    (tmp_path / "t").write_text(TOKEN)
    found._looked = float("-inf")
    assert found.name_of(TOKEN) == "admin"
    assert found.faults == ()
    (tmp_path / "t").unlink()
    found._looked = float("-inf")
    assert found.name_of(TOKEN) is None


def test_a_file_that_others_may_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens(tmp_path / "t", TOKEN)
    (tmp_path / "t").chmod(0o644)
    found = TokenFile(tmp_path / "t")
    assert found.name_of(TOKEN) == "admin"
    assert "readable by every user" in caplog.text
    assert TOKEN not in caplog.text


def test_a_fifo_in_its_place_stops_nothing_and_lets_nobody_in(tmp_path: Path) -> None:
    found = tokens(tmp_path / "t", TOKEN)
    (tmp_path / "t").unlink()
    os.mkfifo(tmp_path / "t")
    found._looked = float("-inf")
    assert found.name_of(TOKEN) is None
    assert "no regular file" in found.faults[0]


@given(st.text(max_size=60))
def test_no_text_is_a_token_that_is_not_in_the_file(text: str) -> None:
    path = Path(f"/tmp/zmban-tokens-{os.getpid()}")
    try:
        assert tokens(path, f"alice:{TOKEN}\n").name_of(text) is (None if text != TOKEN else "alice")
    finally:
        path.unlink()
