"""mailbox.log, audit.log, sync.log: `LEVEL [thread] [k=v;k=v;] component - message`, as log4j writes them.

In a value `;` is doubled, so a client's User-Agent cannot begin a key of its own. The thread carries a
URL that the client chose; nothing in it is believed.
"""

from __future__ import annotations

import re

from sidecar.detect.grammar.addresses import COMPOSE
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

_HEAD = re.compile(rf"\s*{COMPOSE}(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s+\[")
_SEAM = re.compile(r"\]\[")
_KEY = re.compile(r"([A-Za-z]\w*)=")
_VALUE = re.compile(r"((?:[^;]|;;)*);(?!;)")
# What renders a log for the web turns the hyphen into a dash.
_COMPONENT = re.compile(r" ?([\w.$-]+) [-\N{EN DASH}] ")
_ATTRIBUTE = re.compile(r"\b(\w+)=((?:[^;]|;;)*); ?")
_FAILED = "authentication failed for "
_ACCOUNT = re.compile(r"authentication failed for (?:\[([^\]]*)\]|(\S+))")
_EXCUSED = re.compile(
    r"must change password|account lockout|lockout|account is (?:in )?(?:maintenance|locked|closed|pending)"
    r"|account (?:inactive|not active)|domain (?:is )?(?:suspended|closed|locked)|status is "
    r"|preauth (?:mismatch|expired|timestamp)|alias login not enabled|no two-factor code provided"
    r"|remote authentication server|(?i:spnego|jwt|client ?cert)"
    r"|invalid request|external LDAP auth failed(?!.*(?:data 52e|invalid credentials))"
)
_GOOD = re.compile(r"user (.+?) authenticated, mechanism=")
_SPOKEN = {"imap": "imap", "pop": "pop3", "pop3": "pop3"}
_FAILING = {"SoapEngine": "soap", "security": "soap", **_SPOKEN}
# Who stands at the other end, and for whom. One of them twice with two values is no line of the server's.
_PLACES = frozenset(("ip", "oip", "via"))
# A URL that imitates the seam more often than this is no URL.
_MOST_SEAMS = 8


class Line:
    """The parts of one dateless line. `fields` are the context's, values unescaped."""

    __slots__ = ("component", "fields", "message")

    def __init__(self, fields: dict[str, str], component: str, message: str) -> None:
        self.fields, self.component, self.message = fields, component, message


def parts(text: str) -> Line | None:
    """Take a line apart; None if it is not of this form.

    A key that stands twice keeps its first value, but for the places: the server writes each once.
    """
    head = _HEAD.match(text)
    if head is None:
        return None
    # A URL has no blank in it, so the first blank after the thread's bracket is the one that the server
    # wrote between thread and context, whatever the URL says.
    blank = text.find(" ", head.end())
    if text[blank - 1 : blank + 2] == "] [":
        return _context(text, blank + 2)
    # sync.log has no blank there. Then a URL can imitate the seam; where two readings are possible,
    # nobody is blamed.
    seams = [found.end() for found in _SEAM.finditer(text, head.end(), blank)]
    if len(seams) > _MOST_SEAMS:
        return None
    readings = [line for seam in seams if (line := _context(text, seam)) is not None]
    return readings[0] if len(readings) == 1 else None


def _context(text: str, at: int) -> Line | None:
    fields: dict[str, str] = {}
    while True:
        if text.startswith("]", at):
            found = _COMPONENT.match(text, at + 1)
            return Line(fields, found[1], text[found.end() :]) if found else None
        key = _KEY.match(text, at)
        value = _VALUE.match(text, key.end()) if key else None
        if key is None or value is None:
            return None
        name, text_of = key[1], value[1].replace(";;", ";")
        if fields.setdefault(name, text_of) != text_of and name in _PLACES:
            return None
        at = value.end()


def client(text: str, trust: Trust) -> LineFacts:
    """Blames the right-most element of `oip` that is no trusted proxy, if there is no `ip` or `ip` is a
    trusted proxy; else `ip`, whatever `oip` says, but for one on a network of ours (`Trust.blamed`)."""
    line = parts(text)
    if line is None:
        return NOBODY
    fields = line.fields
    peer, forwarded, via = fields.get("ip"), fields.get("oip"), fields.get("via")
    elements = forwarded.split(",") if forwarded else []
    direct = peer is not None and not (forwarded and trust.is_proxy(peer))
    if peer is not None and direct:
        elements.append(peer)
    who = trust.blamed(elements, relays=direct and bool(via))
    return _told(line)._replace(client=who.client, masked=who.masked, relay=who.relay, named=who.named)


def _told(line: Line) -> LineFacts:
    """All but the client."""
    fields, message = {**line.fields, "component": line.component, "message": line.message}, line.message
    protocol = fields.get("oproto", "")
    if line.component == "security" and message.startswith("cmd="):
        said = {k: v.replace(";;", ";") for k, v in reversed(_ATTRIBUTE.findall(message))}
        fields |= {key: said[key] for key in ("cmd", "account", "protocol", "error") if key in said}
        login = said["cmd"] in ("Auth", "AdminAuth")
        failed = " error=" in message
        return LineFacts(
            account=said.get("account", ""),
            protocol=protocol or said.get("protocol", "admin" if said["cmd"] == "AdminAuth" else ""),
            good=login and not failed,
            excused=login and failed and _excused(said.get("error", "")),
            fields=fields,
        )
    if _FAILED in message:
        found = _ACCOUNT.search(message)
        account = (found[1] or found[2] or "") if found else ""
        told = protocol or _FAILING.get(line.component, "")
        return LineFacts(None, None, account, told, False, _excused(message), fields=fields)
    if line.component in _SPOKEN and (found := _GOOD.match(message)):
        return LineFacts(None, None, found[1], _SPOKEN[line.component], good=True, fields=fields)
    return LineFacts(None, None, fields.get("name", ""), protocol, fields=fields)


def _excused(message: str) -> bool:
    """Whether a login failed through no fault of the client; what is in brackets is the client's word."""
    behind = message.rpartition("]")[2] if "]" in message else message.rpartition("(")[2]
    return _EXCUSED.search(behind) is not None
