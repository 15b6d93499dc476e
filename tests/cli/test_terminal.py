"""The commands on pseudo-terminals of several widths, and in a pipe."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import COMMANDS
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Database
from tests.app.running import SHIPPED, Running, until
from tests.cli.running import ZMBAN, on_terminal, zmban
from tests.netns import Namespace

WIDTHS = (40, 80, 200)
WIDE = "2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa/128"
NETWORKS = ["198.51.100.0/24", "203.0.113.7/32", "2001:db8:1234:5678::/64", WIDE]
HOSTILE = "\x1b[2J\x1b]0;x\x07漢字漢字 seen by 203.0.113.250 and others, at length and without an end in sight\u202e"
SASL = (
    "Jan  5 10:00:0{} mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"
)
NOW = datetime(2026, 1, 6, tzinfo=UTC).timestamp()
# Control sequences for colours, cursor and erasing.
_DRAWN = re.compile(r"\x1b")


def visible(text: str) -> list[str]:
    """The lines without zmban's colours; fails if other control codes remain."""
    # Remove erased progress bars.
    lines = re.sub(r"\r\x1b\[K[^\r\n]*(?=\r)|\r\x1b\[K|\x1b\[[0-9;]*m", "", text).splitlines()
    assert all(line.isprintable() for line in lines), lines
    return lines


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with bans whose reasons contain control codes."""
    now = time.time()
    bans = [
        Ban(Network.parse(n), "zimbra-" + "x" * 9 * i, now, None, "log", HOSTILE)
        for i, n in enumerate(NETWORKS)
    ]
    database = Database(tmp_path / "state")
    database.write(bans)
    database.close()
    return tmp_path / "state"


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("by", ["terminal", "variable"])
def test_bans_shows_each_network_in_one_line_of_a_terminal(state: Path, columns: int, by: str) -> None:
    variables = {"COLUMNS": str(columns)} if by == "variable" else {}
    size = columns if by == "terminal" else 111
    code, text = on_terminal(size, "bans", "--state", state, "--socket", "/no/such", variables=variables)
    assert code == 0, text
    heading, *lines = visible(text)
    assert [line.split()[0] for line in lines[: len(NETWORKS)]] == sorted(NETWORKS, key=Network.parse)
    assert all(len(line) <= max(columns, len(WIDE)) for line in lines[: len(NETWORKS)])
    assert ("reason" in heading.split()) == (columns == 200)
    assert ("…" in text) or columns == 40
    assert "4 bans" in lines


def test_bans_into_a_pipe_is_a_row_a_line_in_aligned_columns(state: Path) -> None:
    variables = {"COLUMNS": "20", "FORCE_COLOR": "1", "PATH": "/usr/bin:/bin"}
    command = [str(ZMBAN), "bans", "--state", str(state), "--socket", "/no/such"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    heading, *lines = done.stdout.splitlines()
    rows = lines[: len(NETWORKS)]
    assert not _DRAWN.search(done.stdout)
    assert "reason" in heading
    assert all(row.endswith("without an end in sight\\u202e") for row in rows)
    jails, reasons = heading.index("jail"), heading.index("reason")
    assert all(row[jails:].startswith("zimbra-") and row[jails - 1] == " " for row in rows)
    assert all(row[reasons:].startswith("\\x1b[2J") for row in rows)
    assert done.stderr == ""


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_check_shows_paths_whole_on_a_terminal_and_a_fault_a_line_into_a_pipe(
    tmp_path: Path, columns: int | None
) -> None:
    directory = tmp_path / "a rather long directory" / "with blanks"
    directory.mkdir(parents=True)
    (directory / "jail.local").write_text(
        "[x]\nenabled=1\nfilter=gone\nlogpath=/var/log/zimbra.log\n", encoding="utf-8"
    )
    code, text = on_terminal(columns, "check", "--config", SHIPPED, "--config", directory)
    assert code == 78
    lines = visible(text)
    assert any(f"{directory}/jail.local:3:" in line for line in lines)
    assert any(f"{directory}/filter.d/gone.conf" in line for line in lines)
    assert any("/opt/zimbra/log/mailbox.log" in line for line in lines)
    done = zmban("check", "--config", SHIPPED, "--config", directory)
    faults = [line for line in done.stdout.splitlines() if line.startswith("/")]
    assert len(faults) == len(done.stdout.splitlines()) - 1
    assert " ".join(text.split()) == " ".join(done.stdout.split())


@pytest.mark.parametrize("columns", [None, *WIDTHS])
def test_replay_explain_and_import_show_addresses_whole(tmp_path: Path, columns: int | None) -> None:
    log = tmp_path / "zimbra.log"
    address = "2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa"
    log.write_text("".join(SASL.format(n, address) + "\n" for n in range(2)), encoding="utf-8")
    options = ["--config", SHIPPED, "--now", NOW, "--timezone", "UTC"]
    code, text = on_terminal(columns, "replay", *options, "--log", f"zimbra-smtp={log}")
    assert code == 0, text
    lines = visible(text)
    assert sum(f"unknown[{address}]" in line for line in lines) == 2
    assert any("2001:db8:ffff:eeee::/64" in line for line in lines)
    code, text = on_terminal(columns, "explain", *options, "--log", "zimbra.log", SASL.format(1, address))
    assert code == 0, text
    assert any(line.endswith(address) and len(line) <= (columns or 80) for line in visible(text))
    (tmp_path / "list").write_text(f"127.0.0.0/8 {HOSTILE[20:]}\n{'x ' * 90}\n{WIDE}\n", encoding="utf-8")
    places = ["--state", tmp_path / "state", "--socket", "/no/such"]
    code, text = on_terminal(columns, "import", tmp_path / "list", *places)
    assert code == 65, text
    assert any(line.startswith("127.0.0.0/8") for line in visible(text))
    assert any(f"{tmp_path}/list:" in line for line in visible(text))


def test_replay_into_a_file_goes_there_while_a_bar_stands_on_the_terminal(tmp_path: Path) -> None:
    log, out = tmp_path / "zimbra.log", tmp_path / "out"
    lines = [SASL.format(n % 2, f"203.0.113.{n // 2 % 200}") for n in range(400)]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script = f"{ZMBAN} --config {SHIPPED} replay --now {NOW} --timezone UTC --log zimbra-smtp={log} >{out}"
    code, text = on_terminal(80, "-c", script, program=Path("/bin/sh"))
    assert code == 0
    told = out.read_text(encoding="utf-8").splitlines()
    assert told[-1].startswith("400 lines, ")
    assert sum(" ban " in line for line in told) == 200
    assert "203.0.113" not in text


def test_one_of_a_thing_is_told_as_one(tmp_path: Path) -> None:
    log = tmp_path / "zimbra.log"
    log.write_text(SASL.format(1, "203.0.113.7") + "\n", encoding="utf-8")
    (tmp_path / "jail.local").write_text("[zimbra-smtp]\nmaxretry = 1\n", encoding="utf-8")
    options = ["--config", SHIPPED, "--config", tmp_path, "--now", NOW, "--timezone", "UTC"]
    done = zmban("replay", *options, "--log", f"zimbra-smtp={log}")
    assert " 1 failure, until " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 line, 1 match, 1 failure, 1 ban, 0 refused in ")
    (tmp_path / "list").write_text("203.0.113.7\n", encoding="utf-8")
    places = ["--state", tmp_path / "state", "--socket", "/no/such"]
    assert zmban("import", tmp_path / "list", *places).returncode == 0
    assert zmban("bans", *places).stdout.splitlines()[-1].startswith(("1 ban", "not enforced"))
    assert "1 ban" in zmban("bans", *places).stdout.splitlines()


def test_status_and_explain_of_a_service_show_addresses_and_paths_whole(
    host: Namespace, tmp_path: Path
) -> None:
    running = Running(tmp_path)
    try:
        running.start()
        reason = f"reported by 203.0.113.250 {'and others ' * 9}"
        for network in NETWORKS:
            zmban("ban", network, "--reason", reason, "--socket", running.socket)
        until(lambda: len(running.ask("bans")) == len(NETWORKS))
        for columns in (None, *WIDTHS):
            code, text = on_terminal(columns, "status", "--socket", running.socket)
            lines = visible(text)
            assert code == 0
            assert all(any(n in line.split() for line in lines) for n in NETWORKS), text
            assert any(line.startswith(str(running.log)) for line in lines), text
            for network in NETWORKS:
                text = on_terminal(columns, "explain", network, "--socket", running.socket)[1]
                assert sum(network in line for line in visible(text)) >= 2, text
                assert "203.0.113.250" in text
            code, text = on_terminal(
                columns, "status", "--watch", "--socket", running.socket, enough=b"\x1b[J\x1b[H"
            )
            assert code == 130
            assert text.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
            assert text.rstrip().endswith("\x1b[?25h\x1b[?1049l")
            assert all(text.count(network) >= 2 for network in NETWORKS)
        piped = zmban("status", "--watch", "--socket", running.socket).stdout
        assert not _DRAWN.search(piped)
        assert [line for line in piped.splitlines() if WIDE in line and reason.strip() in line]
    finally:
        running.stop()


@pytest.mark.parametrize("form", ["before", "behind", "both", "short"])
def test_config_stands_before_the_command_or_behind_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "jail.local").write_text("[zimbra-smtp]\nmaxretry = none\n", encoding="utf-8")
    wrong = f"{tmp_path}/jail.local:2: maxretry"
    arguments = {
        "before": ["--config", SHIPPED, "--config", tmp_path, "check"],
        "behind": ["check", "--config", SHIPPED, "--config", tmp_path],
        "both": ["--config", SHIPPED, "check", "--config", tmp_path],
        "short": ["-c", SHIPPED, "check", "-c", tmp_path],
    }[form]
    done = zmban(*arguments)
    assert wrong in done.stdout
    assert "zimbra-mail" in done.stdout.splitlines()[-1], "the shipped jails are read too"
    told = [json.loads(line) for line in zmban(*arguments, "--jsonl").stdout.splitlines()]
    assert any(fault["line"] == 2 and fault["file"] == f"{tmp_path}/jail.local" for fault in told)


def test_what_is_behind_the_command_lies_over_what_is_before_it(tmp_path: Path) -> None:
    for name, value in (("before", "1"), ("behind", "nonsense")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jail.local").write_text(f"[zimbra-smtp]\nmaxretry = {value}\n", encoding="utf-8")
    before, behind = tmp_path / "before", tmp_path / "behind"
    assert "maxretry" in zmban("--config", SHIPPED, "--config", before, "check", "--config", behind).stdout
    assert (
        "maxretry" not in zmban("--config", SHIPPED, "--config", behind, "check", "--config", before).stdout
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_config_behind_it(name: str) -> None:
    assert re.search(r"--config DIR", zmban(name, "--help").stdout)
    # It is read before all other options: a missing directory ends the command.
    assert (
        "Missing" in zmban(name, "--config").stderr
        or "requires an argument" in zmban(name, "--config").stderr
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["regex", "x", "y <HOST>"],
        ["replay"],
        ["explain", "--log", "zimbra.log", "x"],
        ["bans"],
        ["import", "LIST"],
    ],
)
def test_a_directory_that_is_not_there_is_named_wherever_it_stands(
    tmp_path: Path, state: Path, arguments: list[str]
) -> None:
    (tmp_path / "LIST").write_text("203.0.113.7\n", encoding="utf-8")
    given: list[Any] = [str(tmp_path / "LIST") if word == "LIST" else word for word in arguments]
    if given[0] in ("bans", "import"):
        given += ["--state", state, "--socket", tmp_path / "none"]
    before, behind = zmban("--config", "/nowhere", *given), zmban(*given, "--config", "/nowhere")
    assert before.returncode == behind.returncode == 78
    assert before.stderr == behind.stderr
    assert "/nowhere: no such configuration directory" in behind.stderr


def test_a_text_that_the_terminal_s_encoding_does_not_know_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "jail.local").write_text("[漢字]\nenabled = perhaps\n", encoding="utf-8")
    command = [str(ZMBAN), "check", "--config", str(tmp_path)]
    variables = {"PYTHONIOENCODING": "latin-1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, env=variables, check=False)
    assert done.returncode == 78
    assert b"\\u6f22\\u5b57" in done.stdout
    assert b"Traceback" not in done.stderr


def test_regex_prints_json_without_what_drives_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("bad b\x9bo\u202e\x7fb from 203.0.113.7\n", encoding="utf-8")
    done = zmban("regex", "--undated", "--jsonl", log, r"bad <F-USER>\S+</F-USER> from <HOST>")
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert json.loads(done.stdout)["groups"]["user"] == "b\x9bo\u202e\x7fb"
