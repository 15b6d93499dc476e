"""Who did it: the grammar of a log names the one client that may be blamed for a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sidecar.detect.grammar import mailbox
from sidecar.detect.grammar.trust import Trust

# A grammar takes a line without its date and the trusted proxies; the client it blames, or None.
Grammar: TypeAlias = Callable[[str, Trust], str | None]
GRAMMARS: dict[str, Grammar] = {"mailbox": mailbox.client}
# The logs that Zimbra writes in a known grammar, by the beginning of their file name.
_LOGS = {"mailbox.log": "mailbox", "audit.log": "mailbox", "sync.log": "mailbox"}


def of_log(path: str) -> str | None:
    """The name of the grammar in which a log file of this name is written."""
    name = path.rsplit("/", 1)[-1]
    return next((grammar for log, grammar in _LOGS.items() if name.startswith(log)), None)


__all__ = ["GRAMMARS", "Grammar", "Trust", "of_log"]
