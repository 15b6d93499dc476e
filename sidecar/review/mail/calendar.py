"""The day of a line, from the date that its log wrote."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sidecar.model import Instant

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
# Days are remembered by the text of their date.
_MOST_REMEMBERED = 1000


class Calendar:
    """The day of a line is the one that the log wrote, in the log's own zone. A date without a year takes the
    latest year that is not after `now` + 24 h; near the end of a year the zone of the log can be a day off.
    """

    def __init__(self, now: Instant) -> None:
        self._latest = datetime.fromtimestamp(now, UTC).date() + timedelta(days=1)
        self._days: dict[bytes, str | None] = {}

    def day(self, text: bytes) -> str | None:
        """`2026-11-27` for `Nov 27` or `2026-11-27`; None if there is no such day."""
        try:
            return self._days[text]
        except KeyError:
            if len(self._days) >= _MOST_REMEMBERED:
                self._days.clear()
            self._days[text] = found = self._read(text)
            return found

    def _read(self, text: bytes) -> str | None:
        try:
            if text[4:5] == b"-":
                return date.fromisoformat(text.decode("ascii")).isoformat()
            month, day = _MONTHS[text[:3]], int(text[3:])
        except (KeyError, ValueError):
            return None
        # A leap day may be up to eight years ago.
        for year in range(self._latest.year, self._latest.year - 9, -1):
            try:
                found = date(year, month, day)
            except ValueError:
                continue
            if found <= self._latest:
                return found.isoformat()
        return None
