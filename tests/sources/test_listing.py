"""Which files belong to a log, by their names."""

import doctest
from pathlib import Path

import pytest

from sidecar.sources.files import rotation
from sidecar.sources.files.rotation import is_rotated, logs_of


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("zimbra.log.1", "zimbra.log"),
        ("zimbra.log.10.gz", "zimbra.log"),
        ("zimbra.log-20261127", "zimbra.log"),
        ("zimbra.log-20261127.xz", "zimbra.log"),
        ("zimbra.log-1795768747", "zimbra.log"),
        ("zimbra.log-1127", "zimbra.log"),
        ("zimbra.log-1", "zimbra.log"),
        ("zimbra.log20261127", "zimbra.log"),
        ("mailbox.log.2026-11-27.gz", "mailbox.log"),
        ("zmmailboxd.out.202611271000", "zmmailboxd.out"),
        ("nginx.log.old", "nginx.log"),
        ("zimbra.1.log", "zimbra.log"),
        ("zimbra-20261127.log", "zimbra.log"),
        ("access_log.2026-11-27", "access_log"),
        ("zimbra.log.gz", "zimbra.log"),
    ],
)
def test_a_rotated_file_is_known_by_its_name(name: str, log: str) -> None:
    assert is_rotated(name, log)
    assert log in logs_of(name)


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("zimbra.log", "zimbra.log"),
        ("nginx.access.log", "nginx.log"),
        ("mail.err", "mail"),
        ("mail.log", "mail"),
        ("mail2.log", "mail.log"),
        ("mail-1.log", "mail.log"),
        ("l12.log", "l1.log"),
        ("zimbra.log.before-the-upgrade", "zimbra.log"),
        ("zimbra.logging", "zimbra.log"),
    ],
)
def test_another_log_is_none_of_its_files(name: str, log: str) -> None:
    assert not is_rotated(name, log)
    assert log not in logs_of(name)


def test_the_examples_are_true() -> None:
    assert doctest.testmod(rotation).failed == 0


def test_of_a_directory_only_the_log_s_own_files_are_listed_the_oldest_first(tmp_path: Path) -> None:
    names = ("x.log", "x.log.2.gz", "x.log.1", "x.log.1.gz", "x1.log", "y.log.1", "old/x.log.3", "old/x.log")
    (tmp_path / "old").mkdir()
    (tmp_path / "x.log.4").symlink_to("x.log.1")
    for name in names:
        (tmp_path / name).write_text(name)
    found = rotation.listing(str(tmp_path / "x.log"))
    # A file that is being compressed counts as the uncompressed one.
    assert {Path(one.path).relative_to(tmp_path).as_posix() for one in found.others} == {
        "x.log.2.gz", "x.log.1", "old/x.log.3",
    }  # fmt: skip
    assert [one.changed for one in found.others] == sorted(one.changed for one in found.others)
    assert found.current == ((tmp_path / "x.log").stat().st_dev, (tmp_path / "x.log").stat().st_ino)
