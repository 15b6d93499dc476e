"""What the grammars have in common: addresses as servers write them, and what Docker puts before a line."""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.network import Network

# Docker's swarm puts `task@node | ` before what a container prints, Compose its name.
COMPOSE = r"(?:[\w.@-]+ +\| *)?"
# The interface that a link-local address belongs to.
ZONE = r"(?:%[\w.-]+)?"
_WRITTEN = re.compile(
    rf"\[([0-9A-Fa-f:.]+){ZONE}\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+|([0-9A-Fa-f:.]+)%[\w.-]+", re.ASCII
)


# Longer is no address, whatever its zone is called.
_LONGEST = 100


def address(token: str) -> Network | None:
    """The one address of a token, as servers and proxies write it: `203.0.113.7`, with a port behind it,
    `[2001:db8::5]:40001`, `fe80::1%eth0`; IPv4-mapped is IPv4. None for anything else. Without brackets the
    end of an IPv6 address is no port."""
    return _read(token) if len(token) <= _LONGEST else None


# An attacker's address stands on thousands of lines, and is asked for several times on each.
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
    """The address of a token in the form that everybody writes; what is no address, as it stands."""
    if ":" not in token and "[" not in token:
        return token
    found = address(token)
    return _text(found) if found else token


@lru_cache(4096)
def _text(network: Network) -> str:
    return network.address


def bare(token: str) -> str:
    """The address of a token that may have a port behind its last colon, without brackets too; what is no
    address, as it stands."""
    if not token.startswith("["):
        before, colon, number = token.rpartition(":")
        if colon and number.isdecimal() and address(before):
            return canonical(before)
    return canonical(token)
