"""nginx.log: `[level] PID#TID: *CONNECTION text, client: ADDRESS, server: NAME, request: "...", ...`.

nginx writes paths, requests, hosts and referrers as they came, in quotation marks, and escapes nothing.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.addresses import COMPOSE, ZONE, bare, canonical
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

_HEAD = re.compile(rf"\s*{COMPOSE}\[[a-z]+\] \d+#\d+: \*\d+ ")
# With a port an IPv6 address has brackets, as nginx prints the address of a socket.
_ADDRESS = rf"(?:\[[0-9A-Fa-f:.]+{ZONE}\](?::\d+)?|[0-9A-Fa-f:.]+{ZONE})"
_CLIENT = re.compile(rf", client: ({_ADDRESS})(?: using starttls)?(?:, server: |$)")
# Of the mail proxy's clients Zimbra's nginx writes the port too.
_MAIL = re.compile(r"client login failed: |client logged in$|proxied session done$|.* in http auth state$")
_CONNECTED = re.compile(rf"client ({_ADDRESS}) connected to \S+$")
# In these the text in quotation marks is the server's.
_OWN = re.compile(r'client login failed: "[^"]*" while in http auth state$')
# Then every value must end where nginx ends it: whoever closes a quotation mark of his own is found out.
_STRICT = re.compile(
    rf", client: {_ADDRESS}(?: using starttls)?, server: [^\",]*"
    r"(?:, (?:request|subrequest|upstream|host|referrer|login): \"[^\"]*\")*$"
)
_LOGIN = re.compile(r', login: "([^"]*)"(?:, upstream: [^\"]*)?$')
# The first words of the PROXY protocol, 1 and 2, of a load balancer to a server that expects HTTP.
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
    """Blames the `client:` that nginx wrote; nobody where a client's own text may have written it, or where
    it is a load balancer of ours."""
    head = _HEAD.match(text)
    if head is None:
        return NOBODY
    if connected := _CONNECTED.match(text, head.end()):
        return _said(bare(connected[1]), text[head.end() :])
    found = _CLIENT.search(text, head.end())
    if found is None:
        return NOBODY
    before = text[head.end() : found.start()]
    if '"' in before and not _OWN.match(before) and not _STRICT.match(text, found.start()):
        return NOBODY
    # Without brackets the last part of an IPv6 address is a port only there.
    told = bare(found[1]) if _MAIL.match(before) else canonical(found[1])
    said = _said(told, before, text[found.start() :])
    if words := _BALANCED.match(text, found.end(1)):
        who = trust.speaks(told, words[1] or "")
        return said._replace(client=who.client, relay=who.relay, named=who.named)
    return said


def _said(who: str, message: str, rest: str = "") -> LineFacts:
    login, port = _LOGIN.search(rest), _PORT.match(rest)
    # Zimbra's nginx listens on the usual ports, or inside a container on 11143 for 143.
    protocol = _PROTOCOLS.get(port[1][-3:].lstrip("0") if port else "", "") or "http"
    return LineFacts(
        who,
        None,
        login[1] if login else "",
        protocol,
        good=message == "client logged in" and login is not None,
        fields={"message": message, **({"login": login[1]} if login else {})},
    )
