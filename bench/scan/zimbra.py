"""Lines of /var/log/zimbra.log: Postfix and Zimbra's services, in normal operation and under attack."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from bench.scan.generate import Kind
from bench.scan.words import client, host, pid, queue, user

_Writer: TypeAlias = Callable[[random.Random], str]


def _connect(c: random.Random) -> str:
    return f"postfix/smtpd[{pid(c)}]: connect from {host(c)}"


def _disconnect(c: random.Random) -> str:
    return (
        f"postfix/smtpd[{pid(c)}]: disconnect from {host(c)} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 "
        "commands=7"
    )


def _client(c: random.Random) -> str:
    return f"postfix/smtpd[{pid(c)}]: {queue(c)}: client={host(c)}"


def _login(c: random.Random) -> str:
    return (
        f"postfix/submission/smtpd[{pid(c)}]: {queue(c)}: client={host(c)}, sasl_method=PLAIN, "
        f"sasl_username={user(c)}"
    )


def _filter(c: random.Random) -> str:
    return (
        f"postfix/smtpd[{pid(c)}]: NOQUEUE: filter: RCPT from {host(c)}: <{user(c)}>: Sender address triggers FILTER "
        f"smtp-amavis:[127.0.0.1]:10026; from=<{user(c)}> to=<{user(c)}> proto=ESMTP helo=<mail.example.org>"
    )


def _tls(c: random.Random) -> str:
    return (
        f"postfix/smtpd[{pid(c)}]: Anonymous TLS connection established from {host(c)}: TLSv1.3 with cipher "
        "TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
    )


def _cleanup(c: random.Random) -> str:
    return f"postfix/cleanup[{pid(c)}]: {queue(c)}: message-id=<{c.getrandbits(64):x}.{c.getrandbits(32)}@mail.example.org>"


def _active(c: random.Random) -> str:
    return (
        f"postfix/qmgr[{pid(c)}]: {queue(c)}: from=<{user(c)}>, size={c.randint(900, 9_000_000)}, nrcpt=1 "
        "(queue active)"
    )


def _removed(c: random.Random) -> str:
    return f"postfix/qmgr[{pid(c)}]: {queue(c)}: removed"


def _lmtp(c: random.Random) -> str:
    return (
        f"postfix/lmtp[{pid(c)}]: {queue(c)}: to=<{user(c)}>, relay=mail.example.com[10.0.0.5]:7025, delay=0.{c.randint(10, 99)}, "
        "delays=0.1/0/0.1/0.3, dsn=2.1.5, status=sent (250 2.1.5 Delivery OK)"
    )


def _smtp(c: random.Random) -> str:
    return (
        f"postfix/smtp[{pid(c)}]: {queue(c)}: to=<{user(c)}>, relay=127.0.0.1[127.0.0.1]:10032, conn_use=2, delay={c.randint(1, 9)}.2, "
        f"delays=0.1/0/0/{c.randint(1, 9)}.1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10030): "
        f"250 2.0.0 Ok: queued as {queue(c)})"
    )


def _amavis(c: random.Random) -> str:
    number = f"{pid(c):05}-{c.randint(1, 20):02}"
    return (
        f"amavis[{pid(c)}]: ({number}) Passed CLEAN {{RelayedInbound}}, [{client(c)}]:{c.randint(1024, 65535)} [{client(c)}] "
        f"<{user(c)}> -> <{user(c)}>, Queue-ID: {queue(c)}, Message-ID: <{c.getrandbits(64):x}@example.org>, "
        f"mail_id: {c.getrandbits(48):x}, Hits: -0.{c.randint(1, 9)}, size: {c.randint(900, 99999)}, {c.randint(100, 4000)} ms"
    )


def _saslauthd(c: random.Random) -> str:
    if c.random() < 0.2:
        return (
            f"saslauthd[{pid(c)}]: auth_zimbra: {user(c)} auth failed: authentication failed for [{user(c)}]"
        )
    return f"saslauthd[{pid(c)}]: auth_zimbra: {user(c)} auth OK"


def _opendkim(c: random.Random) -> str:
    return f"opendkim[{pid(c)}]: {queue(c)}: DKIM-Signature field added (s=20260101, d=example.com)"


def _anvil(c: random.Random) -> str:
    return f"postfix/anvil[{pid(c)}]: statistics: max connection rate 2/60s for (smtp:{client(c)}) at Nov 20 10:00:00"


def _pregreet(c: random.Random) -> str:
    return f"postfix/postscreen[{pid(c)}]: PREGREET {c.randint(9, 30)} after 0.1 from [{client(c)}]:{c.randint(1024, 65535)}: EHLO x\\r\\n"


def _postscreen(c: random.Random) -> str:
    return (
        f"postfix/postscreen[{pid(c)}]: CONNECT from [{client(c)}]:{c.randint(1024, 65535)} to [10.0.0.5]:25"
    )


def _reject(c: random.Random) -> str:
    to = user(c)
    return (
        f"postfix/smtpd[{pid(c)}]: NOQUEUE: reject: RCPT from {host(c)}: 550 5.1.1 <{to}>: Recipient address rejected: "
        f"example.com; from=<{user(c)}> to=<{to}> proto=ESMTP helo=<mx{c.randint(1, 90)}.example.org>"
    )


def _outage(c: random.Random) -> str:
    return (
        f"postfix/submission/smtpd[{pid(c)}]: warning: {host(c)}: SASL PLAIN authentication failed: "
        "Connection lost to authentication server"
    )


def _lost(c: random.Random) -> str:
    return f"postfix/smtpd[{pid(c)}]: warning: hostname {c.choice('abc')}.example.net does not resolve to address {client(c)}"


# Frequency of each in the log of a working day, per thousand lines. The rare ones are similar to a hit.
_QUIET: tuple[tuple[_Writer, int], ...] = (
    (_connect, 110),
    (_disconnect, 110),
    (_client, 90),
    (_login, 25),
    (_filter, 60),
    (_tls, 60),
    (_cleanup, 90),
    (_active, 100),
    (_removed, 90),
    (_lmtp, 50),
    (_smtp, 70),
    (_amavis, 50),
    (_saslauthd, 25),
    (_opendkim, 20),
    (_anvil, 10),
    (_pregreet, 10),
    (_postscreen, 18),
    (_reject, 8),
    (_outage, 1),
    (_lost, 3),
)
_WRITERS, _WEIGHTS = zip(*_QUIET, strict=True)


def quiet(chance: random.Random) -> str:
    """A legitimate line, beginning with the host's name."""
    writer: _Writer = chance.choices(_WRITERS, _WEIGHTS)[0]
    return "mail " + writer(chance)


_SERVICES = ("submission/smtpd", "smtps/smtpd", "smtpd")
_METHODS = ("LOGIN", "PLAIN", "CRAM-MD5", "DIGEST-MD5", "NTLM")
_REASONS = (
    "authentication failure",
    "UGFzc3dvcmQ6",
    "VXNlcm5hbWU6",
    "another step is needed in authentication",
    "authentication failed",
    "(reason unavailable), sasl_username=info",
    "bad protocol / cancel",
)
_COMMANDS = (
    "GET / HTTP/1.1",
    "POST /cgi-bin/ HTTP/1.1",
    "Host: example.com",
    "\\026\\003\\001",
    "SSH-2.0-Go",
)


def hostile(chance: random.Random, attacker: str) -> str:
    """A line that counts against `attacker`: mostly password guessing."""
    who = ("unknown", "dsl.example.net", "host7.example.net")[chance.randrange(3)]
    dice = chance.random()
    if dice < 0.8:
        return (
            f"mail postfix/{_SERVICES[int(dice * 1000) % 3]}[{pid(chance)}]: warning: {who}[{attacker}]: SASL "
            f"{chance.choice(_METHODS)} authentication failed: {chance.choice(_REASONS)}"
        )
    if dice < 0.95:
        return (
            f"mail postfix/{_SERVICES[int(dice * 1000) % 3]}[{pid(chance)}]: warning: non-SMTP command from "
            f"{who}[{attacker}]: {chance.choice(_COMMANDS)}"
        )
    return (
        f"mail postfix/postscreen[{pid(chance)}]: NON-SMTP COMMAND from [{attacker}]:{chance.randint(1024, 65535)} "
        f"after CONNECT: {chance.choice(_COMMANDS)}"
    )


def stamp(at: datetime) -> str:
    """The date in syslog's format, without a year."""
    return f"{at:%b} {at.day:2} {at:%H:%M:%S} "


QUIET = Kind("zimbra-quiet", "zimbra.log", stamp, quiet, hostile, 0.002)
ATTACK = Kind("zimbra-attack", "zimbra.log", stamp, quiet, hostile, 1.0, attackers=200_000)
