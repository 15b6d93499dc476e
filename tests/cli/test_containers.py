"""Commands without a service read the logs of containers: replay, regex, explain, check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import records, zmban

EVIL = "198.51.100.7"
FILTERS = Path(__file__).parents[2] / "config/filter.d"


def failed(second: int) -> str:
    return f"Nov 27 10:00:{second:02d} mta postfix/smtps/smtpd[1]: warning: unknown[{EVIL}]: SASL LOGIN authentication failed: x"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A configuration, and the log of a container with three failed logins, one of them in parts."""
    (tmp_path / "jail.d").mkdir()
    (tmp_path / "filter.d").symlink_to(FILTERS)
    (tmp_path / "containers").mkdir()
    text = (
        "[mta]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 3\nfindtime = 600\nzmban.log = zimbra.log\n"
    )
    text += f"logpath = cri:{tmp_path}/containers/*_zimbra_*.log\n"
    (tmp_path / "jail.d/mta.conf").write_text(text)
    stamp, one, two = "2026-11-27T10:00:00.5Z stdout", failed(1), failed(2)
    log = f"{stamp} F {one}\n{stamp} P {two[:60]}\nnot a line of a runtime\n{stamp} F {two[60:]}\n"
    log += json.dumps({"log": failed(3) + "\n", "stream": "stdout", "time": "2026-11-27T10:00:03Z"}) + "\n"
    log += f"{stamp} F no date\n"
    (tmp_path / "containers/mta-0_zimbra_postfix-0123456789abcdef.log").write_text(log)
    return tmp_path


@pytest.mark.parametrize("given", [False, True])
def test_a_replay_reads_it_by_logpath_or_by_name(place: Path, given: bool) -> None:
    options = ["--log", f"mta=cri:{next(place.glob('containers/*'))}"] if given else []
    done = zmban("--config", place, "replay", "--jsonl", "--now", "1795780000", "--timezone", "UTC", *options)
    assert done.returncode == 0, done.stderr
    ban, summary = records(done)
    assert (ban["event"], ban["network"], ban["evidence"][-1]) == ("ban", f"{EVIL}/32", failed(3))
    assert (summary["lines"], summary["failures"]) == (4, 3)


def test_regex_shows_the_lines_as_a_jail_gets_them(place: Path) -> None:
    log = f"cri:{next(place.glob('containers/*'))}"
    done = zmban("--config", place, "regex", log, "zimbra-smtp", "--out", "msg")
    assert done.stdout.count("SASL LOGIN") == 3, done.stderr
    missed = zmban("--config", place, "regex", log, "zimbra-smtp", "--print-all-missed").stdout
    assert "2026-11-27T10:00:00.5Z no date" in missed
    assert "runtime" not in missed


def test_explain_takes_a_line_of_the_file_as_it_is(place: Path) -> None:
    raw = f"2026-11-27T10:00:00.5Z stdout F {failed(1)}"
    options = ("--jsonl", "--now", "1795780000", "--timezone", "UTC")
    told = [
        records(zmban("--config", place, "explain", "--log", "zimbra.log", line, *options))
        for line in (raw, failed(1))
    ]
    assert told[0] == told[1]
    assert told[0][0]["client"] == EVIL


def test_check_tells_of_a_missing_grammar_and_of_links_that_lead_nowhere(place: Path) -> None:
    assert "containers" not in zmban("--config", place, "check").stdout
    jail = place / "jail.d/mta.conf"
    named = jail.read_text()
    jail.write_text(named.replace("zmban.log = zimbra.log\n", ""))
    assert "; write zmban.log = zimbra.log into the jail" in zmban("--config", place, "check").stdout
    jail.write_text(named)
    link = next(place.glob("containers/*"))
    link.unlink()
    assert f"no file matches {place}/containers/*_zimbra_*.log" in zmban("--config", place, "check").stdout
    link.symlink_to(place / "pods/0.log")
    told = zmban("--config", place, "check").stdout
    assert (
        f"{link} is a link to {place}/pods/0.log, which is not there: mount the directory it lies in too"
        in told
    )
