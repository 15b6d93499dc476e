"""Shared by the grammars: addresses as servers write them, and the line prefix of Docker."""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.network import Network

# The prefix of container output: `task@node | ` in Docker Swarm, the container name in Compose.
COMPOSE = r"(?:[\w.@-]+ +\| *)?"
# The interface of a link-local address.
ZONE = r"(?:%[\w.-]+)?"
_WRITTEN = re.compile(
    rf"\[([0-9A-Fa-f:.]+){ZONE}\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+|([0-9A-Fa-f:.]+)%[\w.-]+", re.ASCII
)


# The longest address, including its zone.
_LONGEST = 100


def address(token: str) -> Network | None:
    """The address in a token as servers and proxies write it: `203.0.113.7`, `203.0.113.7:40001`,
    `[2001:db8::5]:40001`, `fe80::1%eth0`; IPv4-mapped becomes IPv4. None for anything else. An IPv6 address
    without brackets has no port."""
    return _read(token) if len(token) <= _LONGEST else None


# Cached, since an attacker's address is on thousands of lines and parsed several times for each.
@lru_cache(4096)
def _read(token: str) -> Network | None:
    token = token.strip()
    written = _WRITTEN.fullmatch(token)
    try:
        found = Network.parse(written[written.lastindex or 0] if written else token)
    except ValueError:
        return None
    return found if found.single and "/" not in token else None


def canonical(token: str) -> str:
    """The address of a token in canonical form; a token that is no address is returned unchanged."""
    if ":" not in token and "[" not in token:
        return token
    found = address(token)
    return _text(found) if found else token


@lru_cache(4096)
def _text(network: Network) -> str:
    return network.address


def bare(token: str) -> str:
    """As `canonical`, but the token may have a port after its last colon, also without brackets."""
    if not token.startswith("["):
        before, colon, number = token.rpartition(":")
        if colon and number.isdecimal() and address(before):
            return canonical(before)
    return canonical(token)
