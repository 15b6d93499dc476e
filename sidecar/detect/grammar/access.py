"""nginx.access.log and Jetty's access_log: `CLIENT - USER [date] "request" status bytes "referer" "agent"`.

nginx puts the client's port behind its address, without brackets around an IPv6 address; Jetty writes none,
and in the client's place the X-Forwarded-For of the request, if it has one. nginx's own format ends with it.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.addresses import COMPOSE, address, bare, canonical
from sidecar.detect.grammar.trust import Blamed, Trust
from sidecar.model import NOBODY, Said

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# The date was taken out of its brackets. A quotation mark in a value is written \x22 (nginx) or \" (Jetty).
_LINE = re.compile(
    rf"\s*{COMPOSE}(\S+(?:(?<=,) \S+)*) - +(.*?) +\[\] +{_QUOTED}(?: (\d{{3}}) (\d+|-))?"
    rf"(?: {_QUOTED})?(?: {_QUOTED})?"
)
_NAMES = ("user", "request", "status", "bytes", "referer", "agent")
# Nothing but addresses, and nothing quoted behind it.
_FORWARDED = re.compile(r' "([0-9A-Fa-f:.\[\]]+(?:, ?[0-9A-Fa-f:.\[\]]+)*)"(?! ")')
_PORT = re.compile(r"[\].]\d*:\d+$")
# The first words of the PROXY protocol, 1 and 2, of a load balancer to a server that expects HTTP.
_BALANCED = re.compile(r"PROXY (?:UNKNOWN|TCP[46] ([0-9A-Fa-f:.]+) )|\\x00$")


def with_port(text: str, trust: Trust) -> Said:
    """nginx.access.log: an address with a port behind the last colon, and whom it forwards to us."""
    return _read(text, trust, port=True)


def without_port(text: str, trust: Trust) -> Said:
    """access_log: an address alone, or those of X-Forwarded-For."""
    return _read(text, trust, port=False)


def _read(text: str, trust: Trust, *, port: bool) -> Said:
    found = _LINE.match(text)
    if found is None:
        return NOBODY
    elements = found[1].split(",")
    if port:
        elements[-1] = bare(elements[-1])
        if forwarded := _FORWARDED.match(text, found.end()):
            elements = [*_forwarded(forwarded[1].split(","), trust), *elements]
    values = zip(_NAMES, found.groups()[1:], strict=True)
    fields = {name: value for name, value in values if value is not None}
    who = _blamed(elements, fields["request"], trust)
    if who.client is None and who.relay is None:
        return NOBODY
    account = "" if fields["user"] == "-" else fields["user"]
    return Said(who.client, None, account, "http", fields=fields, relay=who.relay, named=who.named)


def _forwarded(listed: list[str], trust: Trust) -> list[str]:
    """The X-Forwarded-For of a request. Older formats of Zimbra's nginx end with the server that it was
    passed on to: with its port, and on a network of ours."""
    found = [address(one) for one in listed if _PORT.search(one)]
    return [] if found and all(one is None or trust.inside(one) for one in found) else listed


def _blamed(elements: list[str], request: str, trust: Trust) -> Blamed:
    """Who stands in the first word, or for whom it speaks; a proxy of ours alone is itself the client."""
    peer = elements[-1].strip()
    if address(peer) is None:
        # A word in brackets is somebody's all the same, whom no route can refuse.
        return Blamed(peer[1:].partition("]")[0]) if peer.startswith("[") else Blamed()
    if words := _BALANCED.match(request):
        return trust.speaks(canonical(peer), words[1] or "")
    who = trust.blamed(elements)
    return Blamed(who.masked) if who.masked else who
