"""Each log that a jail names is reported, whether it is read or not; logs that are gone are dropped without
losing lines."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
JAIL = "[more]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 2\nfindtime = 86400\nlogpath = {}\n"


@pytest.fixture
def running(host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service that is not started yet."""
    monkeypatch.setenv("COLUMNS", "400")
    one = Running(tmp_path)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait(20)


def begin(running: Running, *names: str) -> None:
    """Start it with a second jail over these logs, each named below the directory of logs."""
    paths = "\n    ".join(str(running.log.parent / name) for name in names)
    with (running.root / "config/jail.d/test.conf").open("a", encoding="utf-8") as file:
        file.write(JAIL.format(paths))
    running.launch()
    until(lambda: running.get("/healthz")[0] == 200)


def up(running: Running) -> dict[str, float]:
    """`zmban_source_up` of each log but the one that is always there, by its path below the logs."""
    found = {}
    for line in running.get("/metrics")[1].splitlines():
        if line.startswith("zmban_source_up{"):
            found[line.split('"')[1].partition("/logs/")[2]] = float(line.rsplit(" ", 1)[1])
    return {name: value for name, value in found.items() if name != "zimbra.log"}


def told(running: Running, name: str) -> dict[str, Any]:
    """What `status` says of a log; its text for people says why it is not read, too."""
    (one,) = (s for s in running.ask("status")[0]["sources"] if s["source"].endswith(f"/logs/{name}"))
    if one["error"]:
        assert one["error"] in zmban("status", "--socket", running.socket).stdout
    return dict(one)


def series(running: Running, name: str) -> set[str]:
    """The metrics that have a series of this log."""
    lines = running.get("/metrics")[1].splitlines()
    return {line.partition("{")[0] for line in lines if f'/logs/{name}"' in line}


def opened(running: Running, name: str) -> bool:
    """Whether the service has a file open whose path starts with this."""
    assert running.process is not None
    links = list(Path(f"/proc/{running.process.pid}/fd").iterdir())
    return any(_target(link).startswith(str(running.log.with_name(name))) for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


NOT_THERE: dict[str, tuple[str, str]] = {
    "not there": ("x.log", "{}/x.log is not there; it is read as soon as it appears"),
    "no directory": (
        "no/deep/x.log",
        "{}/no/deep/x.log is not there, for there is no directory {}/no: is it mounted?",
    ),
    "no match": ("x*.log", "no file matches {}/x*.log; it is read as soon as one appears"),
    "no directory to match in": (
        "no/*/x.log",
        "{}/no/*/x.log is not there, for there is no directory {}/no: is it mounted?",
    ),
    "packed": ("x.gz", "{}/x.gz is packed: name the log itself, its packed files are read with it"),
}


@pytest.mark.parametrize(("name", "why"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_log_that_is_not_there_is_told_with_the_reason_and_is_read_when_it_comes(
    host: Namespace, running: Running, name: str, why: str
) -> None:
    place = running.log.parent
    if name == "x.gz":
        (place / name).touch()
    begin(running, name)
    until(lambda: up(running) == {name: 0})
    assert told(running, name)["error"] == why.format(*[str(place)] * 2)
    # As before: a missing log is waited for.
    until(lambda: running.get("/readyz")[0] == 200)
    assert running.metric("zmban_ready") == 1
    if name != "x.gz":
        log = place / name.replace("*", "z")
        log.parent.mkdir(parents=True, exist_ok=True)
        running.attack(EVIL, log=log)
        until(lambda: blackholes(host) == {EVIL})
        assert up(running) == {str(log.relative_to(place)): 1}


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "is a directory; only regular files are read"),
    "a FIFO": (os.mkfifo, "is a FIFO; only regular files are read"),
    "a socket": (_socket, "is a socket; only regular files are read"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "is a device; only regular files are read"),
    "a dangling link": (lambda path: path.symlink_to("no"), "cannot be read: No such file or directory"),
    "a circle": (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    "text in UTF-16": (
        lambda path: path.write_bytes("a line of an odd program\n".encode("utf-16")),
        "cannot be read: the text is UTF-16; only UTF-8 is supported",
    ),
}


@pytest.mark.parametrize(("make", "why"), KINDS.values(), ids=KINDS)
def test_what_cannot_be_read_as_a_log_is_told_until_a_log_takes_its_place(
    host: Namespace, running: Running, make: Callable[[Path], object], why: str
) -> None:
    log = running.log.with_name("x.log")
    make(log)
    begin(running, "x.log")
    until(lambda: up(running) == {"x.log": 0})
    until(lambda: told(running, "x.log")["error"] == f"{log} {why}")
    assert f"{log} {why}" in running.get("/readyz")[1]
    log.rename(log.with_name("odd"))
    running.attack(EVIL, log=log)
    until(lambda: blackholes(host) == {EVIL})
    until(lambda: up(running) == {"x.log": 1})
    assert told(running, "x.log")["error"] is None


def test_a_log_that_may_not_be_read_is_told_whether_the_file_or_its_directory_is_closed(
    host: Namespace, running: Running
) -> None:
    closed, place = running.log.with_name("x.log"), running.log.with_name("closed")
    running.attack(EVIL, log=closed)
    place.mkdir()
    running.attack(OTHER, log=place / "y.log")
    closed.chmod(0)
    place.chmod(0)
    # Root may read everything unless it dropped that capability.
    running.by = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    running.by += ["--inh-caps=-dac_override,-dac_read_search"]
    begin(running, "x.log", "closed/y.log", "closed/*.log")
    os.chown(closed, 65534, 65534)
    os.chown(place, 65534, 65534)
    until(lambda: up(running) == {"x.log": 0, "closed/y.log": 0, "closed/*.log": 0})
    until(lambda: told(running, "x.log")["error"] == f"{closed} cannot be read: Permission denied")
    assert told(running, "closed/y.log")["error"] == f"{place}/y.log cannot be looked up: Permission denied"
    assert told(running, "closed/*.log")["error"] == f"{place}/*.log cannot be looked up: Permission denied"
    closed.chmod(0o644)
    place.chmod(0o755)
    until(lambda: blackholes(host) == {EVIL, OTHER})
    until(lambda: up(running) == {"x.log": 1, "closed/y.log": 1})


def test_a_second_name_of_a_log_is_up_with_it(running: Running) -> None:
    log = running.log.with_name("x.log")
    log.touch()
    log.with_name("y.log").symlink_to(log)
    log.with_name("x.log.1").touch()
    begin(running, "x.log", "y.log", "x.log.1")
    until(lambda: up(running) == {"x.log": 1, "y.log": 1, "x.log.1": 1})
    assert not told(running, "y.log")["followed"]
    log.unlink()
    until(lambda: up(running)["x.log"] == 0)
    log.touch()
    until(lambda: up(running) == {"x.log": 1, "y.log": 1, "x.log.1": 1})


def test_a_log_that_is_deleted_is_let_go_when_all_of_it_was_read_and_goes_on_when_it_is_back(
    host: Namespace, running: Running
) -> None:
    begin(running, "more-*.log", "named.log")
    globbed, named = running.log.with_name("more-1.log"), running.log.with_name("named.log")
    for log in (globbed, named):
        running.attack(EVIL, times=1, log=log)
    until(lambda: blackholes(host) == {EVIL})
    counted = {"zmban_lines_total", "zmban_bytes_total", "zmban_source_lag_seconds"}
    counted |= {"zmban_source_last_line_timestamp_seconds", "zmban_source_up", "zmban_source_errors_total"}
    assert series(running, "more-1.log") == counted
    for log in (globbed, named):
        # The last line has no newline, and never will.
        line = log.read_text(encoding="utf-8").replace(EVIL, OTHER).rstrip("\n")
        with log.open("a", encoding="utf-8") as file:
            file.write(line)
        log.unlink()
    until(lambda: blackholes(host) == {EVIL, OTHER}, 30)
    until(lambda: not series(running, "more-1.log"), 40)
    until(lambda: series(running, "named.log") == {"zmban_source_up"})
    assert not opened(running, "more-1.log") and not opened(running, "named.log")
    # Behind the next lookup the glob matches nothing any more.
    until(lambda: up(running) == {"more-*.log": 0, "named.log": 0})
    assert told(running, "named.log")["error"] == f"{named} is not there; it is read as soon as it appears"
    # It existed before, and a jail names exactly this path.
    assert running.get("/readyz")[1].splitlines() == [told(running, "named.log")["error"]]
    for log, who in ((globbed, "198.51.100.20"), (named, "198.51.100.21")):
        running.attack(who, log=log)
    until(lambda: blackholes(host) == {EVIL, OTHER, "198.51.100.20", "198.51.100.21"})
    until(lambda: running.get("/readyz")[0] == 200)
    assert running.metric(f'zmban_lines_total{{source="{globbed}"}}') == 2


def test_a_glob_that_matches_other_logs_does_not_miss_one_that_is_deleted(running: Running) -> None:
    for name in ("more-1.log", "more-2.log"):
        running.log.with_name(name).touch()
    begin(running, "more-*.log")
    until(lambda: up(running) == {"more-1.log": 1, "more-2.log": 1})
    running.log.with_name("more-1.log").unlink()
    until(lambda: up(running) == {"more-2.log": 1}, 40)
    assert series(running, "more-1.log") == set()
    assert running.get("/readyz")[0] == 200


def test_a_log_whose_name_is_gone_for_a_moment_keeps_its_figures(host: Namespace, running: Running) -> None:
    begin(running, "more-*.log")
    log = running.log.with_name("more-1.log")
    running.attack(EVIL, log=log)
    until(lambda: blackholes(host) == {EVIL})
    before = series(running, "more-1.log")
    log.rename(log.with_name("more-1.log.1"))
    for _ in range(30):
        # Longer than until it is reported, and shorter than until it is dropped.
        time.sleep(0.2)
        assert series(running, "more-1.log") == before
    running.attack(OTHER, log=log)
    until(lambda: blackholes(host) == {EVIL, OTHER})
    until(lambda: running.metric(f'zmban_lines_total{{source="{log}"}}') == 4)
    assert up(running) == {"more-1.log": 1}
