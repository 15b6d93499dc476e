"""zimbra.log: `HOST PROGRAM[PID]: message` by syslog, written by Postfix and other programs.

Postfix names the client once, after fixed words: `from NAME[ADDRESS]`. Text from the client (commands, HELO,
addresses) only comes after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sidecar.detect.grammar import mailbox
from sidecar.detect.grammar.addresses import COMPOSE, ZONE, canonical
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

_HEAD = re.compile(
    rf"\s*{COMPOSE}(?:<\w+\.\w+>\s+)?(\S+)\s+([^\s:\[]+)(?:\[\d+\])?:"
    r"(?: \[ID \d+ \w+\.\w+\])? ?"
)
_REPEATED = re.compile(r"message repeated (\d+) times: \[ ?(.*)\]\s*$", re.DOTALL)
# The same for a line with its date: nothing before the first bracket comes from a client.
_REPEATED_LINE = re.compile(r"[^\[]{0,200}\[\d+\]:(?: \[ID \d+ \w+\.\w+\])? message repeated (\d+) times: \[")
_POSTFIX = re.compile(r"postfix[\w-]*/(?:[\w-]+/)*([\w-]+)$")
_ADDRESS = rf"(?:IPv6:)?([0-9A-Fa-f:.]+){ZONE}"
_TOKEN = rf"[^\[\]\s]*\[{_ADDRESS}\](?::\d+)?"
_QUEUE = r"(?:[0-9A-Za-z]{5,}: )?"
# The words before the client token are written by Postfix, not by the client.
_SMTPD = re.compile(
    rf"{_QUEUE}(?:"
    r"warning: (?=[^\[\]\s]*\[[^\]\s]*\](?::\d+)?: )"
    r"|warning: non-SMTP command from "
    r"|warning: [A-Z][A-Za-z ]* limit exceeded: \d+ from "
    r"|warning: [Ii]llegal address syntax from "
    r"|(?:dis)?connect from "
    r"|(?:lost connection|timeout|too many errors|improper command pipelining)"
    r" after [A-Z-]+(?: \([^)]*\))? from "
    r"|SSL_accept error from |setting up TLS connection from "
    r"|[A-Z][a-z]+ TLS connection established from "
    r"|client="
    r"|[a-z_]+: [A-Z-]+ from "
    rf"){_TOKEN}(?=[:,; ]|$)(.*)",
    re.DOTALL,
)
_HOSTNAME = re.compile(rf"warning: hostname \S+ does not resolve to address {_ADDRESS}(?=:|$)")
_POSTSCREEN = re.compile(
    r"(?:NOQUEUE: reject: [A-Z]+ from "
    r"|(?:[A-Z][A-Z-]+ )+(?:rank \d+ for |(?:\d+ )?after [\d.]+ from |from )?)"
    rf"\[{_ADDRESS}\]:\d+(.*)",
    re.DOTALL,
)
_DNSBLOG = re.compile(rf"addr {_ADDRESS} (?:listed by domain|blocked by domain)")
_ANVIL = re.compile(rf"statistics: max [a-z ]+ rate \d+/\d+s for \([\w.-]+:{_ADDRESS}\)")
_AMAVIS = re.compile(rf"\([\w-]+\) (Passed|Blocked) ([A-Z-]+)[^\[]*\[{_ADDRESS}\]:\d+ ")
_SASL = re.compile(
    r": SASL ([\w-]{1,32}) authentication failed(?:: ?(.*?))?(?:, sasl_username=(.*))?$", re.DOTALL
)
_LOGIN = re.compile(r", sasl_method=[\w-]+, sasl_username=(.+?)(?:, sasl_sender=.*)?$")
_ENVELOPE = re.compile(r" (from|to|proto|helo)=<?([^>\s]*)>?")
_SENT = re.compile(
    rf"[0-9A-Za-z]{{5,}}: to=<[^<>]*>, (?:orig_to=<[^<>]*>, )?relay=[^\[\]\s]*\[{_ADDRESS}\]:25, "
    r".*status=sent "
)
_SASLAUTHD = re.compile(r"auth_zimbra: (\S+) auth (OK|failed)")
_SSHD = re.compile(
    rf"(?:Failed|Accepted|Invalid|Postponed) .*\bfrom {_ADDRESS} port \d+(?: ssh2?)?(?:: .*)?$"
)
_OUTAGE = re.compile(
    r"Connection lost to authentication server|Invalid authentication mechanism|generic failure|[Tt]emporary"
    r"|internal error|no mechanism available|cannot connect|unable to|authentication server|no memory"
    r"|not initialized|transient failure|no verifier|overflowed|expired|disabled|locked|encryption needed"
)
# A PROXY protocol header (version 1 or 2) that a load balancer sent to a Postfix expecting SMTP.
_BALANCED = re.compile(
    r"[^\[\]]*\[[^\[\]]+\](?::\d+)?: (?:PROXY (?:UNKNOWN|TCP[46] ([0-9A-Fa-f:.]+) )|\\r\\n\\r\\n\\0)"
)
_MAILBOXD = ("mailboxd", "zimbramailboxd")
_LOG4J_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]\d{3}")
_LOCAL = ("slapd", "opendkim", "opendmarc", "zmconfigd", "zimbramon", "clamd", "freshclam", "cbpolicyd")


def client(text: str, trust: Trust) -> LineFacts | None:
    """Parse a line. The client is the one named by the program; None for a line of an unknown program."""
    head = _HEAD.match(text)
    if head is None:
        return None
    program, message = head[2], text[head.end() :]
    if message.startswith("message repeated ") and (repeated := _REPEATED.match(message)):
        facts = _read(program, repeated[2], trust)
        return facts and facts._replace(fields={**facts.fields, "times": repeated[1]})
    return _read(program, message, trust)


def repeated(line: str) -> str:
    """The number of repetitions in a line of syslog, with its date: digits, "1" if it is not repeated."""
    found = _REPEATED_LINE.match(line)
    return found[1] if found else "1"


def _read(program: str, message: str, trust: Trust) -> LineFacts | None:
    name = _name(program)
    read = _PROGRAMS.get(name)
    if read is not None:
        facts = read(message)
        if facts is None or facts.client is None:
            return facts or (NOBODY if name != "sshd" else None)
        return _blamed(facts, facts.client, message, trust)
    if name in _MAILBOXD:
        # zimbraLogToSysLog: a line of log4j after the syslog header, with or without its date.
        return mailbox.client(_LOG4J_DATE.sub("", message, count=1), trust)
    return NOBODY if name in _LOCAL or name != program else None


def _blamed(facts: LineFacts, client: str, message: str, trust: Trust) -> LineFacts:
    """The facts with a canonical client, or without one if it is one of our load balancers."""
    if ("PROXY " in message or "\\r\\n\\0" in message) and (words := _BALANCED.match(message)):
        who = trust.speaks(client, words[1] or "")
        return facts._replace(client=who.client, relay=who.relay, named=who.named)
    return facts._replace(client=canonical(client)) if ":" in client else facts


# Few reasons occur, and all of them in thousands of lines.
@lru_cache(256)
def _is_outage(reason: str) -> bool:
    return _OUTAGE.search(reason) is not None


# The cache is bounded: a client cannot choose the program name, but a local process can.
@lru_cache(256)
def _name(program: str) -> str:
    """The short name of a program of Postfix: `smtpd` for postfix/submission/smtpd."""
    postfix = _POSTFIX.match(program)
    return postfix[1] if postfix else program


def details(text: str) -> dict[str, str]:
    """Host, program and message of a line, for `zmban explain`."""
    head = _HEAD.match(text)
    return {"host": head[1], "program": head[2], "message": text[head.end() :]} if head else {}


def _smtpd(message: str) -> LineFacts | None:
    found = _SMTPD.match(message)
    if found is None:
        hostname = _HOSTNAME.match(message)
        return LineFacts(hostname[1]) if hostname else None
    address, rest = found[1], found[2]
    if failed := _SASL.match(rest):
        mechanism, reason, account = failed.groups()
        excused = _is_outage(reason or "")
        fields = {"mechanism": mechanism, "reason": reason or ""}
        return LineFacts(address, None, account or "", "smtp", excused=excused, fields=fields)
    if login := _LOGIN.match(rest):
        return LineFacts(address, None, login[1], "smtp", good=True)
    return LineFacts(address, fields=dict(reversed(_ENVELOPE.findall(rest[-2048:]))))


def _postscreen(message: str) -> LineFacts | None:
    found = _POSTSCREEN.match(message)
    return LineFacts(found[1]) if found else None


def _one(pattern: re.Pattern[str]) -> Callable[[str], LineFacts | None]:
    def read(message: str) -> LineFacts | None:
        found = pattern.match(message)
        return LineFacts(found[1]) if found else None

    return read


def _amavis(message: str) -> LineFacts | None:
    found = _AMAVIS.match(message)
    if found is None:
        return None
    clean = (found[1], found[2]) == ("Passed", "CLEAN")
    return LineFacts(
        found[3], peer=found[3] if clean else None, fields={"action": found[1], "category": found[2]}
    )


def _smtp(message: str) -> LineFacts | None:
    """A delivery: the remote server is a peer, not a client."""
    found = _SENT.match(message)
    return LineFacts(peer=found[1]) if found else None


def _saslauthd(message: str) -> LineFacts | None:
    """The result of a password check; has an account, but no client."""
    found = _SASLAUTHD.match(message)
    return LineFacts(account=found[1], protocol="smtp") if found else None


_PROGRAMS: dict[str, Callable[[str], LineFacts | None]] = {
    "smtp": _smtp,
    "smtpd": _smtpd,
    "postscreen": _postscreen,
    "dnsblog": _one(_DNSBLOG),
    "anvil": _one(_ANVIL),
    "amavis": _amavis,
    "saslauthd": _saslauthd,
    "sshd": _one(_SSHD),
}
