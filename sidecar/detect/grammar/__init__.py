"""The grammars of Zimbra's logs: each finds the one client that may be blamed for a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from sidecar.detect.grammar import access, mailbox, nginx, postfix
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

# A grammar takes a line without its date, and the trusted proxies. It returns None for an unknown kind of
# line, for which the filter alone decides.
Grammar: TypeAlias = Callable[[str, Trust], LineFacts | None]


def _nobody(_text: str, _trust: Trust) -> LineFacts:
    return NOBODY


class LogGrammar(NamedTuple):
    """How the lines of a kind of log are read. `logs` are the beginnings of its file names.

    Only lines that contain one of `logins` are read for successful logins and delivered mail, and only lines
    with one of `relays` for peers that forward for others: without a marker nothing of it is known.
    `details` returns more parts of a line for `zmban explain`.
    """

    read: Grammar
    logs: tuple[str, ...]
    logins: tuple[bytes, ...] = ()
    relays: tuple[bytes, ...] = ()
    details: Callable[[str], dict[str, str]] = lambda _text: {}


GRAMMARS: dict[str, LogGrammar] = {
    "zimbra": LogGrammar(
        postfix.client,
        ("zimbra.log", "carbonio.log", "maillog"),
        logins=(b", sasl_username=", b"]:25, ", b"Passed CLEAN "),
        relays=(b": PROXY ", rb": \r\n\r\n\0"),
        details=postfix.details,
    ),
    "mailbox": LogGrammar(
        mailbox.client,
        ("mailbox.log", "audit.log", "sync.log"),
        logins=(b" cmd=Auth; ", b" authenticated, mechanism="),
        relays=(b"oip=", b"via="),
    ),
    "nginx": LogGrammar(nginx.client, ("nginx.log",), relays=(b'"PROXY ', b'"\0"')),
    "nginx-access": LogGrammar(access.with_port, ("nginx.access.log",), relays=(b"] ",)),
    "access": LogGrammar(access.without_port, ("access_log",), relays=(b"] ",)),
    "jetty": LogGrammar(_nobody, ("zmmailboxd.out",)),
}
# The grammars of the logs of Zimbra and Carbonio, by the beginning of the file name.
LOGS = {log: name for name, grammar in GRAMMARS.items() for log in grammar.logs}


def of_log(path: str) -> str | None:
    """The name of the grammar of a log file with this name; None if unknown."""
    name = path.rsplit("/", 1)[-1]
    return next((grammar for log, grammar in LOGS.items() if name.startswith(log)), None)


def shows_logins(log: str) -> bool:
    """Whether a log with this name is searched for legitimate clients."""
    name = of_log(log)
    return name is not None and bool(GRAMMARS[name].logins)


def may_relay(log: str) -> bool:
    """Whether a log with this name may show peers that forward for others."""
    name = of_log(log)
    return name is not None and bool(GRAMMARS[name].relays)


def details(log: str, text: str) -> dict[str, str]:
    """Further parts of a line of a log with this name, beside its fields, for `zmban explain`."""
    name = of_log(log)
    return GRAMMARS[name].details(text) if name else {}


def chosen(named: str | None, path: str) -> Grammar | None:
    """The grammar `named` by a filter (`log` for that of the log), else that of the log at `path`. None if
    the filter alone decides."""
    name = of_log(path) if named in (None, "log") else named
    if name is None:
        return _nobody if named else None
    return GRAMMARS[name].read


__all__ = [
    "GRAMMARS",
    "LOGS",
    "Grammar",
    "LogGrammar",
    "Trust",
    "chosen",
    "details",
    "may_relay",
    "of_log",
    "shows_logins",
]
