"""Logs that syslog writes twice are read once; a missing optional path is not a fault."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from sidecar.app.ingest.discovery import Discovery
from sidecar.configuration.loading import load
from sidecar.detect.grammar import of_log
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.log_paths import LogPath
from sidecar.fail2ban.spec import FilterSpec
from sidecar.offline.check.host_check import surroundings
from tests.cli.running import records, zmban

DAY = 86400
FAILED = (
    "Jan  5 10:0%d:00 mail postfix/submission/smtpd[99]: warning: unknown[198.51.100.7]: SASL LOGIN "
    "authentication failed: authentication failure, sasl_username=bob@example.com\n"
)


def jail(name: str, *globs: str) -> JailSpec:
    return JailSpec(name, FilterSpec(name, ()), tuple(LogPath(one, False) for one in globs))


@pytest.mark.parametrize(
    ("days", "read"),
    [
        ({"zimbra.log": 0, "carbonio.log": 0, "maillog": 0}, ["zimbra.log"]),
        ({"carbonio.log": 0, "maillog": 0}, ["carbonio.log"]),
        ({"maillog": 0}, ["maillog"]),
        # A leftover from before the move to Carbonio.
        ({"zimbra.log": 40, "carbonio.log": 0}, ["carbonio.log"]),
        # The whole host was down.
        ({"zimbra.log": 40, "maillog": 40}, ["zimbra.log"]),
    ],
)
async def test_of_logs_that_hold_the_same_lines_one_is_read(
    tmp_path: Path, days: dict[str, int], read: list[str]
) -> None:
    for name, age in days.items():
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time.time() - age * DAY,) * 2)
    names = (f"{tmp_path}/{name}" for name in ("maillog", "zimbra.log", "carbonio.log"))
    found = await Discovery({"a": jail("a", *names)}).look()
    assert [Path(path).name for path in found] == read


async def test_a_jail_that_names_only_the_other_log_reads_it_and_other_directories_are_other_hosts(
    tmp_path: Path,
) -> None:
    for name in ("zimbra.log", "maillog", "two/maillog"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    first = jail("a", f"{tmp_path}/zimbra.log", f"{tmp_path}/maillog", f"{tmp_path}/two/maillog")
    second = jail("b", f"{tmp_path}/maillog")
    found = await Discovery({"a": first, "b": second}).look()
    assert {
        path.removeprefix(f"{tmp_path}/"): [j.name for j in one.jails] for path, one in found.items()
    } == {
        "zimbra.log": ["a"],
        "maillog": ["b"],
        "two/maillog": ["a"],
    }


@pytest.mark.parametrize("names", [("zimbra.log", "maillog"), ("carbonio.log", "maillog"), ("maillog",)])
def test_one_mistyped_password_bans_nobody_where_syslog_writes_it_twice(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    paths = [f"{tmp_path}/{name[:-1]}[{name[-1]}]" for name in ("zimbra.log", "carbonio.log", "maillog")]
    for name in names:
        (tmp_path / name).write_text(FAILED % 1)
    own = tmp_path / "own" / "jail.local"
    own.parent.mkdir()
    own.write_text("[DEFAULT]\nzimbra_log = " + "\n  ".join(paths) + "\n", encoding="utf-8")
    command = ("--config", "config", "--config", own.parent, "replay", "--now", "1767700000", "--jsonl")
    assert [r["event"] for r in records(zmban(*command))] == ["summary"]
    for name in names:
        (tmp_path / name).write_text(FAILED % 1 + FAILED % 2)
    found = [r for r in records(zmban(*command)) if r["event"] == "ban"]
    assert [(r["network"], r["jail"], r["failures"]) for r in found] == [
        ("198.51.100.7/32", "zimbra-smtp", 2)
    ]


def test_every_shipped_jail_knows_carbonio_and_check_does_not_ask_for_its_logs() -> None:
    loaded = load(["config"])
    assert not loaded.jails.faults
    syslog = {"/var/log/zimbra.log", "/var/lo[g]/carbonio.log", "/var/lo[g]/maillog"}
    for one in loaded.jails.jails.values():
        globs = {log.glob for log in one.logpath}
        own = {log for log in globs if log.startswith("/opt/zimbra/log/")}
        assert (
            globs == syslog or globs - own == {log.replace("zimbra", "zextra[s]", 1) for log in own} != set()
        )
        assert all(of_log(log) for log in globs)
    told = [fault.message for fault in surroundings(loaded) if "not there" in fault.message]
    assert not any("[" in message for message in told)


def test_no_shipped_jail_that_is_off_forgets_carbonio_either() -> None:
    text = Path("config/jail.d/zimbra.conf").read_text(encoding="utf-8")
    named = re.findall(r"^logpath +=((?: +\S+\n)+)", text, re.MULTILINE)
    assert len(named) == len(re.findall(r"^\[zimbra-", text, re.MULTILINE))
    assert {
        path for one in named for path in one.split() if not re.fullmatch(r"%\(zimbra_\w+\)s", path)
    } == set()
