"""Generated logs with an attack that no shipped filter matches, and what the miner makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bench.scan import access, mailbox, zimbra
from bench.scan.generate import DATE
from sidecar.detect.grammar import Trust
from sidecar.detect.grammar.addresses import address
from sidecar.fail2ban import jails
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.network import Network
from sidecar.review.patterns.hostile_lines import HostileLine, HostileLines
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.miner import PatternMiner

CONFIG = Path(__file__).parents[3] / "config"
NOW = datetime(2026, 1, 6, tzinfo=UTC).timestamp()
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
TRUST = Trust([Network.parse("10.0.0.0/8")])
_SHIPPED = jails.load(ConfigFiles([CONFIG])).jails


def shipped(log: str) -> list[JailSpec]:
    """The shipped jails that read a log with this name."""
    return [one for one in _SHIPPED.values() if any(path.glob.endswith(f"/{log}") for path in one.logpath)]


def outside(client: str) -> bool:
    """Whether a client is not of our own network."""
    found = address(client)
    return found is not None and not TRUST.trusts(found)


def reader(log: str) -> HostileLines:
    return HostileLines(shipped(log), log, UTC, TRUST, outside)


def found(log: str, lines: Iterable[str]) -> list[HostileLine]:
    """The hostile lines among these, as one block."""
    return reader(log).found("".join(f"{line}\n" for line in lines).encode(), NOW)


def mined(log: str, lines: Iterable[str]) -> PatternMiner:
    miner = PatternMiner()
    miner.add(found(log, lines))
    return miner


def patterns(log: str, lines: Iterable[str]) -> list[MinedPattern]:
    return mined(log, lines).patterns()


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.123456+00:00 "


def _bsd(at: datetime) -> str:
    return f"{at:%b} {at.day:2} {at:%H:%M:%S} "


def _log4j(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S},041 "


def _error(at: datetime) -> str:
    return f"{at:%Y/%m/%d %H:%M:%S} "


def _access(at: datetime) -> str:
    return f"{at:%d/%b/%Y:%H:%M:%S} +0000"


def _trap(c: random.Random, who: str) -> str:
    to = f"trap{c.randrange(999)}@example.com"
    return (
        f"mail postfix/smtpd[{c.randrange(9999)}]: NOQUEUE: reject: RCPT from host{c.randrange(9)}.example.net[{who}]: "
        f"554 5.7.1 <{to}>: Recipient address rejected: spam trap was hit; from=<a{c.randrange(99)}@example.org> "
        f"to=<{to}> proto=ESMTP helo=<h{c.randrange(99)}.example.org>"
    )


def _token(c: random.Random, who: str) -> str:
    return (
        f"WARN  [ImapSSLServer-{c.randrange(99)}] [ip=10.0.0.5;oip={who};via=10.0.0.5(nginx/1.24.0);cid={c.randrange(9999)};] "
        f"imap - authentication command refused: invalid mechanism X-{c.randrange(9999)}A of client"
    )


def _header(c: random.Random, who: str) -> str:
    return (
        f'[info] 11#11: *{c.randrange(99999)} client sent invalid "Content-Length" header while reading client request '
        f'headers, client: {who}, server: mail.example.com, request: "POST /{c.randrange(99)} HTTP/1.1", host: "x"'
    )


def _plain(c: random.Random, who: str) -> str:
    return f'[info] 11#11: *{c.randrange(99999)} client logged in, client: {who}:4011, server: 0.0.0.0:993, login: "bob"'


def _gateway(c: random.Random, who: str) -> str:
    return (
        f'{who}:{c.randrange(1024, 65535)} - - [{DATE}]  "GET https://mail.example.com/remote/fgt_lang?lang='
        f'{c.randrange(99)} HTTP/1.1" 404 100 "-" "Mozilla/5.0" "10.0.0.2:8443" "10.0.0.1:443"'
    )


class Attack(NamedTuple):
    """A kind of log with its ordinary lines, the lines of the new attack, and words of its pattern."""

    log: str
    stamp: Callable[[datetime], str]
    quiet: Callable[[random.Random], str]
    hostile: Callable[[random.Random, str], str]
    words: str


ATTACKS = {
    "postfix, BSD dates": Attack("zimbra.log", _bsd, zimbra.quiet, _trap, "spam trap was hit"),
    "postfix, ISO dates": Attack("zimbra.log", _iso, zimbra.quiet, _trap, "spam trap was hit"),
    "mailbox.log": Attack("mailbox.log", _log4j, mailbox.quiet, _token, "command refused: invalid mechanism"),
    "nginx.log": Attack("nginx.log", _error, lambda c: _plain(c, "192.0.2.8"), _header, "Content-Length"),
    "nginx.access.log": Attack("nginx.access.log", _access, access.quiet, _gateway, "/remote/fgt_lang"),
}


def attackers(number: int) -> list[str]:
    """Addresses, every fifth an IPv6 one."""
    return [f"2001:db8:0:{i:x}::7" if i % 5 == 4 else f"203.0.113.{i}" for i in range(number)]


def attacked(attack: Attack, hostile: int = 60, quiet: int = 2000) -> tuple[list[str], list[str]]:
    """The lines of a log with an attack by 20 clients mixed in, and the clients."""
    chance = random.Random(attack.log)
    clients = attackers(20)
    records = [(attack.quiet(chance), "") for _ in range(quiet)]
    for i in range(hostile):
        record = attack.hostile(chance, clients[i % len(clients)])
        records.insert(chance.randrange(len(records) + 1), (record, "x"))
    lines = []
    for i, (record, _) in enumerate(records):
        stamp = attack.stamp(BEGIN + timedelta(seconds=i))
        lines += (record.replace(DATE, stamp) if DATE in record else stamp + record).split("\n")
    return lines, clients
