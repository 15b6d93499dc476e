"""A file is written as a whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.whole_file import whole_file


def test_the_old_content_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_it_is_written_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "list"
    with pytest.raises(FileExistsError), whole_file(path, replace=False):
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
    with whole_file(tmp_path / "other", replace=False) as file:
        file.write(b"ours")
    assert (tmp_path / "other").read_bytes() == b"ours"
