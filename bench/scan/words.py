"""Random parts of log lines: names, hosts, queue ids, addresses of legitimate clients."""

from __future__ import annotations

import random

_FIRST = "anna ben carla david eva felix greta hans ida jonas klara leo mia noah olga paul rosa tim uta walter".split()
_DOMAINS = "example.com example.org example.net mail.example shop.example news.example".split()
_HOSTS = "mail mx1 mx2 out relay smtp web news lists".split()


def pid(chance: random.Random) -> int:
    """A process id."""
    return chance.randint(1000, 99999)


def queue(chance: random.Random) -> str:
    """Postfix's short queue id."""
    return f"{chance.getrandbits(40):010X}"


def user(chance: random.Random) -> str:
    """A mail address."""
    return f"{chance.choice(_FIRST)}{chance.randint(1, 400)}@{chance.choice(_DOMAINS)}"


def host(chance: random.Random) -> str:
    """A host name with its address in brackets, as Postfix logs clients; one in ten is unknown."""
    at = f"198.{chance.randint(18, 19)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"
    if chance.random() < 0.1:
        return f"unknown[{at}]"
    return f"{chance.choice(_HOSTS)}{chance.randint(1, 90)}.{chance.choice(_DOMAINS)}[{at}]"


def client(chance: random.Random) -> str:
    """An address of a customer."""
    return f"198.{chance.randint(18, 19)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"
