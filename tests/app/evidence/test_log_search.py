"""The files of logs are searched from the newest to the oldest, within bounds, and the best lines are kept."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.app.evidence import log_search
from sidecar.app.evidence.log_search import Bounds, LogSearch, SearchResult
from sidecar.detect.grammar import Trust
from sidecar.network import Network
from sidecar.sources.files.descriptors import open_regular

EVIL, WIDE = Network.parse("203.0.113.7"), Network.parse("203.0.113.0/24")


def failed(number: int, host: str = "203.0.113.7") -> str:
    says = f"warning: unknown[{host}]: SASL LOGIN authentication failed: {number}"
    return f"Jan  5 10:00:01 mail postfix/smtps/smtpd[1]: {says}"


def named(number: int, host: str = "203.0.113.7") -> str:
    """A client that writes the address of another into its user name."""
    says = (
        f"warning: unknown[198.51.100.66]: SASL LOGIN authentication failed: {number}, sasl_username={host}"
    )
    return f"Jan  5 10:00:01 mail postfix/smtps/smtpd[1]: {says}"


def written(path: Path, lines: list[str], age: float) -> Path:
    data = "".join(line + "\n" for line in lines).encode()
    match path.suffix:
        case ".gz":
            data = gzip.compress(data)
        case ".bz2":
            data = bz2.compress(data)
        case ".xz":
            data = lzma.compress(data)
    path.write_bytes(data)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def search(log: Path, *networks: Network, bounds: Bounds = Bounds()) -> SearchResult:  # noqa: B008
    return LogSearch(networks or [EVIL], Trust(()), bounds).run([(str(log), str(log))])


def test_rotated_and_packed_files_are_searched_and_the_lines_are_in_order(tmp_path: Path) -> None:
    log = tmp_path / "zimbra.log"
    for age, suffix in enumerate(("", ".1", ".2.gz", ".3.bz2", ".4.xz")):
        written(tmp_path / f"zimbra.log{suffix}", [failed(10 - 2 * age), failed(11 - 2 * age)], age)
    written(tmp_path / "zimbra.log.conf", [failed(99)], 0)
    found = search(log)
    assert found.lines == {EVIL: [failed(number) for number in range(2, 12)]}
    assert (found.files, found.stopped, found.unread) == (5, "", [])


def test_lines_that_blame_the_network_are_preferred_to_newer_ones_that_only_name_it(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", [failed(1), failed(2), *(named(n) for n in range(200))], 0)
    (lines,) = search(log).lines.values()
    assert lines[:2] == [failed(1), failed(2)]
    assert lines[2:] == [named(n) for n in range(102, 200)]


def test_of_many_lines_the_newest_are_kept_and_each_network_has_its_share(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", [failed(n, f"203.0.113.{n % 20}") for n in range(4000)], 0)
    assert search(log, WIDE).lines[WIDE] == [failed(n, f"203.0.113.{n % 20}") for n in range(3900, 4000)]
    singles = [Network.parse(f"203.0.113.{n}") for n in range(20)]
    found = search(log, *singles).lines
    assert {len(lines) for lines in found.values()} == {50}
    assert found[singles[7]][-1] == failed(3987, "203.0.113.7")


def test_all_lines_together_are_bounded_and_secrets_are_cut(tmp_path: Path) -> None:
    long = f"{failed(0)} password=hunter2 {'x' * 15_000}"
    log = written(tmp_path / "zimbra.log", [long] * 100, 0)
    (lines,) = search(log).lines.values()
    assert 60 < len(lines) < 75 and sum(map(len, lines)) <= 1 << 20
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize(
    ("bounds", "words"), [(Bounds(bytes=3 << 20), "after 3 MiB in"), (Bounds(seconds=0.0), "after 0 s in")]
)
@pytest.mark.parametrize("suffix", [".1", ".1.gz"])
def test_a_search_that_is_stopped_says_where(tmp_path: Path, bounds: Bounds, words: str, suffix: str) -> None:
    log = written(tmp_path / "zimbra.log", [failed(1)], 0)
    big = written(tmp_path / f"zimbra.log{suffix}", ["x" * 99] * 100_000, 1)
    written(tmp_path / "zimbra.log.2", [failed(2)], 2)
    found = search(log, bounds=bounds)
    place = log if bounds.seconds == 0 else big
    assert found.stopped.startswith(f"{words} {place}; ")
    assert found.stopped.endswith(
        "1 older files were not searched" if place == big else "2 older files were not searched"
    )
    assert found.lines == {EVIL: [failed(1)]}
    assert found.bytes < 5 << 20


def test_the_end_of_a_log_that_is_longer_than_the_bounds_is_searched(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", [failed(1), *(["x" * 99] * 50_000), failed(2)], 0)
    assert search(log, bounds=Bounds(bytes=2 << 20)).lines == {EVIL: [failed(2)]}


def test_what_cannot_be_read_is_named_and_the_rest_is_searched(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", [failed(1)], 0)
    written(tmp_path / "zimbra.log.2", [failed(0)], 2)
    (tmp_path / "zimbra.log.1.gz").write_bytes(gzip.compress(b"x" * 5000)[:20])
    found = search(log)
    assert found.lines == {EVIL: [failed(0), failed(1)]}
    (unread,) = found.unread
    assert unread.startswith(f"{tmp_path}/zimbra.log.1.gz cannot be read: ")
    assert search(tmp_path / "gone/zimbra.log").unread[0].endswith("No such file or directory")


def test_no_more_is_read_than_is_needed(tmp_path: Path) -> None:
    log = written(tmp_path / "zimbra.log", [*(["x" * 99] * 50_000), *(failed(n) for n in range(100))], 0)
    written(tmp_path / "zimbra.log.1", ["x" * 99] * 50_000, 1)
    found = search(log)
    assert (found.files, len(found.lines[EVIL])) == (1, 100)
    assert found.bytes <= 1 << 20


@given(
    st.lists(
        st.sampled_from([b"", b"203.0.113.7", b"y", b"x" * 7, b"x" * 40, b"203.0.113.7 z"]), max_size=30
    ),
    st.booleans(),
    st.integers(5, 30),
)
def test_blocks_from_the_end_are_the_lines_of_the_file(lines: list[bytes], newline: bool, block: int) -> None:
    data = b"\n".join(lines) + b"\n" * newline
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
        patch.setattr(log_search, "_BLOCK", block)
        path = Path(root) / "log"
        path.write_bytes(data)
        with open_regular(str(path)) as file:
            backwards = list(log_search._backwards(file))
    if all(len(line) < block for line in lines):
        assert b"".join(backwards[::-1]) == data
