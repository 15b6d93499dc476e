"""A ban as one line of text: the network, and the rest in a comment that an import reads back.

`203.0.113.7/32 # jail="smtp" since=2026-01-05T10:00:00Z until=never reason="2 failures"`
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sidecar.comment_values import instant, quoted, utc
from sidecar.model import Instant
from sidecar.store.imports.entry import is_jail

_TEXT = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"jail=({_TEXT}) since=(\S+) until=(\S+) reason=({_TEXT})")
_NEVER = "never"


class ListLine(NamedTuple):
    """What the comment of a line says of a ban."""

    jail: str
    since: Instant
    until: Instant | None
    reason: str


def written(record: Mapping[str, Any]) -> str:
    """The line of a record of `zmban bans`, without a newline. That of a dry-run ban is a comment: a list
    bans in earnest."""
    until = _NEVER if record["until"] is None else utc(record["until"])
    times = f"since={utc(record['since'])} until={until}"
    words = f"jail={quoted(record['jail'])} {times} reason={quoted(record['reason'])}"
    return f"{'# dry run: ' if record['dry'] else ''}{record['network']} # {words}"


def read(comment: str) -> ListLine | None:
    """The content of a comment that `written` wrote; None for any other text."""
    found = _COMMENT.fullmatch(comment)
    if not found:
        return None
    try:
        jail, reason = json.loads(found[1]), json.loads(found[4])
        since, until = (
            instant(found[2]),
            None if found[3] == _NEVER else instant(found[3]),
        )
    except ValueError:
        return None
    return ListLine(jail, since, until, reason) if is_jail(jail) else None
