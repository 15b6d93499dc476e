"""check, regex and replay: commands that need no service and do not depend on the host."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.app.running import until
from tests.cli.running import ZMBAN, records, zmban

CONFIG = Path(__file__).parents[2] / "config"
NOW = datetime(2026, 1, 6, tzinfo=UTC).timestamp()
SASL = "Jan  5 10:00:{:02} mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [
        SASL.format(1, "203.0.113.7"),
        "noise",
        SASL.format(2, "203.0.113.8"),
        SASL.format(3, "203.0.113.7"),
    ]
    lines += [SASL.format(4, "127.0.0.1"), SASL.format(5, "999.1.1.1"), SASL.format(6, "203.0.113.7")]
    path = tmp_path / "zimbra.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("at", "banned"), [("10:00:11", True), ("10:00:31", False)])
def test_replay_believes_one_line_of_mailbox_log_that_a_request_confirms(
    tmp_path: Path, at: str, banned: bool
) -> None:
    (tmp_path / "jail.local").write_text("[zimbra-mail]\nmaxretry = 1\n", encoding="utf-8")
    mailbox, access = tmp_path / "mailbox.log", tmp_path / "nginx.access.log"
    said = "SoapEngine - handler exception: authentication failed for [bob@example.com], invalid password"
    thread = "[qtp1-20:https://mail.example.com/service/soap/AuthRequest] [oip=203.0.113.7;ua=x;]"
    mailbox.write_text(f"2026-01-05 10:00:11,001 INFO  {thread} {said}\n", encoding="utf-8")
    request = '"POST https://mail.example.com/service/soap/AuthRequest HTTP/1.1" 500 100 "-" "x" "-" "-"'
    access.write_text(f"203.0.113.7:4000 - - [05/Jan/2026:{at} +0000]  {request}\n", encoding="utf-8")
    options = ["--jsonl", "--now", NOW, "--timezone", "UTC"]
    logs = ["--log", f"zimbra-mail={mailbox}", "--log", f"zimbra-request={access}"]
    done = zmban("--config", CONFIG, "--config", tmp_path, "replay", *options, *logs)
    assert done.returncode == 0, done.stderr
    assert ("ban" in [record["event"] for record in records(done)]) == banned


def test_replay_prints_every_decision_and_one_summary(log: Path) -> None:
    done = zmban(
        "--config",
        CONFIG,
        "replay",
        "--jsonl",
        "--now",
        NOW,
        "--timezone",
        "UTC",
        "--log",
        f"zimbra-smtp={log}",
    )
    assert done.returncode == 0, done.stderr
    *decisions, summary = records(done)
    ban = decisions[0]
    assert ban["event"] == "ban"
    assert (ban["network"], ban["jail"], ban["failures"]) == ("203.0.113.7/32", "zimbra-smtp", 2)
    assert ban["at"] == datetime(2026, 1, 5, 10, 0, 3, tzinfo=UTC).timestamp()
    assert ban["until"] == ban["at"] + 360000000
    assert ban["evidence"] == [SASL.format(1, "203.0.113.7"), SASL.format(3, "203.0.113.7")]
    assert [(d["event"], d.get("reason")) for d in decisions[1:]] == [
        ("refused", "reserved"),
        ("refused", "invalid-address"),
    ]
    wanted = {"event": "summary", "lines": 7, "bytes": log.stat().st_size, "matches": 6, "failures": 4}
    assert summary.items() >= {**wanted, "bans": 1, "refused": 2}.items()


def test_replay_reads_a_log_in_the_zone_that_it_is_told(log: Path) -> None:
    done = zmban(
        "--config",
        CONFIG,
        "replay",
        "--jsonl",
        "--timezone",
        "Asia/Kolkata",
        "--now",
        NOW,
        "--log",
        f"zimbra-smtp={log}",
    )
    assert records(done)[0]["at"] == datetime(2026, 1, 5, 4, 30, 3, tzinfo=UTC).timestamp()


def test_replay_reports_who_is_framed_and_bans_nobody(tmp_path: Path) -> None:
    (tmp_path / "filter.d").mkdir()
    wiki = "[Definition]\nfailregex = .*ip=<HOST>;.*authentication failed for .*$\n"
    (tmp_path / "filter.d/web.conf").write_text(wiki, encoding="utf-8")
    log = tmp_path / "mailbox.log"
    (tmp_path / "jail.local").write_text(
        f"[web]\nenabled=true\nfilter=web\nlogpath={log}\nmaxretry=1\n", encoding="utf-8"
    )
    forged = (
        "2026-01-05 10:00:00,001 INFO  [qtp1:https://m/service/soap] [oip=203.0.113.7;ua=x;;oip=198.51.100.99;; y;] "
        "SoapEngine - handler exception: authentication failed for [bob], account not found\n"
    )
    log.write_text(forged, encoding="utf-8")
    refused, summary = records(zmban("--config", tmp_path, "replay", "--jsonl", "--now", NOW))
    assert refused["event"] == "refused"
    assert (refused["network"], refused["reason"], refused["client"]) == (
        "198.51.100.99/32",
        "framed",
        "203.0.113.7",
    )
    assert summary["bans"] == 0


def test_three_failed_web_logins_ban_by_their_two_lines_each(tmp_path: Path) -> None:
    log = tmp_path / "mailbox.log"
    head = (
        "2026-01-05 10:00:{:02},041 INFO  [qtp1:https://m/service/soap/AuthRequest] [oip=203.0.113.7;ua=x;] "
    )
    says = (
        "account - Error occurred during authentication: authentication failed for [bob]. Reason: invalid password.",
        "SoapEngine - handler exception: authentication failed for [bob], invalid password",
    )
    lines = [head.format(second) + say for second in (1, 2, 3) for say in says]
    for logins, bans in ((2, 0), (3, 1)):
        log.write_text("\n".join(lines[: 2 * logins]) + "\n", encoding="utf-8")
        done = zmban("--config", CONFIG, "replay", "--jsonl", "--now", NOW, "--log", f"zimbra-mail={log}")
        assert records(done)[-1]["bans"] == bans


def test_regex_gives_one_object_per_line_in_order(log: Path) -> None:
    found = records(
        zmban("--config", CONFIG, "regex", "--jsonl", "--now", NOW, "--timezone", "UTC", log, "zimbra-smtp")
    )
    assert [r["line"] for r in found] == list(range(1, 8))
    assert [r["host"] for r in found][:3] == ["203.0.113.7", None, "203.0.113.8"]
    assert found[0]["time"] == datetime(2026, 1, 5, 10, 0, 1, tzinfo=UTC).timestamp()
    assert found[0].keys() == {"line", "matched", "ignored", "host", "time", "groups"}


def test_regex_takes_a_regex_an_ignoreregex_and_a_line_itself() -> None:
    (one,) = records(
        zmban("regex", "--jsonl", "2026-01-05 10:00:00 bad from 203.0.113.7", "bad from <HOST>$")
    )
    assert (one["matched"], one["host"]) == (True, "203.0.113.7")
    (one,) = records(
        zmban("regex", "--jsonl", "2026-01-05 10:00:00 bad from 203.0.113.7", "bad from <HOST>$", "bad")
    )
    assert (one["matched"], one["ignored"]) == (False, True)


def test_regex_reads_undated_lines_from_standard_input() -> None:
    done = zmban(
        "regex",
        "--jsonl",
        "--undated",
        "--now",
        5,
        "-",
        "bad <F-USER>\\w+</F-USER> <HOST>",
        stdin="bad bob 203.0.113.7\nx\n",
    )
    first, second = records(done)
    assert (first["time"], first["groups"]["user"]) == (5, "bob")
    assert second["matched"] is False


def test_regex_prints_a_report_for_people_without_control_codes(log: Path) -> None:
    log.write_text(SASL.format(1, "203.0.113.7") + "\n\x1b[31mred\n", encoding="utf-8")
    done = zmban("--config", CONFIG, "regex", log, "zimbra-smtp", "--print-all-matched")
    assert "Lines: 2 lines, 0 ignored, 1 matched, 1 missed" in done.stdout
    assert "\x1b" not in done.stdout


def test_check_names_every_fault_with_file_and_line_and_the_good_jails_stand(tmp_path: Path) -> None:
    (tmp_path / "jail.local").write_text(
        "[bad]\nenabled = true\nfilter = gone\nlogpath = /x.log\nmaxretry = none\n"
        "[good]\nenabled = true\nfilter = f\nlogpath = /x.log\nport = 25\n",
        encoding="utf-8",
    )
    (tmp_path / "filter.d").mkdir()
    (tmp_path / "filter.d/f.conf").write_text(
        "[Definition]\nfailregex = ^ bad thing from <HOST>$\n", encoding="utf-8"
    )
    done = zmban("--config", tmp_path, "check")
    assert done.returncode == 78
    assert f"{tmp_path}/jail.local:3: filter gone not found" in done.stdout
    assert f"{tmp_path}/jail.local:5: maxretry" in done.stdout
    assert f"{tmp_path}/jail.local:10: warning: a route blocks all ports" in done.stdout
    assert f"{tmp_path}/jail.local:9: warning: /x.log does not exist" in done.stdout
    assert "1 jail can run (good); 1 cannot" in done.stdout


def test_check_is_content_with_what_is_shipped() -> None:
    done = zmban("--config", CONFIG, "check", "--json")
    assert done.returncode == 0
    faults = json.loads(done.stdout)
    assert all(fault["warning"] for fault in faults)
    assert not [fault for fault in faults if "slow" in fault["message"]]


@pytest.mark.parametrize(
    ("count", "told"), [("", True), ("zmban.count = logins\n", False), ("zmban.count = lines\n", False)]
)
def test_check_tells_of_a_maxretry_that_was_meant_for_lines(tmp_path: Path, count: str, told: bool) -> None:
    (tmp_path / "jail.local").write_text(f"[zimbra-mail]\nmaxretry = 5\n{count}", encoding="utf-8")
    done = zmban("--config", CONFIG, "--config", tmp_path, "check")
    assert (f"{tmp_path}/jail.local:2: warning: maxretry = 5 counts logins" in done.stdout) == told


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 64),
        (["regex", "x"], 64),
        (["regex", "--nonsense", "x", "y"], 64),
        (["--config", "/nowhere", "check"], 78),
        (["replay", "--log", "x"], 64),
        (["regex", "x", "nosuchfilter"], 78),
        (["regex", "x", "(<HOST>"], 78),
        (["status", "--socket", "/nowhere.sock"], 69),
        (["ban", "203.0.113.7", "--reason", "x", "--socket", "/nowhere.sock"], 69),
        (["ban", "203.0.113.7", "--socket", "/nowhere.sock"], 64),
        (["ban", "203.0.113.7", "--reason", "x", "--for", "soon"], 64),
    ],
)
def test_exit_codes_tell_what_was_wrong(arguments: list[str], code: int) -> None:
    done = zmban(*arguments)
    assert done.returncode == code
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_settings_name_file_and_key_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zmban.toml").write_text('[trust]\nproxies = ["10.0.0.0/40"]\n', encoding="utf-8")
    done = zmban("--config", tmp_path, "check")
    assert done.returncode == 78
    assert f"{tmp_path}/zmban.toml:2: [trust] proxies" in done.stdout
    monkeypatch.setenv("ZMBAN_TRUST_PROXIES", "10.0.0.0/8,2001:db8::/32")
    assert "proxies" not in zmban("--config", tmp_path, "check").stdout
    monkeypatch.setenv("ZMBAN_KERNEL_TABLE", "none")
    assert "ZMBAN_KERNEL_TABLE" in zmban("--config", tmp_path, "check").stdout


def test_check_names_a_fail2ban_that_still_runs(tmp_path: Path) -> None:
    process = subprocess.Popen(["bash", "-c", "exec -a fail2ban-server sleep 60"])
    try:
        until(lambda: b"fail2ban-server" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        done = zmban("--config", CONFIG, "check")
        assert f"/proc/{process.pid}:1: warning: Fail2Ban is running too" in done.stdout
        assert done.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_check_tells_a_log_that_may_not_be_read_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    for path in (tmp_path / "closed/a.log", tmp_path / "b.log"):
        path.touch()
        path.chmod(0o600)
        shutil.chown(path, 65534)
    (tmp_path / "closed").chmod(0o700)
    shutil.chown(tmp_path / "closed", 65534)
    shutil.copytree(CONFIG / "filter.d", tmp_path / "filter.d")
    logs = f"{tmp_path}/closed/*.log\n  {tmp_path}/b.log"
    (tmp_path / "jail.local").write_text(f"[zimbra-smtp]\nenabled=1\nlogpath={logs}\n", encoding="utf-8")
    poor = "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"
    command = ["setpriv", *poor, str(ZMBAN), "--config", str(tmp_path), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"jail.local:3: {tmp_path}/closed is not readable" in done.stdout
    assert f"jail.local:3: {tmp_path}/b.log is not readable" in done.stdout
    assert done.returncode == 78


def replayed(tmp_path: Path, text: str, jail: str, *options: object) -> list[dict[str, object]]:
    log = tmp_path / "zimbra.log"
    log.write_text(text, encoding="utf-8")
    (tmp_path / "jail.local").write_text(f"[smtp]\nenabled=1\nfilter=zimbra-smtp\n{jail}\n", encoding="utf-8")
    if not (tmp_path / "filter.d").exists():
        shutil.copytree(CONFIG / "filter.d", tmp_path / "filter.d")
    done = zmban("--config", tmp_path, "replay", "--jsonl", "--timezone", "UTC", "--now", NOW, *options)
    assert done.returncode == 0, done.stderr
    return records(done)


def test_one_line_counts_once_though_two_names_lead_to_its_log(tmp_path: Path) -> None:
    (tmp_path / "link.log").symlink_to(tmp_path / "zimbra.log")
    jail = f"maxretry=2\nlogpath={tmp_path}/zimbra.log\n  {tmp_path}/z*.log\n  {tmp_path}/link.log"
    found = replayed(tmp_path, SASL.format(1, "203.0.113.7") + "\n", jail)
    assert [(r["event"], r.get("failures")) for r in found] == [("summary", 1)]


def test_a_line_that_is_refused_does_not_move_the_clock_of_a_replay(tmp_path: Path) -> None:
    lines = [SASL.format(1, "203.0.113.7"), SASL.format(2, "203.0.113.7")]
    lines += [
        SASL.format(3, "203.0.113.9") + "x" * 70000,
        SASL.format(4, "203.0.113.7"),
        SASL.format(5, "203.0.113.7"),
    ]
    jail = f"maxretry=2\nbantime=1h\nlogpath={tmp_path}/zimbra.log"
    found = replayed(tmp_path, "\n".join(lines) + "\n", jail)
    assert [r["event"] for r in found] == ["ban", "refused", "extend", "summary"]
    assert found[1]["at"] == found[0]["at"]


def test_replay_takes_a_posix_time_zone(tmp_path: Path) -> None:
    jail = f"maxretry=1\nlogpath={tmp_path}/zimbra.log"
    found = replayed(
        tmp_path, SASL.format(1, "203.0.113.7") + "\n", jail, "--timezone", "CET-1CEST,M3.5.0,M10.5.0/3"
    )
    assert found[0]["at"] == datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC).timestamp()


def test_check_warns_of_a_regex_that_a_client_s_text_may_imitate(tmp_path: Path) -> None:
    (tmp_path / "filter.d").mkdir()
    loose = "[Definition]\nfailregex = client\\s+sent\\s+invalid\\s+method.*client:\\s+<HOST>, server\n"
    (tmp_path / "filter.d/n.conf").write_text(loose, encoding="utf-8")
    (tmp_path / "jail.local").write_text("[n]\nenabled=1\nlogpath=/x/app.log\n", encoding="utf-8")
    assert f"{tmp_path}/filter.d/n.conf:2: warning:" in zmban("--config", tmp_path, "check").stdout
    (tmp_path / "filter.d/n.conf").write_text(loose + "zmban.grammar = nonsense\n", encoding="utf-8")
    done = zmban("--config", tmp_path, "check")
    assert done.returncode == 78
    assert "zmban.grammar = 'nonsense' is not known; there are: zimbra, mailbox" in done.stdout


def test_a_hostile_line_costs_no_more_than_its_length(tmp_path: Path) -> None:
    # Each of these once took 0.1 s or more; a thousand of them must not hang the test.
    row = (". " * 4000 + "authentication failed for [")[:16000]
    text = "\n".join([row] * 500 + [SASL.format(1, "203.0.113.7")]) + "\n"
    found = replayed(tmp_path, text, f"maxretry=1\nlogpath={tmp_path}/zimbra.log")
    assert found[0]["event"] == "ban"


def test_replay_bans_no_network_that_is_wider_than_the_settings_allow(tmp_path: Path) -> None:
    (tmp_path / "filter.d").mkdir()
    bad = "[Definition]\nfailregex = ^ bad thing from <SUBNET>$\n"
    (tmp_path / "filter.d/bad.conf").write_text(bad, encoding="utf-8")
    jail = f"[bad]\nenabled=1\nmaxretry=1\nlogpath={tmp_path}/app.log\n"
    (tmp_path / "jail.local").write_text(jail, encoding="utf-8")
    line = "2026-01-05 10:00:00 bad thing from 203.0.112.0/20\n"
    (tmp_path / "app.log").write_text(line, encoding="utf-8")
    for widest, event in (("16", "ban"), ("24", "refused")):
        (tmp_path / "zmban.toml").write_text(f"[kernel]\nwidest_ipv4 = {widest}\n", encoding="utf-8")
        first, *_ = records(zmban("--config", tmp_path, "replay", "--jsonl", "--now", NOW))
        assert (first["event"], first["network"]) == (event, "203.0.112.0/20")
    assert first["reason"] == "too-wide"


def test_replay_gives_the_same_ban_times_each_time(tmp_path: Path) -> None:
    jail = f"maxretry=1\nbantime=1\nbantime.increment=1\nbantime.rndtime=1000\nlogpath={tmp_path}/zimbra.log"
    lines = [SASL.format(second, "203.0.113.7") for second in (1, 5)]
    found = replayed(tmp_path, "\n".join(lines) + "\n", jail)
    bans = [r for r in found if r["event"] == "ban"]
    # The second ban takes twice as long, and half of the random part.
    assert [float(str(r["until"])) - float(str(r["at"])) for r in bans] == [1, 2 + 500]
