"""The log of a real service: Debian's filter recidive finds every ban in it, and nothing that somebody wrote into
it; as JSON each line is an object."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.app.report.ban_log import log_events
from sidecar.model import Ban, Extended, Unban
from sidecar.network import Network
from tests.app.running import SHIPPED, Running, service, until
from tests.cli.running import ZMBAN, records, zmban
from tests.conformance import package
from tests.netns import Namespace

EVERY = [f"198.51.100.{number}" for number in range(1, 201)]
MANUAL, WIDE, SIX = "203.0.113.7", "203.0.113.0/25", "2001:db8:1::7"
# Whoever may ban by hand, or write a log line, must not ban others through a recidive jail.
LURE = "NOTICE  [smtp] Ban 203.0.113.99"


def busy(running: Running) -> None:
    """Bans by a log and by hand, of addresses and networks, and unbans."""
    at = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
    says = f"warning: {{}}: SASL LOGIN authentication failed: {LURE}"
    lines = [f"{at} mail postfix/smtps/smtpd[1]: {says.format(f'unknown[{one}]')}\n" * 2 for one in EVERY]
    with running.log.open("a", encoding="utf-8") as file:
        file.write("".join(lines))
    running.attack(SIX)
    until(lambda: running.metric('zmban_bans_total{jail="smtp",origin="log"}') == len(EVERY) + 1)
    running.ask("ban", MANUAL, WIDE, "--reason", LURE)
    running.ask("unban", EVERY[0])


def found_by_debian(log: Path, filter_: str | Path = "recidive") -> list[str]:
    done = package.regex("-c", package.stock(), "-o", "ip", log, filter_)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """Debian's package is fetched before a test enters a namespace, from which no mirror is reached."""
    package.fail2ban_package()


@pytest.mark.kernel
@pytest.mark.conformance
def test_debian_s_recidive_finds_every_banned_address_and_no_unban(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        busy(running)
        assert running.stop() == 0
        log = tmp_path / "service.log"
        expected = [*EVERY, MANUAL]
        assert sorted(found_by_debian(log)) == sorted(expected)
        filter_ = package.stock() / "filter.d/recidive.conf"
        ours = [r["host"] for r in records(zmban("regex", "--jsonl", log, filter_)) if r["matched"]]
        assert sorted(ours) == sorted(expected)
        assert f"[smtp] Unban {EVERY[0]}\n" in running.said()
        assert f"INFO    [manual] {MANUAL}: {LURE}, by command line" in running.said()


@pytest.mark.kernel
@pytest.mark.conformance
def test_a_recidive_of_one_s_own_finds_networks_too(host: Namespace, tmp_path: Path) -> None:
    filter_ = tmp_path / "recidive-networks.conf"
    stock = (package.stock() / "filter.d/recidive.conf").read_text(encoding="utf-8")
    filter_.write_text(stock.replace("<HOST>", "<SUBNET>"), encoding="utf-8")
    # The filter includes common.conf of its directory.
    shutil.copy(package.stock() / "filter.d/common.conf", tmp_path)
    with service(tmp_path) as running:
        busy(running)
        running.stop()
        found = set(found_by_debian(tmp_path / "service.log", filter_))
        assert found == {*EVERY, MANUAL, WIDE, "2001:db8:1::/64"}


@pytest.mark.kernel
def test_as_json_each_line_is_an_object_and_a_ban_says_who_why_and_by_whom(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path, "", "--log-format", "json") as running:
        running.attack(EVERY[0])
        until(lambda: EVERY[0] in running.said())
        running.ask("ban", MANUAL, "--reason", 'quote " and <b>')
        running.ask("unban", MANUAL)
        running.stop()
        told = [json.loads(line) for line in running.said().splitlines()]
        assert running.said().isascii()
    for one in told:
        assert {"time", "level", "logger", "message"} <= one.keys()
        assert datetime.fromisoformat(one["time"]).tzinfo is not None
    by_log, by_hand, lifted = (one for one in told if "action" in one)
    assert by_log["message"] == f"[smtp] Ban {EVERY[0]}"
    assert (by_log["level"], by_log["logger"]) == ("notice", "zmban.bans")
    assert [by_log[key] for key in ("jail", "action", "network", "reason", "by")] == [
        "smtp", "ban", f"{EVERY[0]}/32", "2 failures in 86400 s", "",
    ]  # fmt: skip
    assert (by_hand["action"], by_hand["by"]) == ("ban", "command line")
    assert by_hand["reason"] == 'quote " and <b>'
    assert (lifted["action"], lifted["message"]) == ("unban", f"[manual] Unban {MANUAL}")


def test_of_many_events_at_once_each_ban_of_a_log_is_told_and_the_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="zmban.bans")
    networks = [Network(4, (198 << 24) + (51 << 16) + (100 << 8) + n, 32) for n in range(250)]
    log_events(
        [
            *(Unban(n, "smtp", 1.0, "expired") for n in networks),
            *(Ban(n, "smtp", 1.0, None, "log") for n in networks),
        ]
    )
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "] Ban " in one]) == 250
    assert len([one for one in said if "] Unban " in one]) == 100
    assert said[-1] == "150 more events"


def test_what_is_no_ban_has_another_level_or_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="zmban.bans")
    ban = Ban(Network.parse(MANUAL), "smtp", 1.0, None, "log", dry=True)
    log_events([ban, Extended(ban._replace(dry=False))])
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", f"[smtp] Would ban {MANUAL}"),
        ("INFO", f"[smtp] Extend {MANUAL}"),
    ]


def test_an_unknown_log_format_is_a_usage_error(tmp_path: Path) -> None:
    done = zmban("--config", SHIPPED, "run", "--state", tmp_path / "state", "--log-format", "xml")
    assert done.returncode == 64
    assert "'text', 'json'" in done.stderr


@pytest.mark.kernel
def test_the_variable_chooses_the_format_and_an_error_at_the_start_is_json_too(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        command = [str(ZMBAN), "run", "--state", str(tmp_path / "other"), "--socket", str(running.socket)]
        variables = {**os.environ, "ZMBAN_LOG_FORMAT": "JSON"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=variables)
    assert done.returncode == 78
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["level"] == "critical" and str(running.socket) in last["message"]
