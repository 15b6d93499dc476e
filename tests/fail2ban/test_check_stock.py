"""`zmban check` on Debian's stock configuration, as shipped and with all jails enabled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.running import zmban
from tests.conformance import package
from tests.conformance.oracle import forced_on, jail_names

pytestmark = pytest.mark.conformance

# A fault as printed; messages that depend on the host are left out.
_TOLD = re.compile(r"(?P<file>/\S+):(?P<line>\d+): (?P<warning>warning: )?(?P<message>\S.*)")
_HOST = re.compile(r"does not exist; it is read once|Fail2Ban is running too|is not readable")
_SUMMARY = re.compile(
    r"(\d+) jails? can run \((.*?)\)(?:, \d+ of them degraded \(.*\))?; (\d+) cannot(?: \((.*)\))?"
)


def told(directory: Path) -> tuple[int, list[re.Match[str]], re.Match[str]]:
    """The exit code, every fault that is printed, and the summary below them."""
    done = zmban("--config", directory, "check")
    assert done.stderr == ""
    *lines, last = done.stdout.splitlines()
    faults = [_TOLD.fullmatch(line) for line in lines if not _HOST.search(line)]
    summary = _SUMMARY.fullmatch(last)
    assert summary and all(faults), done.stdout
    return done.returncode, [fault for fault in faults if fault], summary


def test_the_stock_configuration_has_no_fault() -> None:
    code, faults, summary = told(package.stock())
    errors = [fault.group() for fault in faults if not fault["warning"]]
    assert (code, errors, summary[3]) == (0, [], "0")


def test_with_every_stock_jail_enabled_only_one_cannot_run_and_each_fault_names_its_place(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "fail2ban"
    forced_on(package.stock(), directory)
    code, faults, summary = told(directory)
    for fault in faults:
        lines = Path(fault["file"]).read_text(encoding="utf-8").splitlines()
        assert 1 <= int(fault["line"]) <= len(lines), fault.group()
    messages = [fault["message"] for fault in faults if not fault["warning"]]
    assert len(messages) == 2
    assert any("ignorecommand: zmban runs no commands" in message for message in messages)
    assert any("admits the address" in message for message in messages)
    assert summary[4] == "apache-fakegooglebot"
    assert (code, int(summary[1])) == (78, len(jail_names(directory)) - 1)


def test_no_option_of_the_stock_configuration_is_taken_for_a_misspelt_one(tmp_path: Path) -> None:
    directory = tmp_path / "fail2ban"
    forced_on(package.stock(), directory)
    assert not [fault.group() for fault in told(directory)[1] if "did you mean" in fault["message"]]
