"""nginx.access.log and Jetty's access_log: `CLIENT - USER [date] "request" status bytes "referer" "agent"`.

nginx appends the client's port to its address, without brackets around an IPv6 address. Jetty writes no port,
and replaces the client by the X-Forwarded-For of the request, if it has one. Custom formats of nginx have
X-Forwarded-For in any field after the user agent; Zimbra's has `"upstream" "server:port"` there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.detect.grammar.addresses import COMPOSE, address, bare, canonical
from sidecar.detect.grammar.trust import Blamed, Trust
from sidecar.model import NOBODY, LineFacts
from sidecar.network import PrefixSet

# Unrolled and possessive, because an alternative for each character is slow.
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'

# The date is already removed from its brackets. A quotation mark in a value is \x22 (nginx) or \" (Jetty).
_LINE = re.compile(
    rf"\s*{COMPOSE}(\S+(?:(?<=,) \S+)*) - +(.*?) +\[\] +{_QUOTED}(?: (\d{{3}}) (\d+|-))?"
    rf"(?: {_QUOTED})?(?: {_QUOTED})?"
)
_NAMES = ("user", "request", "status", "bytes", "referer", "agent")
# A field after the user agent, with or without a name: quoted, or a bare word, or a comma-separated list.
_FIELD = re.compile(rf'(?:([\w-]+)=)?{_QUOTED}|(?:([\w-]+)=)?([^\s"]+(?:(?<=,) [^\s"]+)*)')
_FORWARDED = re.compile(r"xff|forward|real_?ip|client_?ip", re.IGNORECASE)
# A client can write a long end of a line, which is not remembered.
_LONGEST_REPEATED = 256
_PORT = re.compile(r"[\].]\d*:\d+$")
# A PROXY protocol header (version 1 or 2) that a load balancer sent to a server expecting HTTP.
_BALANCED = re.compile(r"PROXY (?:UNKNOWN|TCP[46] ([0-9A-Fa-f:.]+) )|\\x00$")


def with_port(text: str, trust: Trust) -> LineFacts:
    """nginx.access.log: the client is an address with a port after the last colon."""
    return _read(text, trust, port=True)


def without_port(text: str, trust: Trust) -> LineFacts:
    """access_log: the client is an address, or the list of X-Forwarded-For."""
    return _read(text, trust, port=False)


def _read(text: str, trust: Trust, *, port: bool) -> LineFacts:
    found = _LINE.match(text)
    if found is None:
        return NOBODY
    elements = found[1].split(",")
    if port:
        elements[-1] = bare(elements[-1])
    behind = text[found.end() :] if found[7] is not None else ""
    values = zip(_NAMES, found.groups()[1:], strict=True)
    fields = {name: value for name, value in values if value is not None}
    chains = [elements]
    # Jetty may write quotation marks of the client unescaped, so behind a trusted proxy no field is used.
    if behind and (port or not trust.is_proxy(elements[-1])):
        forwarded = _repeated if len(behind) < _LONGEST_REPEATED else _forwarded
        chains = [[*one, *elements] for one in forwarded(behind, trust.internal)] or chains
    who = _blamed(chains, fields["request"], trust)
    if who.client is None and who.relay is None:
        return NOBODY
    account = "" if fields["user"] == "-" else fields["user"]
    return LineFacts(who.client, None, account, "http", fields=fields, relay=who.relay, named=who.named)


def _forwarded(behind: str, internal: PrefixSet) -> list[list[str]]:
    """The fields that may be the request's X-Forwarded-For; if some are named so, only these."""
    fields = list(_FIELD.finditer(behind))
    quoted = [field for field in fields if field[2] is not None]
    labelled: list[list[str]] = []
    nameless: list[list[str]] = []
    for field in fields:
        listed = (field[2] if field[2] is not None else field[4]).split(",")
        # The first two quoted fields may be the upstream and the server.
        servers = field not in quoted[2:] and len(fields) > 1
        if not any(address(one) for one in listed) or _of_servers(listed, internal, anywhere=servers):
            continue
        if not (name := field[1] or field[3]):
            nameless.append(listed)
        elif _FORWARDED.search(name):
            # An unquoted name may be written by the client.
            (labelled if field[1] else nameless).append(listed)
    return labelled or nameless


# Most lines end with the same upstream and server. The networks are replaced as a whole when they change.
_repeated = lru_cache(1024)(_forwarded)


def _of_servers(listed: list[str], internal: PrefixSet, *, anywhere: bool) -> bool:
    """Whether these are the servers that handled a request instead of clients: each has a port and is on one
    of our networks or, in the fields for servers, `anywhere`."""
    found = [(one.strip(), network) for one in listed if (network := address(one))]
    if anywhere and len(found) == 1 and bare(found[0][0]) != canonical(found[0][0]):
        # nginx writes $server_addr:$server_port without brackets for IPv6.
        return True
    return all(
        _PORT.search(one) and (anywhere or internal.covering(network) is not None) for one, network in found
    )


def _blamed(chains: list[list[str]], request: str, trust: Trust) -> Blamed:
    """The client in the first word, or the client that it forwards for. A trusted proxy is itself the client
    if no other is named, or if two fields name different clients, since one may be forged."""
    peer = chains[0][-1].strip()
    if address(peer) is None:
        # A word in brackets still names the client, although no route can block it.
        return Blamed(peer[1:].partition("]")[0]) if peer.startswith("[") else Blamed()
    if words := _BALANCED.match(request):
        return trust.speaks(canonical(peer), words[1] or "")
    found = {trust.blamed(elements) for elements in chains}
    if len({(who.client, who.relay) for who in found}) > 1:
        return Blamed(canonical(peer))
    who = found.pop()
    if who.masked:
        return Blamed(who.masked)
    return who._replace(named="") if found else who
