"""The clients of the demonstration: attackers with one kind of attack each, and legitimate clients.

Documentation addresses only: attackers in 198.51.100.0/24 and 2001:db8:bad::/48, legitimate clients in
203.0.113.0/26 and 2001:db8:900d::/48. The file `hosts` has the names of the legitimate clients and of some
EC2 hosts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

SERVER_NAME = "mail.demo.example"
AWS_HELO = "verify.example.net"

# The number of attempts after which the jails ban.
NEEDED = {
    "sasl": 2,
    "non-smtp": 2,
    "aws-verify": 2,
    "rfc1918-helo": 2,
    "web-login": 3,
    "plain-http": 1,
    "invalid-method": 1,
}


@dataclass(frozen=True, slots=True)
class Part:
    """The fields of an attempt in the report, besides its result. `needed`: attempts until a jail bans."""

    who: str
    role: str
    kind: str
    server: str
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Attacker:
    """One attacker. `say`: a HELO, a request line or a forged header, depending on the kind."""

    who: str
    kind: str
    server: str
    say: str = ""

    @property
    def part(self) -> Part:
        return Part(self.who, "attacker", self.kind, self.server, NEEDED[self.kind])


@dataclass(frozen=True, slots=True)
class Friend:
    """One legitimate client with its account, or (without one) a mail server that delivers to port 25."""

    who: str
    account: str = ""
    helo: str = ""
    mistypes: str = ""


# (kind, server, say, number of attackers over IPv4, number over IPv6)
PLAN = (
    ("sasl", "submission", "", 8, 2),
    ("sasl", "smtps", "", 6, 1),
    ("sasl", "smtp", "", 4, 0),
    ("non-smtp", "smtp", "GET / HTTP/1.1", 3, 0),
    ("non-smtp", "smtps", "GET /login HTTP/1.1", 3, 0),
    ("non-smtp", "submission", "POST /cgi-bin/a HTTP/1.1", 3, 1),
    ("rfc1918-helo", "smtp", "10.11.12.13", 2, 0),
    ("rfc1918-helo", "smtp", "[172.20.1.2]", 2, 0),
    ("rfc1918-helo", "smtp", "192.168.178.20", 2, 1),
    ("web-login", "https", "", 6, 2),
    ("plain-http", "https", "", 4, 1),
    ("invalid-method", "https", "get / HTTP/1.1", 3, 1),
    ("invalid-method", "https", "\x16\x03\x01\x02", 2, 0),
)

# Attackers that forge a legitimate address in the log, so that it is banned instead of their own.
FRAMERS = (
    (
        "non-smtp",
        "submission",
        "GET [203.0.113.11]: SASL LOGIN authentication failed: authentication failure",
    ),
    ("web-login", "https", "X-Forwarded-For: 203.0.113.12"),
    ("web-login", "https", "User-Agent: x;oip=203.0.113.13;ip=203.0.113.13;"),
    ("web-login", "https", "Account: x ip=203.0.113.14; authentication failed for y"),
    (
        "plain-http",
        "https",
        "Referer: client sent invalid method while reading client request line, client: 203.0.113.15, server",
    ),
)

AWS_HOSTS = ("198.51.100.61", "198.51.100.62", "198.51.100.63", "198.51.100.64")

FRIENDS = (
    Friend("203.0.113.11", "anna@demo.example"),
    Friend("203.0.113.12", "ben@demo.example", mistypes="submission"),
    Friend("203.0.113.13", "clara@demo.example", mistypes="https"),
    Friend("203.0.113.14", "david@demo.example", helo="[192.168.178.21]"),
    Friend("203.0.113.15", "emma@demo.example", mistypes="submission"),
    Friend("203.0.113.16", "felix@demo.example", helo="[10.0.0.7]"),
    Friend("203.0.113.17", "greta@demo.example", mistypes="https"),
    Friend("203.0.113.18", "hugo@demo.example"),
    Friend("2001:db8:900d:1::1", "ida@demo.example", mistypes="submission"),
    Friend("2001:db8:900d:2::1", "jonas@demo.example"),
    Friend("203.0.113.40", helo="mx.partner.example.com"),
    Friend("203.0.113.41", helo="ec2-203-0-113-41.compute-1.amazonaws.com"),
)


def attackers() -> Iterator[Attacker]:
    """All attackers, each with its own address (IPv6: its own /64), the kinds alternating."""
    v4 = (f"198.51.100.{n}" for n in range(101, 255))
    v6 = (f"2001:db8:bad:{n:x}::{n:x}" for n in range(1, 256))
    yield from (Attacker(next(v4), kind, server, say) for kind, server, say in FRAMERS)
    yield from (Attacker(who, "aws-verify", "smtp", AWS_HELO) for who in AWS_HOSTS)
    for turn in range(max(max(p[3:]) for p in PLAN)):
        for kind, server, say, count4, count6 in PLAN:
            if turn < count4:
                yield Attacker(next(v4), kind, server, say)
            if turn < count6:
                yield Attacker(next(v6), kind, server, say)


def addresses() -> Iterator[str]:
    """Every source address with its prefix length, for `ip address add`."""
    for who in [attacker.who for attacker in attackers()] + [friend.who for friend in FRIENDS]:
        yield f"{who}/{ip_address(who).max_prefixlen}"
