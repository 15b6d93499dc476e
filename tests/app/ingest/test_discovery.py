"""The logs that globs match: each once, without rotated files of other logs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.ingest import discovery
from sidecar.app.ingest.discovery import Discovery
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.log_paths import LogPath
from sidecar.fail2ban.spec import FilterSpec
from sidecar.sources.files import disk
from sidecar.sources.log_names import names


def jail(name: str, *globs: str) -> JailSpec:
    return JailSpec(name, FilterSpec(name, ()), tuple(LogPath(one, False) for one in globs))


async def found(*jails: JailSpec) -> dict[str, list[str]]:
    looked = await Discovery({one.name: one for one in jails}).look()
    return {Path(path).name: [one.name for one in named.jails] for path, named in looked.items()}


async def test_a_glob_that_names_rotated_files_too_makes_one_log(tmp_path: Path) -> None:
    for name in ("x.log", "x.log.1", "x.log.2.gz", "x2.log"):
        (tmp_path / name).write_text(name)
    (tmp_path / "x.log.d").mkdir()
    assert await found(jail("a", f"{tmp_path}/x*")) == {"x.log": ["a"], "x2.log": ["a"]}


async def test_a_rotated_file_that_only_another_jail_names_is_a_log_of_its_own(tmp_path: Path) -> None:
    for name in ("x.log", "x.log.1"):
        (tmp_path / name).write_text(name)
    logs = await found(jail("a", f"{tmp_path}/x.log"), jail("b", f"{tmp_path}/x.log.1"))
    assert logs == {"x.log": ["a"], "x.log.1": ["b"]}


async def test_a_log_that_was_read_before_is_one_though_its_name_is_gone(tmp_path: Path) -> None:
    (tmp_path / "x.log.1").write_text("rotated, and its program is dead")
    named = {"a": jail("a", f"{tmp_path}/x.log", f"{tmp_path}/y.log", f"{tmp_path}/z*")}
    read = {f"{tmp_path}/{name}" for name in ("x.log", "z.log")}
    one = Discovery(named)
    one.remember(read)
    assert [*await one.look()] == [f"{tmp_path}/x.log"]


async def test_a_directory_that_does_not_answer_is_told_and_hides_no_other_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x.log", "y.log"):
        (tmp_path / name).write_text(name)
    one = Discovery({"a": jail("a", f"{tmp_path}/x.log"), "b": jail("b", f"{tmp_path}/y.log")})
    assert len(await one.look()) == 2
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    real = discovery._look_up

    def hanging(pattern: str, *rest: Any) -> Any:
        if pattern.endswith("x.log"):
            time.sleep(0.3)
        return real(pattern, *rest)

    monkeypatch.setattr(discovery, "_look_up", hanging)
    # The previous result stays valid.
    assert len(await one.look()) == 2
    assert len(one.trouble) == 1
    assert "x.log: the disk has not answered" in one.trouble[f"{tmp_path}/x.log"]


async def test_a_directory_that_never_answered_is_missing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    monkeypatch.setattr(discovery, "_look_up", lambda *_: time.sleep(0.3))
    one = Discovery({"a": jail("a", f"{tmp_path}/x*.log")})
    assert await one.look() == {}
    assert "x*.log: the disk has not answered" in one.missing[f"{tmp_path}/x*.log"]


async def test_what_a_listing_misses_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "x.log"
    log.touch()
    one = Discovery({"a": jail("a", f"{tmp_path}/*.log")})
    before = await one.look()
    # As if no descriptor were left to list a directory.
    monkeypatch.setattr("glob.glob", lambda _: [])
    assert await one.look(before) == before
    log.unlink()
    assert (await one.look(before))[str(log)].key is None
    assert await one.look() == {}


@pytest.mark.parametrize(
    ("pattern", "path", "whether"),
    [
        ("/var/log/x.log", "/var/log/x.log", True),
        ("/var/*/x*", "/var/log/x.log.1", True),
        ("/var/*", "/var/log/x.log", False),
        ("/var/*/x.log", "/var/a/b/x.log", False),
        ("/*.log", "/.x.log", False),
        ("/.*.log", "/.x.log", True),
        ("/[xy].log", "/y.log", True),
    ],
)
def test_a_glob_names_a_path_whether_it_is_there_or_not(pattern: str, path: str, whether: bool) -> None:
    assert names(pattern, path) is whether


async def test_a_file_that_is_read_in_two_ways_is_two_logs(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.touch()
    both = {"a": jail("a", f"{log}"), "b": jail("b", f"cri:{log}")}
    looked = await Discovery(both).look()
    assert {path: [one.name for one in named.jails] for path, named in looked.items()} == {
        f"{log}": ["a"],
        f"cri:{log}": ["b"],
    }


async def test_many_jails_of_many_logs_are_told_apart_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.log").touch()
    jails = [jail(f"j{number}", f"{tmp_path}/*.log") for number in range(3)]

    def compared(one: JailSpec, other: object) -> bool:
        pytest.fail("to compare whole jails takes seconds for 100 jails of 500 logs")

    monkeypatch.setattr(JailSpec, "__eq__", compared)
    assert await found(*jails) == {f"{number}.log": ["j0", "j1", "j2"] for number in range(3)}
