"""`zmban report` on the command line, without a service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench.review.mail_log import MailLog, bsd
from tests.app.running import SHIPPED
from tests.cli.running import zmban
from tests.delivery.servers import hook

NOW = "1795780800"
NEW = "Nov 26 0{n}:10:00 mail postfix/smtpd[7]: warning: unknown[203.0.113.{n}]: weird handshake refused: {word}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [*MailLog(2, bsd).lines(500), *(NEW.format(n=n % 10, word=n) for n in range(50))]
    (tmp_path / "zimbra.log").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path / "zimbra.log"


def report(*arguments: object) -> subprocess.CompletedProcess[str]:
    return zmban("--config", SHIPPED, "report", "--now", NOW, *arguments)


def test_json_is_one_document_with_the_totals(log: Path) -> None:
    done = report("--log", log, "--json")
    totals = json.loads(done.stdout)["totals"]
    assert {"received", "delivered", "forwarded", "deferred", "bounced", "rejected"} <= totals.keys()
    assert (done.returncode, totals["received"] > 0) == (0, True)
    assert json.loads(report("--log", log, "--jsonl").stdout)["totals"] == totals


def test_text_goes_to_standard_output_and_a_page_to_its_file(log: Path, tmp_path: Path) -> None:
    text = report("--log", log).stdout
    assert "Message reject detail" in text
    done = report("--log", log, "--html", tmp_path / "r.html")
    assert done.stdout == ""
    page = (tmp_path / "r.html").read_text()
    assert "Message reject detail" in page and "<svg" in page and "<script" not in page
    both = report("--log", log, "--html", tmp_path / "r.html", "--text")
    assert both.stdout == text.replace(text.splitlines()[1], both.stdout.splitlines()[1])
    assert report("--log", log, "--html", "-").stdout.startswith("<!doctype html>")


def test_a_pattern_is_adopted_as_a_dry_run_jail_that_check_accepts(log: Path, tmp_path: Path) -> None:
    patterns = json.loads(report("--log", log, "--json").stdout)["patterns"]
    number = next(one["number"] for one in patterns if "weird handshake" in one["template"])
    done = report("--log", log, "--adopt", number, "--to", tmp_path / "new", "--name", "handshake")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new/filter.d/handshake.conf").exists()
    checked = zmban("--config", SHIPPED, "--config", tmp_path / "new", "check")
    assert "handshake" in checked.stdout
    assert not [line for line in checked.stdout.splitlines() if "filter.d/handshake.conf" in line]
    samples = [
        json.loads(line) for line in (tmp_path / "new/samples/handshake.jsonl").read_text().splitlines()
    ]
    for sample in samples:
        ran = zmban("regex", "--jsonl", sample["line"], tmp_path / "new/filter.d/handshake.conf")
        assert json.loads(ran.stdout)["matched"], ran.stdout
    again = zmban(
        "--config", SHIPPED, "--config", tmp_path / "new", "report", "--now", NOW, "--log", log, "--json"
    )
    assert not [p for p in json.loads(again.stdout)["patterns"] if "weird handshake" in p["template"]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--log", "/gone/zimbra.log"], 65, "/gone/zimbra.log"),
        (["--log", "LOG", "--day", "2026-13-01"], 64, "write YYYY-MM-DD"),
        (["--log", "LOG", "--adopt", "1"], 64, "--to DIR"),
        (["--log", "LOG", "--adopt", "999", "--to", "DIR"], 64, "new pattern"),
        (["--log", "LOG", "--html", "-", "--json"], 64, "standard output"),
        (["--log", "LOG", "--html", "/gone/r.html"], 64, "cannot be written"),
        (["--log", "LOG", "--mail"], 78, "[notify]"),
        (["--socket", "/gone/s", "--day", "today"], 64, "--now are for files"),
    ],
)
def test_a_wrong_call_says_what_to_do(
    log: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    places = {"LOG": str(log), "DIR": str(tmp_path / "new")}
    done = report(*(places.get(one, one) for one in arguments))
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_without_a_service_a_day_cannot_be_told(tmp_path: Path) -> None:
    done = zmban("report", "--socket", tmp_path / "none.sock")
    assert done.returncode == 69


def test_a_report_of_files_is_sent_to_the_targets_of_notify(log: Path, tmp_path: Path) -> None:
    with hook() as target:
        (tmp_path / "config").mkdir()
        (tmp_path / "config/zmban.toml").write_text(f'[notify]\nwebhooks = ["{target.url()}"]\n')
        done = zmban("--config", tmp_path / "config", "report", "--now", NOW, "--log", log, "--mail")
    assert done.stdout == "sent to: webhook 127.0.0.1\n"
    assert target.bodies[0]["event"] == "report"
    assert target.bodies[0]["items"][0]["totals"]["received"] > 0
