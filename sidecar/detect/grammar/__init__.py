"""Who did it: the grammar of a log names the one client that may be blamed for a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sidecar.detect.grammar import access, mailbox, nginx, postfix
from sidecar.detect.grammar.trust import Trust
from sidecar.model import NOBODY, LineFacts

# A grammar takes a line without its date and the trusted proxies. None: a line of a kind that it does not
# know, of which the filter alone can tell.
Grammar: TypeAlias = Callable[[str, Trust], LineFacts | None]


def _nobody(_text: str, _trust: Trust) -> LineFacts:
    return NOBODY


GRAMMARS: dict[str, Grammar] = {
    "zimbra": postfix.client,
    "mailbox": mailbox.client,
    "nginx": nginx.client,
    "nginx-access": access.with_port,
    "access": access.without_port,
    "jetty": _nobody,
}
# The logs that Zimbra and Carbonio write in a known grammar, by the beginning of their file name.
LOGS = {
    "zimbra.log": "zimbra",
    "carbonio.log": "zimbra",
    "maillog": "zimbra",
    "mailbox.log": "mailbox",
    "audit.log": "mailbox",
    "sync.log": "mailbox",
    "nginx.log": "nginx",
    "nginx.access.log": "nginx-access",
    "access_log": "access",
    "zmmailboxd.out": "jetty",
}


def of_log(path: str) -> str | None:
    """The name of the grammar in which a log file of this name is written."""
    name = path.rsplit("/", 1)[-1]
    return next((grammar for log, grammar in LOGS.items() if name.startswith(log)), None)


def details(of: Grammar, text: str) -> dict[str, str]:
    """What a person who asks wants to see of a line beside its fields."""
    return postfix.details(text) if of is postfix.client else {}


def chosen(named: str | None, path: str) -> Grammar | None:
    """The grammar for a filter that names one, `log` for that of the log itself; else that of the log. None
    where the filter alone decides."""
    name = of_log(path) if named in (None, "log") else named
    if name is None:
        return _nobody if named else None
    return GRAMMARS[name]


__all__ = ["GRAMMARS", "LOGS", "Grammar", "Said", "Trust", "chosen", "details", "of_log"]
