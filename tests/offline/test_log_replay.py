"""A replay of a whole log makes the same bans as a simple count."""

from pathlib import Path

from tests.app.plain import replayed, write


def test_every_ban_of_a_generated_log_is_right_and_none_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "zimbra.log"
    right = write(path, 60_000)
    found, summary = replayed(path)
    assert found == right
    assert len(found) > 0
    assert summary["lines"] == 60_000
    assert summary["bytes"] == path.stat().st_size
