"""Counts one line of Postfix after the other, exactly as pflogsumm does."""

from __future__ import annotations

import re

from sidecar.model import Instant
from sidecar.review.mail import refusal_text
from sidecar.review.mail.calendar import Calendar
from sidecar.review.mail.day_counts import HOURLY, SEPARATOR, DayCounts
from sidecar.review.mail.mail_address import Addresses, decoded
from sidecar.review.mail.open_messages import OpenMessages

_LINE = re.compile(
    rb"(\w{3} {1,2}\d{1,2}|\d{4}-\d\d-\d\d)[ T](\d\d):\d\d:\d\d\S* \S+ "
    rb"(?:postfix(?:/(?:smtps|submission))?/([^\[:]*).*?|(postfix(?:-script)?)(?:\[\d+\])?): ([^:\s]+)"
)
_SOLARIS = re.compile(rb": \[ID \d+ [^\]]+\] ")
_FROM = re.compile(rb"from=<([^>]*)>, size=(\d+)")
_TO = re.compile(
    rb"to=<([^>]*)>, (?:orig_to=<[^>]*>, )?relay=([^,]+), (?:conn_use=[^,]+, )?delay=[^,]+, "
    rb"(?:delays=[^,]+, )?(?:dsn=[^,]+, )?status=(\S+)(.*)"
)
_CLIENT = re.compile(rb"\[\d+\]: \w+: client=(.+?)(?:,|$)")
_LOGIN = re.compile(rb"sasl_username=([^,\s]+)")
_SENDER = re.compile(rb"[; ]from=<[^>]*@([^>@\s]+)>")
_REJECTED = re.compile(rb"\[\d+\]: \w+: (reject(?:_warning)?|hold|discard): ")
_CONTENT = re.compile(
    rb"/cleanup\[\d+\]: .*?\b((?:milter-)?reject|warning|hold|discard): (header|body|END-OF-MESSAGE) (.*)"
)
_PICKUP = re.compile(rb": (?:sender|uid)=")
_TROUBLE = (
    re.compile(r".* connect to (\S+?): ([^;]+); address \S+ port.*$"),
    re.compile(r".* connect to ([^\[]+)\[\S+?\]: (.+?) \(port \d+\)$"),
)
_REASON = re.compile(rb", status=\w+ \((.+)\)")
# Ports of amavis on this host.
_FILTER = re.compile(rb"[^,\[]*\[(?:127\.\d+\.\d+\.\d+|::1)\]:100(?:2[4-9]|3[0-2])$")
# A rejection by what smtpd or cleanup calls it: the total, and the table of its details.
_KINDS = {
    b"reject": ("rejected", "rejects"),
    b"milter-reject": ("rejected", "rejects"),
    b"reject_warning": ("reject_warnings", "reject_warnings"),
    b"warning": ("reject_warnings", "reject_warnings"),
    b"hold": ("held", "holds"),
    b"discard": ("discarded", "discards"),
}
_TEXTS = {b"warning": "warnings", b"fatal": "fatals", b"panic": "panics"}
_RECEIVED, _DELIVERED, _DEFERRED, _BOUNCED, _REJECTED_COLUMN = range(len(HOURLY))


class LineCounter:
    """`days` are the counts, `messages` what later lines need."""

    def __init__(self, now: Instant, messages: OpenMessages) -> None:
        self.days: dict[str, DayCounts] = {}
        self.messages = messages
        self.calendar, self.addresses = Calendar(now), Addresses()

    def of(self, day: str) -> DayCounts:
        """The counts of a day."""
        if day not in self.days:
            self.days[day] = DayCounts()
        return self.days[day]

    def count(self, line: bytes) -> None:
        """Count a line."""
        if b": [ID " in line:
            line = _SOLARIS.sub(b": ", line, count=1)
        head = _LINE.match(line)
        if head is None:
            return
        text, hour, program, script, word = head.groups()
        day = self.calendar.day(text)
        if day is None or hour >= b"24":
            return
        counts = self.days.get(day) or self.of(day)
        row, program, at = counts.hours[int(hour)], program if program is not None else script, head.start(5)
        if program == b"cleanup" and (found := _CONTENT.search(line)):
            kind, part, rest = found.groups()
            reason, client = refusal_text.content_rejection(decoded(part), decoded(rest))
            self._rejected(counts, row, kind, "content", reason, client)
        elif word in _TEXTS:
            _tell(counts, _TEXTS[word], program, line[head.end() :])
        elif word in _KINDS:
            self._rejection(counts, row, word, line)
        elif program == b"master":
            counts.tables["master"].add(refusal_text.short(decoded(line[at:])))
        elif program in (b"smtpd", b"postscreen"):
            self._smtpd(counts, row, line, word)
        else:
            self._delivery(day, counts, row, program, word, line, at)

    def received(self, counts: DayCounts, queue: bytes, client: bytes, login: bytes) -> None:
        """Note where a message comes from, and who logged in to send it ("": nobody)."""
        self.messages.arrived(queue, refusal_text.domain_of(decoded(client)))
        if login:
            account, address = decoded(login).casefold(), decoded(client).rpartition("[")[2].rstrip("]")
            counts.tables["logins"].add(account)
            counts.tables["login_clients"].add(f"{account}{SEPARATOR}{address}")

    def _smtpd(self, counts: DayCounts, row: list[int], line: bytes, queue: bytes) -> None:
        if client := _CLIENT.search(line):
            counts.totals["received"] += 1
            row[_RECEIVED] += 1
            login = _LOGIN.search(line) if b"sasl_username=" in line else None
            self.received(counts, queue, client[1], login[1] if login else b"")
        elif rejected := _REJECTED.search(line):
            self._rejection(counts, row, rejected[1], line)

    def _delivery(
        self, day: str, counts: DayCounts, row: list[int], program: bytes, queue: bytes, line: bytes, at: int
    ) -> None:
        """A line of another program: a sender, a delivery, a local message."""
        if found := _FROM.search(line, at):
            self.messages.sender(counts, day, queue, self.addresses(found[1]), int(found[2]))
        elif found := _TO.search(line, at):
            address, relay, status, rest = found.groups()
            if status == b"sent":
                if b"forwarded as " in rest:
                    counts.totals["forwarded"] += 1
                else:
                    self._sent(day, counts, row, queue, address, relay)
            elif status == b"deferred":
                self.messages.deferred(counts, day, queue)
                _deferral(counts, row, self.addresses(address).domain, program, line)
            elif status == b"bounced":
                counts.totals["bounced"] += 1
                row[_BOUNCED] += 1
                counts.tables["bounces"].add(f"{decoded(relay)}{SEPARATOR}{_reason(line)}")
        elif program == b"pickup" and _PICKUP.search(line):
            counts.totals["received"] += 1
            row[_RECEIVED] += 1
            self.messages.arrived(queue, None)
        elif program == b"smtp":
            _trouble(counts, line)
        elif b": client=" in line:
            # Of a content filter: not counted, since the message was received before.
            self.messages.came_back(queue)

    def _sent(
        self, day: str, counts: DayCounts, row: list[int], queue: bytes, recipient: bytes, relay: bytes
    ) -> None:
        totals = counts.totals
        totals["delivered"] += 1
        row[_DELIVERED] += 1
        if b"]:100" in relay and _FILTER.match(relay):
            totals["filtered"] += 1
        self.messages.delivered(counts, day, queue, self.addresses(recipient))

    def _rejection(self, counts: DayCounts, row: list[int], kind: bytes, line: bytes) -> None:
        """A line of smtpd or postscreen."""
        stage, reason, client = refusal_text.rejection(decoded(line))
        self._rejected(counts, row, kind, stage, reason, client)
        if kind == b"reject" and (sender := _SENDER.search(line)):
            counts.tables["rejected_domains"].add(f"{decoded(sender[1]).lower()}{SEPARATOR}{client}")

    @staticmethod
    def _rejected(
        counts: DayCounts, row: list[int], kind: bytes, stage: str, reason: str, client: str
    ) -> None:
        total, table = _KINDS[kind]
        counts.totals[total] += 1
        row[_REJECTED_COLUMN] += 1
        counts.tables[table].add(SEPARATOR.join((stage, reason, client)))


def _reason(line: bytes) -> str:
    found = _REASON.search(line)
    return refusal_text.response(decoded(found[1])) if found else "?"


def _deferral(counts: DayCounts, row: list[int], domain: str, program: bytes, line: bytes) -> None:
    counts.totals["deferrals"] += 1
    row[_DEFERRED] += 1
    counts.tables["deferrals"].add(f"{decoded(program)}{SEPARATOR}{_reason(line)}")
    counts.tables["deferred_domains"].add(domain)


def _tell(counts: DayCounts, table: str, program: bytes, rest: bytes) -> None:
    text = refusal_text.short(refusal_text.masked(decoded(rest.removeprefix(b":")).strip()))
    counts.tables[table].add(f"{decoded(program)}{SEPARATOR}{text}")


def _trouble(counts: DayCounts, line: bytes) -> None:
    """A connection to another server that failed."""
    text = decoded(line)
    for pattern in _TROUBLE:
        if found := pattern.match(text):
            counts.tables["delivery_failures"].add(f"{found[2].lower()}{SEPARATOR}{found[1]}")
            return
