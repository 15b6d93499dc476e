"""The role of a Zimbra container: all of Zimbra, or one of its servers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

ALL = "all"
MTA, MAILBOX, PROXY, LDAP, LOGGER = "mta", "mailbox", "proxy", "ldap", "logger"
_MAIN = (MTA, MAILBOX, PROXY)

_PROGRAMS = {
    MTA: re.compile(r"/(?:libexec|postfix/\S*)/master\b|/amavisd\b|/opendkim\b|/saslauthd\b"),
    PROXY: re.compile(r"/nginx\b|/memcached\b"),
    MAILBOX: re.compile(r"mailboxd\b|zextras\.mailbox|/mysqld\b|/mariadbd\b"),
    LDAP: re.compile(r"/slapd\b"),
}
_NAMES = {
    MTA: {"mta", "postfix", "smtp"},
    MAILBOX: {"mailbox", "mailboxd", "mailstore", "store", "appserver"},
    PROXY: {"proxy", "nginx"},
    LDAP: {"ldap", "openldap", "directory"},
    LOGGER: {"logger", "loghost", "logserver"},
}
_PORTS = {
    MTA: {25, 465, 587},
    MAILBOX: {7025, 7071, 7072, 7073, 7110, 7143, 7993, 7995, 8080, 8443},
    PROXY: {80, 110, 143, 443, 993, 995, 9071, 6071, 11211},
    LDAP: {389, 636},
}
# Ports that hardly any other software uses.
OWN_PORTS = frozenset({7025, 7047, 7071, 7072, 7073, 7110, 7143, 7780, 7993, 7995, 9071, 6071})
MAIL_PORTS = frozenset({25, 110, 143, 465, 587, 993, 995})


def role(running: Iterable[str], words: Collection[str], ports: Collection[int]) -> str:
    """The role according to running programs, else names, else ports; `mta+proxy` if it is both.

    Ports decide only if they point to a single role: a full Zimbra may publish only some of its ports.
    """
    text = "\n".join(running)
    found = [one for one, programs in _PROGRAMS.items() if programs.search(text)]
    found = found or [one for one, names in _NAMES.items() if names.intersection(words)]
    by_ports = [one for one, numbers in _PORTS.items() if numbers.intersection(ports)]
    found = found or (by_ports if len(by_ports) == 1 else [])
    main = [one for one in found if one in _MAIN]
    return "+".join(main or found) if found and len(main) < len(_MAIN) else ALL


def does(role: str, what: str) -> bool:
    """Whether a role includes `what`."""
    return role == ALL or what in role.split("+")
