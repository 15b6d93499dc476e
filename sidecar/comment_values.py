"""Values in the comments of files that zmban writes and reads back: texts and times."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sidecar.model import LATEST, Instant


def quoted(text: str) -> str:
    """As a JSON string in which whatever is not printable is escaped."""
    whole = json.dumps(text, ensure_ascii=False)
    if whole.isprintable():
        return whole
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in whole)


def utc(at: Instant) -> str:
    """A time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> Instant:
    """The reverse of `utc`. ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    at = moment.timestamp() if moment.tzinfo else -1.0
    if not 0 <= at <= LATEST:
        raise ValueError(f"{text} is no time, or not in the calendar")
    return at
