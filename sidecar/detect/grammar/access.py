"""nginx.access.log and Jetty's access_log: `CLIENT - USER [date] "request" status bytes "referer" "agent"`.

nginx puts the client's port behind its address, without brackets around an IPv6 address; Jetty writes none.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.addresses import COMPOSE, bare, is_address
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, Said

# The date was taken out of its brackets. A quotation mark in a value is written \x22 (nginx) or \" (Jetty).
_LINE = re.compile(
    rf'\s*{COMPOSE}(\S+) - +(.*?) \[\] +"((?:[^"\\]|\\.)*)"(?: (\d{{3}}) (\d+|-))?'
    r'(?: "((?:[^"\\]|\\.)*)")?(?: "((?:[^"\\]|\\.)*)")?'
)
_NAMES = ("user", "request", "status", "bytes", "referer", "agent")


def with_port(text: str, _: Trust) -> Said:
    """nginx.access.log: an address with a port behind the last colon."""
    return _read(text, port=True)


def without_port(text: str, _: Trust) -> Said:
    """access_log: an address alone."""
    return _read(text, port=False)


def _read(text: str, *, port: bool) -> Said:
    found = _LINE.match(text)
    if found is None:
        return NOBODY
    address = _address(found[1], port=port)
    if address is None:
        return NOBODY
    values = zip(_NAMES, found.groups()[1:], strict=True)
    fields = {name: value for name, value in values if value is not None}
    user = fields["user"]
    return Said(address, None, "" if user == "-" else user, "http", fields=fields)


def _address(token: str, *, port: bool) -> str | None:
    """The address in the line's first word."""
    found = bare(token) if port or token.startswith("[") else token
    return found if token.startswith("[") or is_address(found) else None
