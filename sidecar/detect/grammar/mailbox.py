"""mailbox.log, audit.log, sync.log: `LEVEL [thread] [k=v;k=v;] component - message`, as log4j writes them.

In a value `;` is doubled, so a client's User-Agent cannot start another key. The thread name contains a URL
chosen by the client and is not trusted.
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
# Logs rendered for the web have a dash instead of the hyphen.
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
# Protocols by component; _FAILING also for failed logins.
_PROTOCOLS = {"imap": "imap", "pop": "pop3", "pop3": "pop3"}
_FAILING = {"SoapEngine": "soap", "security": "soap", **_PROTOCOLS}
# Keys that name the peer and the client. The server writes each once; two different values are a forgery.
_UNIQUE = frozenset(("ip", "oip", "via"))
# A URL that contains `][` more often than this is not parsed.
_MOST_SEAMS = 8


class Line:
    """The parts of one line without its date. `fields` is the `[k=v;]` context with unescaped values."""

    __slots__ = ("component", "fields", "message")

    def __init__(self, fields: dict[str, str], component: str, message: str) -> None:
        self.fields, self.component, self.message = fields, component, message


def parts(text: str) -> Line | None:
    """Parse a line; None if it does not have this form.

    A repeated key keeps its first value; a line with a repeated `ip`, `oip` or `via` of another value is
    None.
    """
    head = _HEAD.match(text)
    if head is None:
        return None
    # A URL contains no space, so the first space after the thread's bracket was written by the server between
    # thread and context.
    blank = text.find(" ", head.end())
    if text[blank - 1 : blank + 2] == "] [":
        return _context(text, blank + 2)
    # sync.log has no space there, so a URL can imitate the separator `][`. If a line can be parsed in two
    # ways, no client is blamed: one attacker who evades costs less than one customer who is framed.
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
        if fields.setdefault(name, text_of) != text_of and name in _UNIQUE:
            return None
        at = value.end()


def client(text: str, trust: Trust) -> LineFacts:
    """Parse a line. The client is the right-most element of `oip` that is no trusted proxy, if `ip` is
    missing or a trusted proxy; else it is `ip`, except for a suspected proxy (see `Trust.blamed`)."""
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
    return _facts(line)._replace(client=who.client, masked=who.masked, relay=who.relay, named=who.named)


def _facts(line: Line) -> LineFacts:
    """All facts of a line but the client."""
    fields, message = {**line.fields, "component": line.component, "message": line.message}, line.message
    protocol = fields.get("oproto", "")
    if line.component == "security" and message.startswith("cmd="):
        audit = {k: v.replace(";;", ";") for k, v in reversed(_ATTRIBUTE.findall(message))}
        fields |= {key: audit[key] for key in ("cmd", "account", "protocol", "error") if key in audit}
        login = audit["cmd"] in ("Auth", "AdminAuth")
        failed = " error=" in message
        return LineFacts(
            account=audit.get("account", ""),
            protocol=protocol or audit.get("protocol", "admin" if audit["cmd"] == "AdminAuth" else ""),
            good=login and not failed,
            excused=login and failed and _excused(audit.get("error", "")),
            fields=fields,
        )
    if _FAILED in message:
        found = _ACCOUNT.search(message)
        account = (found[1] or found[2] or "") if found else ""
        protocol = protocol or _FAILING.get(line.component, "")
        return LineFacts(None, None, account, protocol, False, _excused(message), fields=fields)
    if line.component in _PROTOCOLS and (found := _GOOD.match(message)):
        return LineFacts(None, None, found[1], _PROTOCOLS[line.component], good=True, fields=fields)
    return LineFacts(None, None, fields.get("name", ""), protocol, fields=fields)


def _excused(message: str) -> bool:
    """Whether a login failed through no fault of the client; text in brackets comes from the client."""
    behind = message.rpartition("]")[2] if "]" in message else message.rpartition("(")[2]
    return _EXCUSED.search(behind) is not None
