"""`zmban check` on broken configurations: one sentence for each fault, and other jails still run.

Each directory of `broken/` is a configuration with a mistake that administrators make; its `expected` has the
output of the command, with paths relative to the directory, and the exit code.
"""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli import zmban as program
from tests.cli.running import zmban

GOOD = Path(__file__).with_name("good")
BROKEN = Path(__file__).with_name("broken")
# Messages that depend on the host.
_HOSTS = re.compile(r"does not exist; it is read once|Fail2Ban is running too|is not readable")


def told(directory: Path) -> tuple[int, list[str]]:
    """The exit code and the lines of `zmban check`, without those that depend on the host."""
    done = CliRunner().invoke(program, ["--config", str(GOOD), "--config", str(directory), "check"])
    assert done.stderr == ""
    assert done.exception is None or isinstance(done.exception, SystemExit)
    text = done.stdout.replace(f"{directory}/", "").replace(f"{GOOD}/", "good/")
    return done.exit_code, [line for line in text.splitlines() if not _HOSTS.search(line)]


@pytest.mark.parametrize("name", sorted(path.name for path in BROKEN.iterdir()))
def test_check_names_every_fault_of_a_broken_configuration_and_its_cure(name: str) -> None:
    code, lines = told(BROKEN / name)
    expected = (BROKEN / name / "expected").read_text(encoding="utf-8").splitlines()
    assert [*lines, f"exit {code}"] == expected


@pytest.mark.parametrize("name", ["regex-that-lost-its-host", "default-header-lost", "regex-with-en-dash"])
def test_the_installed_program_prints_the_same_and_exits_with_the_same_code(name: str) -> None:
    done = zmban("--config", GOOD, "--config", BROKEN / name, "check")
    expected = (BROKEN / name / "expected").read_text(encoding="utf-8").splitlines()
    assert f"exit {done.returncode}" == expected[-1]
    assert done.stderr == ""
    assert all(line in done.stdout.replace(f"{BROKEN / name}/", "") for line in expected[:-1])


def test_a_correct_configuration_has_no_fault() -> None:
    assert told(GOOD) == (0, ["1 jail can run (good); 0 cannot"])
