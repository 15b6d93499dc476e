"""Counts the mail log by block: the lines of most messages with one search, the others one by one."""

from __future__ import annotations

import re

from sidecar.detect.prefilter.multipattern import Text, engine
from sidecar.model import Instant
from sidecar.review.mail.day_counts import HOURLY, DayCounts
from sidecar.review.mail.line_counter import LineCounter
from sidecar.review.mail.open_messages import OpenMessages

_LONGEST_LINE = 1 << 14
# A sender, a delivery, an arrival: the lines that each message has, behind the hour.
_COMMON = (
    rb"\d\d:\d\d\S* \S+ postfix/([^\[:\s]+)\[\d+\]: (?!warning|fatal|panic|reject|hold|discard)(\w+): "
    rb"(?:from=<([^>\n]*)>, size=(\d+)"
    rb"|to=<([^>\n]*)>, (?:orig_to=<[^>\n]*>, )?relay=([^,\n]+), (?:conn_use=[^,\n]+, )?delay=[^,\n]+, "
    rb"(?:delays=[^,\n]+, )?(?:dsn=[^,\n]+, )?status=sent \((?!forwarded as )"
    rb"|client=([^,\n]+)(?:(?=\n)|, sasl_method=[^,\n]+, sasl_username=([^,\s]+))"
    rb"|(sender|uid)=)"
)
_FORWARDED = b"forwarded as "
# What stands on each of these lines once.
_SIGNS = (b">, size=", b", status=sent ", b": client=", b"/pickup[")
# Every other line that is counted contains one of these.
_WORDS = (
    b", status=deferred", b", status=bounced", b"(forwarded as ", b"reject", b"/master[", b" connect to ",
    b": warning", b"warning: ",
    b": fatal", b": panic", b": hold", b"hold: ", b": discard", b"discard: ",
)  # fmt: skip
# Programs in whose lines these words mean something else.
_OTHER = {b"cleanup", b"master", b"postscreen"}
_SMTPD = {b"smtpd", b"submission/smtpd", b"smtps/smtpd"}
_MOST_HOURS = 100
# The beginning of a line up to its hour.
_HOUR = re.compile(rb"(\w{3} {1,2}\d{1,2}|\d{4}-\d\d-\d\d)[ T](\d\d):")
_FILTER = re.compile(rb"[^,\[]*\[(?:127\.\d+\.\d+\.\d+|::1)\]:100(?:2[4-9]|3[0-2])$")
_RECEIVED, _DELIVERED = HOURLY.index("received"), HOURLY.index("delivered")


class MailCounter:
    """Reads the blocks of one log in order. `days` are the counts, `messages` what later lines need."""

    def __init__(self, now: Instant, messages: OpenMessages | None = None) -> None:
        self.messages = messages or OpenMessages()
        self._lines = LineCounter(now, self.messages)
        self.days, self.of = self._lines.days, self._lines.of
        self._patterns: dict[bytes, re.Pattern[bytes]] = {}
        self._rare = engine([Text(word, caseless=False) for word in _WORDS])
        self._every = engine([Text(word, caseless=False) for word in (*_SIGNS, *_WORDS)])

    def read(self, data: bytes) -> None:
        """Count a block of whole lines."""
        if self._common(data):
            self._one_by_one(data, self._rare.hits(data))
        else:
            self._one_by_one(data, self._every.hits(data))

    def _one_by_one(self, data: bytes, hits: list[tuple[int, int]]) -> None:
        stop, count = -1, self._lines.count
        for end, _ in hits:
            if end <= stop:
                continue
            begin, stop = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end)
            if stop < 0:
                stop = len(data)
            if stop - begin <= _LONGEST_LINE:
                count(data[begin:stop])

    def _common(self, data: bytes) -> bool:
        """Count the lines of _COMMON in a block; False, and nothing is counted, unless all lines are of one
        hour, and all lines with one of the signs were found."""
        head = _HOUR.match(data)
        day = self._lines.calendar.day(head[1]) if head else None
        if head is None or day is None or head[2] >= b"24":
            return False
        hour, text = b"\n" + head[0], b"\n" + data
        if text.count(hour) != data.count(b"\n"):
            return False
        found = self._pattern(hour).findall(text)
        if not self._is_complete(data, found):
            return False
        counts = self.of(day)
        row, messages, addresses = counts.hours[int(head[2])], self.messages, self._lines.addresses
        for program, queue, sender, size, recipient, relay, client, login, _ in found:
            if size:
                messages.sender(counts, day, queue, addresses(sender), int(size))
            elif relay:
                if b"]:100" in relay and _FILTER.match(relay):
                    counts.totals["filtered"] += 1
                messages.delivered(counts, day, queue, addresses(recipient))
            elif not client:
                messages.arrived(queue, None)
            elif program in _SMTPD:
                self._lines.received(counts, queue, client, login)
            else:
                messages.came_back(queue)
        _total(counts, row, found)
        return True

    def _pattern(self, hour: bytes) -> re.Pattern[bytes]:
        """The lines of an hour. They begin with a literal, for which the search is fast."""
        if hour not in self._patterns:
            if len(self._patterns) >= _MOST_HOURS:
                self._patterns.clear()
            self._patterns[hour] = re.compile(re.escape(hour) + _COMMON)
        return self._patterns[hour]

    @staticmethod
    def _is_complete(data: bytes, found: list[tuple[bytes, ...]]) -> bool:
        """Whether each sign in a block stands on a line that was found."""
        senders = sum(1 for one in found if one[3])
        delivered = sum(1 for one in found if one[5])
        local = sum(1 for one in found if one[8] and one[0] == b"pickup")
        forwarded = data.count(_FORWARDED)
        return (
            [data.count(sign) for sign in _SIGNS]
            == [senders, delivered + forwarded, len(found) - senders - delivered - local, local]
            and forwarded == data.count(b"(" + _FORWARDED)
            and _OTHER.isdisjoint({one[0] for one in found})
        )


def _total(counts: DayCounts, row: list[int], found: list[tuple[bytes, ...]]) -> None:
    delivered = sum(1 for one in found if one[5])
    received = sum(1 for one in found if one[8] or (one[6] and one[0] in _SMTPD))
    counts.totals["delivered"] += delivered
    counts.totals["received"] += received
    row[_DELIVERED] += delivered
    row[_RECEIVED] += received
