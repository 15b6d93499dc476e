"""nginx.log: `[level] PID#TID: *CONNECTION text, client: ADDRESS, server: NAME, request: "...", ...`.

nginx writes paths, requests, hosts and referrers unescaped, in quotation marks.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.addresses import COMPOSE, ZONE, bare, canonical
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

_HEAD = re.compile(rf"\s*{COMPOSE}\[[a-z]+\] \d+#\d+: \*\d+ ")
# An IPv6 address with a port has brackets.
_ADDRESS = rf"(?:\[[0-9A-Fa-f:.]+{ZONE}\](?::\d+)?|[0-9A-Fa-f:.]+{ZONE})"
_CLIENT = re.compile(rf", client: ({_ADDRESS})(?: using starttls)?(?:, server: |$)")
# Messages of the mail proxy, in which Zimbra's nginx also writes the client's port.
_MAIL = re.compile(r"client login failed: |client logged in$|proxied session done$|.* in http auth state$")
_CONNECTED = re.compile(rf"client ({_ADDRESS}) connected to \S+$")
# Messages whose quoted text is written by the server.
_OWN = re.compile(r'client login failed: "[^"]*" while in http auth state$')
# For other messages with quoted text: the rest of the line must be exactly as nginx writes it, so that a
# client's quotation mark in a value is detected.
_STRICT = re.compile(
    rf", client: {_ADDRESS}(?: using starttls)?, server: [^\",]*"
    r"(?:, (?:request|subrequest|upstream|host|referrer|login): \"[^\"]*\")*$"
)
_LOGIN = re.compile(r', login: "([^"]*)"(?:, upstream: [^\"]*)?$')
# A PROXY protocol header (version 1 or 2) that a load balancer sent to a server expecting HTTP.
_BALANCED = re.compile(r', server: [^",]*, request: "(?:PROXY (?:UNKNOWN|TCP[46] ([0-9A-Fa-f:.]+) )|\0")')
_PORT = re.compile(r", client: \S+(?: using starttls)?, server: \S*?:(\d+)(?:,|$)")
_PROTOCOLS = {
    "25": "smtp",
    "465": "smtp",
    "587": "smtp",
    "143": "imap",
    "993": "imap",
    "110": "pop3",
    "995": "pop3",
}


def client(text: str, trust: Trust) -> LineFacts:
    """Parse a line. The client is the `client:` written by nginx; None if a client's text may have written
    it, or if it is one of our load balancers."""
    head = _HEAD.match(text)
    if head is None:
        return NOBODY
    if connected := _CONNECTED.match(text, head.end()):
        return _facts(bare(connected[1]), text[head.end() :])
    found = _CLIENT.search(text, head.end())
    if found is None:
        return NOBODY
    before = text[head.end() : found.start()]
    if '"' in before and not _OWN.match(before) and not _STRICT.match(text, found.start()):
        return NOBODY
    # Only messages of the mail proxy have a port after an IPv6 address without brackets.
    peer = bare(found[1]) if _MAIL.match(before) else canonical(found[1])
    facts = _facts(peer, before, text[found.start() :])
    if words := _BALANCED.match(text, found.end(1)):
        who = trust.speaks(peer, words[1] or "")
        return facts._replace(client=who.client, relay=who.relay, named=who.named)
    return facts


def _facts(peer: str, message: str, rest: str = "") -> LineFacts:
    login, port = _LOGIN.search(rest), _PORT.match(rest)
    # Zimbra's nginx listens on the standard ports, or inside a container on 11143 instead of 143.
    protocol = _PROTOCOLS.get(port[1][-3:].lstrip("0") if port else "", "") or "http"
    return LineFacts(
        peer,
        None,
        login[1] if login else "",
        protocol,
        good=message == "client logged in" and login is not None,
        fields={"message": message, **({"login": login[1]} if login else {})},
    )
