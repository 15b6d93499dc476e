"""What the grammars have in common: addresses as servers write them, and what Docker puts before a line."""

from __future__ import annotations

from sidecar.network import Network

# Docker's swarm puts `task@node | ` before what a container prints, Compose its name.
COMPOSE = r"(?:[\w.@-]+ +\| *)?"


def bare(token: str) -> str:
    """The address of a token that may have a port behind its last colon; what is no address, as it stands."""
    if token.startswith("["):
        return token[1:].partition("]")[0]
    before, colon, number = token.rpartition(":")
    return before if colon and number.isdecimal() and is_address(before) else token


def is_address(text: str) -> bool:
    """Whether this is one address and nothing else."""
    try:
        return Network.parse(text).single and "/" not in text
    except ValueError:
        return False
