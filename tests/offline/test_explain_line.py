"""`explain --log` distinguishes a log that no jail reads from a line that no jail matches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.running import SHIPPED
from tests.cli.running import zmban
from tests.offline.test_lint import written


@pytest.mark.parametrize(
    ("options", "log", "reason", "sentence"),
    [
        ([], "access_log", "no-jail", "no enabled jail reads access_log; --all tries all jails"),
        (["--all"], "access_log", "no-jail", "no jail reads access_log"),
        ([], "mailbox.log", "no-match", "no-match"),
        ([], "nginx.log", "no-jail", "no enabled jail reads nginx.log; --all tries all jails"),
        (["--all"], "nginx.log", "no-match", "no-match"),
        # Read because of a glob.
        ([], "sync.log", "no-match", "no-match"),
    ],
)
def test_explain_tells_a_log_that_no_jail_reads_from_a_line_that_none_matches(
    tmp_path: Path, options: list[str], log: str, reason: str, sentence: str
) -> None:
    text = "[zimbra-nginx]\nenabled = false\n[zimbra-nginx-mail]\nenabled = false\n"
    written(tmp_path, f"{text}[zimbra-mail]\nlogpath = /opt/zimbra/log/s*.log\n")
    command = [
        "explain",
        "--config",
        SHIPPED,
        "--config",
        tmp_path,
        "--log",
        log,
        *options,
        "nothing of note",
    ]
    assert f'"reason":"{reason}"' in zmban(*command, "--jsonl").stdout
    assert zmban(*command).stdout.splitlines()[-1] == f"decision  does not count: {sentence}"
