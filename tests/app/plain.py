"""A generated zimbra.log, and the bans that it must lead to, counted in a simple way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cli.running import records, zmban

CONFIG = Path(__file__).parents[2] / "config"
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
# The practice's figures for zimbra-smtp.
MAXRETRY, FINDTIME = 2, 86400


def quiet(chance: random.Random, host: str, number: int) -> str:
    """A harmless line as a mail server writes it all day."""
    pid, queue = number % 90000 + 1000, f"{chance.getrandbits(40):010X}"
    return chance.choice(
        (
            f"postfix/smtpd[{pid}]: connect from mail{number % 90}.example.org[{host}]",
            f"postfix/smtpd[{pid}]: disconnect from mail{number % 90}.example.org[{host}] ehlo=1 quit=1 commands=2",
            f"postfix/qmgr[{pid}]: {queue}: from=<a{number}@example.org>, size=4711, nrcpt=1 (queue active)",
            f"postfix/lmtp[{pid}]: {queue}: to=<u{number % 500}@example.com>, relay=mail.example.com[10.0.0.5]:7025, "
            "delay=0.5, delays=0.1/0/0.1/0.3, dsn=2.1.5, status=sent (250 2.1.5 Delivery OK)",
            f"postfix/cleanup[{pid}]: {queue}: message-id=<{number}@example.org>",
            f"saslauthd[{pid}]: auth_zimbra: u{number % 500}@example.com auth OK",
        )
    )


def hostile(chance: random.Random, host: str, number: int) -> str:
    """A line that counts against `host`."""
    return chance.choice(
        (
            f"postfix/submission/smtpd[{number % 90000}]: warning: unknown[{host}]: "
            "SASL LOGIN authentication failed: authentication failure",
            f"postfix/smtps/smtpd[{number % 90000}]: warning: host.example.net[{host}]: "
            "SASL PLAIN authentication failed: authentication failure",
            f"postfix/smtpd[{number % 90000}]: warning: non-SMTP command from unknown[{host}]: GET / HTTP/1.1",
        )
    )


def generate(lines: int, seed: int = 1) -> Iterator[tuple[datetime, str, str | None]]:
    """Time, text and the host that the line counts against: one line in 600 is hostile, over two days."""
    chance = random.Random(seed)
    hosts = [
        f"{chance.randint(11, 99)}.{chance.randint(0, 255)}.{n // 250}.{n % 250 + 1}" for n in range(5000)
    ]
    for number in range(lines):
        at = BEGIN + timedelta(seconds=number * 2 * 86400 // lines)
        host = chance.choice(hosts)
        bad = chance.random() < 1 / 600
        yield at, hostile(chance, host, number) if bad else quiet(chance, host, number), host if bad else None


def write(path: Path, lines: int) -> dict[str, float]:
    """Write the log. Returns the right bans: each network with the time of its first ban, counted in a simple
    way."""
    seen: dict[str, list[float]] = {}
    banned: dict[str, float] = {}
    with path.open("w", encoding="utf-8") as file:
        for at, text, host in generate(lines):
            file.write(f"{at:%b} {at.day:2} {at:%H:%M:%S} mail {text}\n")
            if host is None:
                continue
            now = at.timestamp()
            times = seen[host] = [t for t in seen.get(host, []) if t > now - FINDTIME] + [now]
            if len(times) >= MAXRETRY:
                banned.setdefault(f"{host}/32", now)
                seen[host] = []
    return banned


def replayed(path: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """The output of the program: each ban with its time, and the summary."""
    now = (BEGIN + timedelta(days=3)).timestamp()
    done = zmban(
        "--config",
        CONFIG,
        "replay",
        "--jsonl",
        "--timezone",
        "UTC",
        "--now",
        now,
        "--log",
        f"zimbra-smtp={path}",
    )
    assert done.returncode == 0, done.stderr
    *decisions, summary = records(done)
    return {d["network"]: d["at"] for d in decisions if d["event"] == "ban"}, summary
