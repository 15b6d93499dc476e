"""Lines of nginx.access.log, and a filter of the benchmark for them."""

from __future__ import annotations

import random
from datetime import datetime

from bench.scan.generate import DATE, Kind
from bench.scan.words import client

# nginx begins a line with address and port; the date is removed before matching.
FILTER = r"""[Definition]
failregex = ^<HOST>:\d+ - \S+ \[\]  "(?:GET|POST) https://[^/\s"]+/(?:wp-login\.php|xmlrpc\.php|phpmyadmin/index\.php)\S* HTTP/[\d.]+" 404
ignoreregex =
"""

_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
    "ZmCalendarSync/1.0",
)
_PATHS = (
    "/service/soap/SearchRequest",
    "/service/soap/NoOpRequest",
    "/Microsoft-Server-ActiveSync?Cmd=Ping",
    "/home/{n}/Calendar",
    "/js/Startup1_1_all.js?v={n}",
    "/dav/{n}/Contacts/",
    "/wp-content/{n}.png",
)
_SCANNED = ("wp-login.php", "xmlrpc.php", "phpmyadmin/index.php?x={n}")


def _line(c: random.Random, who: str, request: str, status: int) -> str:
    return (
        f'{who}:{c.randint(1024, 65535)} - - [{DATE}]  "{request} HTTP/1.1" {status} {c.randint(100, 99999)} "-" '
        f'"{c.choice(_AGENTS)}" "10.0.0.5:8443" "10.0.0.1:443"'
    )


def quiet(chance: random.Random) -> str:
    """A legitimate request."""
    path = chance.choice(_PATHS).format(n=chance.getrandbits(24))
    status = chance.choices((200, 304, 404, 401), (80, 15, 3, 2))[0]
    return _line(
        chance, client(chance), f"{chance.choice(('GET', 'POST'))} https://mail.example.com{path}", status
    )


def hostile(chance: random.Random, attacker: str) -> str:
    """A request of a scanner."""
    path = chance.choice(_SCANNED).format(n=chance.getrandbits(24))
    return _line(chance, attacker, f"{chance.choice(('GET', 'POST'))} https://mail.example.com/{path}", 404)


def stamp(at: datetime) -> str:
    """The date in nginx's format."""
    return f"{at:%d/%b/%Y:%H:%M:%S} +0000"


ACCESS = Kind("access", "nginx.access.log", stamp, quiet, hostile, 0.002)
