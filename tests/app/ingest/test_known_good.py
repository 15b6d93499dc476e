"""Known-good clients: phones with an old password differ from attackers, mail servers from scanners."""

from __future__ import annotations

import gzip
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.grammar import GRAMMARS
from sidecar.detect.grammar.login_lines import candidates
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, LineFacts, Match
from sidecar.network import Network
from sidecar.settings import GoodSettings
from sidecar.sources.sampling import samples
from tests.app.plain import CONFIG
from tests.app.running import in_process, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import records, zmban
from tests.decide.judged import events
from tests.netns import Namespace

OFFICE = "203.0.113.7"
AUDIT = "/opt/zimbra/log/audit.log"


def judge(**options: Any) -> DecisionEngine:
    jail = JailSpec(
        "mail", FilterSpec("f", ()), (), **{"maxretry": 3, "findtime": 600.0, "bantime": None} | options
    )
    return DecisionEngine([jail], Guard({}), BanRegister(), good=GoodSettings(patience=2, first_ban=900))


def failed(at: float, account: str = "bob", host: str = OFFICE) -> Match:
    return Match("mail", host, at, "line", AUDIT, LineFacts(host, None, account, "imap"))


def test_a_phone_with_an_old_password_gets_more_of_a_chance_and_a_short_first_ban() -> None:
    counting = judge(count="logins")
    counting.known_good.clients.login(Network.parse(OFFICE), "bob", 0.0)
    found = events(counting, *(failed(10.0 * n) for n in range(1, 7)))
    assert found == ["known-good"] * 5 + ["failure", "ban"]
    (ban,) = counting.register.table
    assert ban.until == 60.0 + 900
    # Further failures afterwards are banned as any other's.
    counting.register.expire(1000.0)
    assert events(counting, *(failed(1000.0 + n) for n in range(3)))[-1] == "ban"
    assert [ban.until for ban in counting.register.table] == [None]


def test_who_tries_another_account_from_there_is_an_attacker_like_any_other() -> None:
    counting = judge(count="logins")
    counting.known_good.clients.login(Network.parse(OFFICE), "bob", 0.0)
    assert events(counting, failed(1.0, "carol"), failed(2.0), failed(3.0)) == ["failure"] * 3 + ["ban"]


def test_a_jail_that_bans_one_good_client_after_the_other_is_braked_and_strangers_are_not_spared() -> None:
    counting = judge(maxretry=1)
    offices = [f"203.0.113.{n}" for n in range(1, 8)]
    for office in offices:
        counting.known_good.clients.login(Network.parse(office), "bob", 0.0)
    found = events(counting, *(failed(10.0, host=office) for office in offices))
    assert found.count("ban") == 5 and found.count("brake") == 2
    assert events(counting, failed(11.0, host=EVIL)) == ["failure", "ban"]
    counting.known_good.clients.login(Network.parse("203.0.113.9"), "bob", 0.0)
    assert events(counting, failed(700.0, host="203.0.113.9"))[-1] == "ban"


def test_a_mail_server_that_we_deal_with_is_spared_by_the_jails_for_mail_servers() -> None:
    counting = judge(spare_peers=True, maxretry=1)
    counting.known_good.mail_servers.login(Network.parse(OFFICE), "", 0.0)
    assert events(counting, failed(1.0)) == ["known-good"]
    assert events(counting, failed(1.0, host=EVIL)) == ["failure", "ban"]


ZIMBRA = GRAMMARS["zimbra"].logins


def test_of_a_long_block_only_the_beginning_is_looked_through() -> None:
    line = b"Jan  5 10:00:01 mail postfix/smtpd[1]: 3F2A1: client=h[203.0.113.7], sasl_method=PLAIN, sasl_username=b\n"
    assert len(list(candidates(line * 10, ZIMBRA))) == 10
    some = len(list(candidates(line * 10_000, ZIMBRA)))
    assert 100 < some < 1_000
    assert len(list(candidates(line * 10_000, ZIMBRA, everything=True))) == 10_000


JAIL = """[web]
enabled = true
filter = zimbra-mail
logpath = {log}
maxretry = 2
findtime = 3600
zmban.count = logins
"""


def stamp(ago: float) -> str:
    return datetime.fromtimestamp(time.time() - ago).strftime("%Y-%m-%d %H:%M:%S,000")


def audit(who: str, account: str, error: str = "", ago: float = 60.0) -> str:
    told = f" error=authentication failed for [{account}], {error};" if error else ""
    level = "WARN " if error else "INFO "
    return f"{stamp(ago)} {level} [ImapServer-1] [ip={who};] security - cmd=Auth; account={account}; protocol=imap;{told}\n"


@pytest.mark.kernel
def test_past_logs_are_asked_who_is_good_before_anybody_is_banned_and_it_is_kept(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "logs/audit.log"
    with service(tmp_path, JAIL.format(log=log)) as running:
        running.stop()
        for file in running.state.glob("*.sqlite3*"):
            file.unlink()
        with gzip.open(f"{log}.2026-01-05.gz", "wt", encoding="utf-8") as old:
            old.write(audit(OFFICE, "bob@example.com", ago=7 * 86400.0))
        wrong = "invalid password"
        lines = [audit(OFFICE, "bob@example.com", wrong), audit(EVIL, "bob@example.com", wrong)]
        log.write_text("".join(lines * 4), encoding="utf-8")
        running.start()
        until(lambda: blackholes(host) == {EVIL})
        assert running.metric('zmban_refused_total{jail="web",reason="known-good"}') == 4
        (*_, phone) = running.ask("status")[0]["spared"]
        assert (phone["client"], "bob@example.com" in phone["line"]) == (OFFICE, True)
        running.stop()
        running.start()
        assert running.ask("status")[0]["known_good"] == 1
        told = running.ask("explain", OFFICE)[0]
        assert told["verdict"] == "not banned"
        assert "known-good: recent successful login from there" in told["protected"]
        # Refused as too wide, with a preview.
        wide = zmban("ban", "203.0.0.0/8", "--reason", "x", "--socket", running.socket, "--jsonl")
        (preview,) = records(wide)
        assert preview["covers"]["good_logins"] == 1


def test_a_last_line_without_its_newline_speaks_too(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"one\ntwo")
    assert b"".join(samples(str(log))) == b"one\ntwo"


@pytest.mark.parametrize("padding", [0, 17 << 20], ids=["a short log", "a long one"])
def test_a_replay_knows_who_is_good_before_it_bans_anybody(tmp_path: Path, padding: int) -> None:
    log = tmp_path / "audit.log"
    (tmp_path / "jail.local").write_text(JAIL.format(log=log), encoding="utf-8")
    wrong = [audit(who, "bob@example.com", "invalid password", 600.0) for who in (OFFICE, EVIL)]
    # The login of the office is the last line of a short log; a long log is read in parts.
    noise = "".join(audit(EVIL, "x", "other", 300.0) for _ in range(padding // 150))
    text = "".join(wrong * 4) + audit(OFFICE, "bob@example.com", ago=60.0)
    log.write_text(text + noise, encoding="utf-8")
    done = zmban("--config", CONFIG, "--config", tmp_path, "replay", "--jsonl", "--log", f"web={log}")
    assert done.returncode == 0, done.stderr
    decisions = [(r["event"], r.get("network"), r.get("reason")) for r in records(done)]
    assert ("ban", f"{EVIL}/32", None) in decisions
    assert decisions.count(("refused", f"{OFFICE}/32", "known-good")) == 4


@pytest.mark.kernel
async def test_the_help_desk_finds_a_ban_by_the_account(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=False) as one:
        lines = ("... authentication failed for [bob@example.com], invalid password",)
        ban = Ban(Network.parse(EVIL), "smtp", 1000.0, None, "log", "r", 3, lines)
        one.ban(ban)

        async def explain(subject: str) -> Any:
            return await one.tell("explain", subject=subject)

        assert (await explain("bob@example.com"))["bans"][0]["network"] == f"{EVIL}/32"
        assert (await explain("ob@example.com"))["verdict"] == "not concerned"
        assert (await explain(EVIL))["verdict"] == "banned"
        assert (await explain("198.51.100.1"))["verdict"] == "not banned"
        assert (await explain("127.0.0.1"))["verdict"] == "protected"
