"""Names instead of addresses: in a log where names are used, and in what a jail ignores.

`0xc6336407` is how the system's resolver writes 198.51.100.7, with no name server asked.
"""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.app.protect.ignore_lists import IgnoreLists
from sidecar.fail2ban import jails
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host import resolver
from sidecar.host.resolver import BusyError, Resolver, addresses
from sidecar.network import Network
from tests.app.running import service, until
from tests.app.test_service import blackholes
from tests.netns import Namespace

NAMED, IGNORED = "0xc6336407", "0xc6336408"
JAIL = """
[names]
enabled = true
filter =
failregex = ^ door: knock from <HOST>$
usedns = yes
maxretry = 2
bantime = -1
logpath = {log}
ignoreip = {ignored} file:{file}
"""


@pytest.mark.kernel
def test_a_name_in_a_log_is_looked_up_and_its_address_banned(host: Namespace, tmp_path: Path) -> None:
    log, listed = tmp_path / "door.log", tmp_path / "offices"
    log.touch()
    listed.write_text("198.51.100.9\n")
    with service(tmp_path, JAIL.format(log=log, ignored=IGNORED, file=listed)) as zmban_:
        with log.open("a") as file:
            for who in (NAMED, NAMED, IGNORED, IGNORED, "198.51.100.9", "198.51.100.9", "no.such.invalid"):
                file.write(f"{datetime.now().strftime('%b %d %H:%M:%S')} door: knock from {who}\n")
        until(lambda: blackholes(host) == {"198.51.100.7"})
        until(lambda: zmban_.metric('zmban_refused_total{jail="names",reason="ignored"}') == 4)
        until(lambda: zmban_.metric('zmban_refused_total{jail="names",reason="unresolved"}') == 1)
        assert blackholes(host) == {"198.51.100.7"}


def test_the_system_s_resolver_is_asked_and_knows_nothing_of_nonsense() -> None:
    assert addresses(NAMED) == (Network.parse("198.51.100.7"),)
    assert addresses("no.such.invalid") == ()
    assert addresses("x" * 300) == ()


async def test_an_answer_is_kept_and_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def slow(name: str) -> tuple[Network, ...]:
        asked.append(name)
        return (Network.parse("198.51.100.7"),)

    monkeypatch.setattr(resolver, "addresses", slow)
    one = Resolver()
    assert one.known("a.example") is None
    found = await asyncio.gather(one.lookup("a.example"), one.lookup("a.example"))
    assert found[0] == found[1] == one.known("a.example")
    assert asked == ["a.example"]
    monkeypatch.setattr(resolver, "_MOST_WAITING", 0)
    with pytest.raises(BusyError):
        await one.lookup("b.example")
    one.close()


async def test_the_last_good_answer_stands_in_while_a_resolver_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "offices"
    listed.write_text("203.0.113.9\n")
    text = "[a]\nenabled=1\nfilter=\nfailregex=x <HOST>\nlogpath=/x\nignoreip=office.example file:"
    (tmp_path / "jail.local").write_text(f"{text}{listed}\n")
    monkeypatch.setattr(resolver, "addresses", lambda _: (Network.parse("203.0.113.7"),))
    names = Resolver()
    lists = IgnoreLists(jails.load(ConfigFiles([tmp_path])).jails.values(), names)
    expected = tuple(Network.parse(t) for t in ("203.0.113.9", "203.0.113.7"))
    assert (await lists.look())["a"].ignoreip == expected
    monkeypatch.setattr(resolver, "addresses", lambda _: ())
    monkeypatch.setattr(resolver, "_KEPT", 0.0)
    listed.unlink()
    assert (await lists.look())["a"].ignoreip == expected
    names.close()
