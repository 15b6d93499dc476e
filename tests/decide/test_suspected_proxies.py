"""A proxy that is not configured is not banned by logs, is reported once with the line that configures it,
and counted."""

from __future__ import annotations

import time
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.app import daemon
from sidecar.app.bootstrap import build
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.configuration import loading
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect.grammar import Trust
from sidecar.detect.login_notes import Note
from sidecar.model import Ban, Batch, Refused
from sidecar.network import Network
from sidecar.settings import TrustSettings
from tests.app.plain import CONFIG
from tests.app.running import in_process, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import records, zmban
from tests.netns import Namespace

PROXY, OTHER = "192.168.20.50", "10.0.0.8"
REFUSED = 'zmban_refused_total{jail="web",reason="untrusted-proxy"}'
JAIL = """[web]
enabled = true
filter = zimbra-mail
logpath = {log}
maxretry = 2
findtime = 1h
zmban.count = logins
"""


def line(context: str, account: str, error: str = "invalid password", ago: float = 60.0) -> str:
    at = datetime.fromtimestamp(time.time() - ago).strftime("%Y-%m-%d %H:%M:%S,000")
    told = f" error=authentication failed for [{account}], {error};" if error else ""
    return f"{at} WARN  [ImapSSLServer-1] [{context}] security - cmd=Auth; account={account}; protocol=imap;{told}\n"


def relayed(client: str, account: str = "bob", error: str = "invalid password") -> str:
    # The address that nginx logs for itself is not the one that mailboxd sees.
    return line(f"ip={PROXY};oip={client};via=192.168.20.52(nginx/1.7.1);", account, error)


def suspects(*proxies: str, inside: tuple[str, ...] = ()) -> SuspectedProxies:
    named = TrustSettings(proxies=tuple(map(Network.parse, proxies)))
    return SuspectedProxies(Trust(named.proxies, map(Network.parse, inside)), named)


def refused(proxy: str, client: str | None = None) -> Refused:
    return Refused(proxy, "web", 1.0, "untrusted-proxy", client)


def test_the_line_that_is_told_is_toml_and_names_all_that_are_configured_or_suspected() -> None:
    found = suspects(OTHER, "fd00::/64")
    found.handle(Batch([refused(PROXY, EVIL), refused("fd01::5")]))
    for told in found.told():
        proxies = tomllib.loads(f"[trust]\n{told['proxies']}")["trust"]["proxies"]
        assert proxies == [OTHER, "fd00::/64", PROXY, "fd01::5"]
        assert TrustSettings(proxies=proxies).proxies
        assert str(told["proxies"]) in str(told["told"]) and str(told["zimbra"]) in str(told["told"])
    assert {told["zimbra"] for told in found.told()} == {
        f"zmprov mcf +zimbraMailTrustedIP {PROXY}", "zmprov mcf +zimbraMailTrustedIP fd01::5",
    }  # fmt: skip
    assert "under [trust] in zmban.toml" in found.sentence(Network.parse(PROXY))


def test_where_the_environment_names_the_proxies_the_line_is_for_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZMBAN_TRUST_PROXIES", OTHER)
    found = suspects(OTHER)
    found.handle(Batch([refused(PROXY)]))
    assert found.line() == f"ZMBAN_TRUST_PROXIES={OTHER},{PROXY}"
    assert f"in the environment: {found.line()}" in found.sentence(Network.parse(PROXY))


def test_each_is_found_once_whatever_comes_and_nobody_who_is_trusted() -> None:
    found, names = suspects(), list[tuple[str, bool]]()
    found.on_found(lambda network, new: names.append((network.address, new)))
    found.handle(
        Batch([refused(PROXY, EVIL)] * 5 + [Refused(OTHER, "web", 1.0, "masked"), refused("nonsense")])
    )
    assert names == [(PROXY, True)]
    (told,) = found.told()
    assert (told["lines"], told["clients"]) == (5, [EVIL])
    found.know(TrustSettings(), [Network.parse(PROXY)], (), ())
    assert (found.told(), len(found.networks())) == ([], 0)


def test_a_gateway_of_a_container_network_is_told_with_its_danger() -> None:
    found = suspects()
    found.know(TrustSettings(), (), (), [Network.parse("172.18.0.1")])
    found.handle(Batch([refused("172.18.0.1", EVIL), refused(PROXY)]))
    assert "userland-proxy" in found.sentence(Network.parse("172.18.0.1"))
    assert "userland-proxy" not in found.sentence(Network.parse(PROXY))


def test_logins_of_several_clients_through_one_peer_show_a_proxy_and_of_one_none() -> None:
    found = suspects()
    for _ in range(9):
        found.login(Note("203.0.113.1", "bob", 1.0, PROXY))
    assert found.told() == []
    found.login(Note("203.0.113.2", "carol", 2.0, PROXY))
    (told,) = found.told()
    assert (told["proxy"], told["logins"], told["clients"]) == (PROXY, 10, ["203.0.113.1", "203.0.113.2"])


@pytest.mark.parametrize(
    ("peer", "seconds", "suspected"),
    [
        (PROXY, 60.0, True),
        # One phone after another at one address of a provider, house or office.
        (PROXY, 7200.0, False),
        (EVIL, 60.0, False),
        ("127.0.0.1", 60.0, False),
    ],
)
def test_accounts_that_come_from_one_address_of_ours_all_at_once_are_behind_a_proxy_that_names_nobody(
    peer: str, seconds: float, suspected: bool
) -> None:
    found = suspects()
    for number in range(5):
        assert found.told() == []
        found.login(Note(peer, f"user{number}", number * seconds))
    assert bool(found.told()) == suspected
    if suspected:
        assert f"ignoreip = {peer}" in found.sentence(Network.parse(peer))


def test_however_many_peers_speak_for_others_memory_is_bounded() -> None:
    found = suspects()
    for number in range(3000):
        peer = Network.of(4, (10 << 24 | number).to_bytes(4, "big"), 32).address
        found.login(Note(EVIL, "bob", 1.0, peer))
    for number in range(3000):
        found.relayed(Network.of(4, (10 << 24 | number).to_bytes(4, "big"), 32).address, "", 1.0)
    assert len(found.told()) == 1000
    for number in range(500):
        found.relayed(PROXY if number else "10.0.0.1", f"203.0.113.{number % 250}", 1.0)
    assert len(found.told()) == 1000


@pytest.mark.kernel
def test_users_behind_a_proxy_that_nobody_named_mistype_and_the_proxy_is_not_banned(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "logs/audit.log"
    with service(tmp_path, JAIL.format(log=log), settings=f'[trust]\nproxies = ["{OTHER}"]\n') as running:
        users = "".join(relayed(f"198.51.100.{n}", f"user{n}") for n in range(1, 10))
        # A client on the Internet that claims to forward is itself blamed, and gets nobody else banned.
        forged = line(f"ip={EVIL};oip=198.51.100.99;via={PROXY}(nginx/1.7.1);", "bob") * 2
        log.write_text(users + forged, encoding="utf-8")
        until(lambda: blackholes(host) == {EVIL})
        assert running.metric(REFUSED) == 9
        assert running.metric("zmban_suspected_proxies") == 1
        (told,) = running.ask("status")[0]["suspected_proxies"]
        assert (told["proxy"], told["lines"]) == (PROXY, 9)
        assert told["proxies"] == f'proxies = ["{OTHER}", "{PROXY}"]'
        assert running.said().count(told["zimbra"]) == 1
        assert told["proxies"] in zmban("status", "--socket", running.socket).stdout.replace("\n", "")
        # mailboxd does not trust it: for a web login it logs only the proxy, after a restart too.
        for round_ in (1, 2):
            with log.open("a", encoding="utf-8") as file:
                file.write("".join(line(f"ip={PROXY};ua=x;", f"web{n}{round_}") for n in range(5)))
            wanted = 14 if round_ == 1 else 5
            until(lambda: running.metric(REFUSED) == wanted)  # noqa: B023
            assert blackholes(host) == {EVIL}
            running.stop()
            running.start()
        assert running.ask("explain", PROXY)[0]["verdict"] == "protected"
        # A manual ban is possible.
        (banned,) = running.ask("ban", PROXY, "--reason", "it is none")
        assert banned["result"] == "banned"
        until(lambda: blackholes(host) == {EVIL, PROXY})


@pytest.mark.kernel
async def test_a_ban_that_a_log_made_of_it_before_rests_from_the_first_line_that_shows_what_it_is(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path) as one:
        ban = Ban(Network.parse(PROXY), "smtp", time.time(), None, "log", "r", 3)
        one.ban(ban)
        await one.settled()
        assert blackholes(host) == {PROXY}
        one.bus.publish([refused(PROXY, EVIL)])
        await one.settled()
        assert blackholes(host) == set()
        assert len(one.table) == 1
        # A trusted proxy is no longer suspected, and cannot be banned.
        await one.protection.trust_also([Network.parse(PROXY)])
        assert (one.suspects.told(), blackholes(host)) == ([], set())


@pytest.mark.kernel
async def test_a_suspect_is_remembered_by_the_database_and_with_it_by_what_replaces_a_damaged_one(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        one.bus.publish([refused(PROXY, EVIL)])
        await one.commit_queue.commit()
        assert [network.address for network, _ in one.suspects.noted()] == [PROXY]
        assert len(one.engine.known_good.clients) == 0
    again = build(loading.load([str(tmp_path / "config")]), RuntimeOptions(tmp_path / "state", True))
    await daemon.startup(again)
    try:
        assert [told["proxy"] for told in again.memory.suspects.told()] == [PROXY]
        target = again.memory.engine.jails["smtp"].ban_target(PROXY)
        assert target == (Network.parse(PROXY), "untrusted-proxy")
    finally:
        await daemon.shutdown(again)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Three users who mistype behind a proxy that is not configured, three who do not, and an attacker."""
    log = tmp_path / "audit.log"
    (tmp_path / "jail.local").write_text(JAIL.format(log=log), encoding="utf-8")
    users = [relayed(f"198.51.100.{n}", f"user{n}", "" if n > 3 else "invalid password") for n in range(1, 7)]
    web = [line(f"ip={PROXY};ua=x;", f"web{n}", ago=90.0) for n in range(3)]
    attack = line(f"ip={EVIL};oip={PROXY};", "bob") * 2
    log.write_text("".join([*web, *users, attack]), encoding="utf-8")
    return tmp_path


def test_a_replay_bans_no_proxy_in_its_clients_place_and_says_in_its_summary_what_to_write(
    logs: Path,
) -> None:
    command = ["--config", CONFIG, "--config", logs, "replay", "--log", f"web={logs}/audit.log"]
    *decisions, summary = records(zmban(*command, "--jsonl"))
    found = [(r["event"], r["network"], r.get("reason")) for r in decisions]
    assert found == [("refused", f"{PROXY}/32", "untrusted-proxy")] * 6 + [("ban", f"{EVIL}/32", None)]
    assert [r["client"] for r in decisions[3:6]] == [f"198.51.100.{n}" for n in (1, 2, 3)]
    (told,) = summary["suspected_proxies"]
    assert (told["proxy"], told["logins"], told["proxies"]) == (PROXY, 3, f'proxies = ["{PROXY}"]')
    assert str(told["told"]) in zmban(*command).stdout
    (logs / "zmban.toml").write_text(f"[trust]\n{told['proxies']}\n", encoding="utf-8")
    *decisions, summary = records(zmban(*command, "--jsonl"))
    # Now each client is counted on its own, and web requests are hidden.
    assert [r["event"] for r in decisions if r.get("reason") != "masked"] == ["ban"]
    assert summary["suspected_proxies"] == []


def test_check_tells_of_a_proxy_that_the_logs_show_and_of_a_log_that_names_whom_a_client_likes(
    logs: Path,
) -> None:
    done = zmban("--config", CONFIG, "--config", logs, "check")
    assert f"{logs}/zmban.toml:1: warning: {PROXY} forwards for other clients" in done.stdout
    assert f'proxies = ["{PROXY}"]; and run as zimbra: zmprov mcf +zimbraMailTrustedIP {PROXY}' in done.stdout
    assert done.returncode == 0, done.stdout
    (logs / "zmban.toml").write_text(f'[trust]\nproxies = ["{PROXY}"]\n', encoding="utf-8")
    (logs / "jail.local").write_text(JAIL.format(log="/x/access_log*"), encoding="utf-8")
    done = zmban("--config", CONFIG, "--config", logs, "check")
    assert "forwards for other" not in done.stdout
    assert (
        f"{logs}/jail.local:4: warning: access_log names as client what X-Forwarded-For says" in done.stdout
    )
