"""Points in time as people read them."""

from __future__ import annotations

from datetime import datetime

from sidecar.model import Instant


def moment(at: Instant | None) -> str:
    """A point in time as local time; `for ever` for None, and a text for times outside of the calendar."""
    if at is None:
        return "for ever"
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999" if at > 0 else "no time"
