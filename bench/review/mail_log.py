"""Generates a mail log as Zimbra's Postfix writes it: messages on their whole way, with a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 11, 26, tzinfo=UTC)
_IDS = "BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789"


def bsd(at: datetime) -> str:
    """`Nov 26 09:05:01`."""
    return f"{at:%b} {at.day:2} {at:%H:%M:%S}"


def iso(at: datetime) -> str:
    """`2026-11-26T09:05:01.000000+00:00`."""
    return at.isoformat(timespec="microseconds")


class MailLog:
    """Each call of a method returns the lines of one event. `shares`: how often which event occurs."""

    def __init__(
        self, seed: int, stamp: Callable[[datetime], str] = bsd, *, begin: datetime = BEGIN, long_ids: bool = True,
        users: int = 300, step: float = 0.4,
    ) -> None:  # fmt: skip
        self._c = random.Random(seed)
        self._stamp, self.at, self._long, self._users, self._step = stamp, begin, long_ids, users, step

    def lines(self, most: int) -> Iterator[str]:
        """At least `most` lines, in order of time."""
        kinds = (
            (self.message, 40), (self.deferred, 6), (self.bounced, 3), (self.forwarded, 2), (self.local, 4),
            (self.reject, 20), (self.warning, 14), (self.login, 6), (self.content, 2), (self.screen, 4),
            (self.quiet, 10), (self.trouble, 3),
        )  # fmt: skip
        events = [kind for kind, _ in kinds]
        weights = [weight for _, weight in kinds]
        written = 0
        while written < most:
            for line in self._c.choices(events, weights)[0]():
                yield line
                written += 1

    def _line(self, program: str, text: str) -> str:
        self.at += timedelta(seconds=self._c.expovariate(1 / self._step))
        return f"{self._stamp(self.at)} mail postfix/{program}[{self._c.randint(300, 32000)}]: {text}"

    def _queue(self) -> str:
        if self._long:
            return "".join(self._c.choices(_IDS, k=14))
        return f"{self._c.randrange(1 << 28, 1 << 40):X}"

    def _client(self) -> str:
        address = f"198.51.100.{self._c.randint(1, 254)}"
        return self._c.choice([f"unknown[{address}]", f"mx{self._c.randint(1, 30)}.sender.com[{address}]",
                               f"out.mail.partner.de[{address}]", f"host.provider.co.uk[2001:db8::{self._c.randint(1, 999):x}]"])  # fmt: skip

    def _user(self, domain: str = "Example.com") -> str:
        return f"user{self._c.randrange(self._users)}@{domain}"

    def _sender(self) -> str:
        return self._c.choice(
            ["", self._user("sender.com"), self._user("partner.de"), self._user("Bulk.example")]
        )

    def _arrival(self, queue: str, sender: str) -> list[str]:
        size = self._c.randint(600, 4_000_000)
        return [
            self._line("smtpd", f"{queue}: client={self._client()}"),
            self._line("cleanup", f"{queue}: message-id=<{self._c.getrandbits(60):x}@sender.com>"),
            self._line("qmgr", f"{queue}: from=<{sender}>, size={size}, nrcpt=1 (queue active)"),
        ]

    def message(self) -> list[str]:
        """A message through the content filter to a mailbox."""
        first, second, sender, to = self._queue(), self._queue(), self._sender(), self._user()
        size = self._c.randint(600, 4_000_000)
        return [
            self._line("smtpd", f"connect from {self._client()}"),
            *self._arrival(first, sender),
            self._line("amavisd/smtpd", f"{second}: client=localhost[127.0.0.1]"),
            self._line("qmgr", f"{second}: from=<{sender}>, size={size}, nrcpt=1 (queue active)"),
            self._line("smtp", f"{first}: to=<{to}>, relay=127.0.0.1[127.0.0.1]:10026, delay=1.2, delays=0.1/0/0/1.1, dsn=2.0.0, "
                               f"status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10030): 250 2.0.0 Ok: queued as {second})"),
            self._line("qmgr", f"{first}: removed"),
            self._line("lmtp", f"{second}: to=<{to}>, relay=mail.example.com[192.0.2.5]:7025, delay=0.3, delays=0/0/0.1/0.2, "
                               "dsn=2.1.5, status=sent (250 2.1.5 Delivery OK)"),
            self._line("qmgr", f"{second}: removed"),
            self._line("smtpd", f"disconnect from {self._client()} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"),
        ]  # fmt: skip

    def deferred(self) -> list[str]:
        """A message that is tried again, now and then with success."""
        queue, sender, to = self._queue(), self._user(), self._user("slow.example")
        lines = self._arrival(queue, sender)
        active = lines[-1].partition("]: ")[2]
        why = self._c.choice([
            "connect to mx.slow.example[203.0.113.5]:25: Connection timed out",
            "host mx.slow.example[203.0.113.5] said: 451 4.7.1 Greylisted, try again (in reply to RCPT TO command)",
            "lost connection with mx.slow.example[203.0.113.6] while receiving the initial server greeting",
        ])  # fmt: skip
        for _ in range(self._c.randint(1, 3)):
            lines.append(
                self._line(
                    "smtp",
                    f"{queue}: to=<{to}>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, status=deferred ({why})",
                )
            )
            lines.append(self._line("qmgr", active))
        if self._c.random() < 0.5:
            lines.append(
                self._line(
                    "smtp",
                    f"{queue}: to=<{to}>, orig_to=<list@example.com>, relay=mx.slow.example[203.0.113.5]:25, conn_use=2, delay=900, delays=899/0/1/0, dsn=2.0.0, status=sent (250 ok)",
                )
            )
            lines.append(self._line("qmgr", f"{queue}: removed"))
        return lines

    def bounced(self) -> list[str]:
        """A message that another server refuses, and the notification."""
        queue, notice, sender = self._queue(), self._queue(), self._user()
        to = self._user("gone.example")
        return [
            *self._arrival(queue, sender),
            self._line("smtp", f"{queue}: to=<{to}>, relay=mx.gone.example[203.0.113.9]:25, delay=2, delays=0/0/1/1, dsn=5.1.1, "
                               f"status=bounced (host mx.gone.example[203.0.113.9] said: 550 5.1.1 <{to}>: Recipient address rejected: User unknown (in reply to RCPT TO command))"),
            self._line("bounce", f"{queue}: sender non-delivery notification: {notice}"),
            self._line("qmgr", f"{notice}: from=<>, size=3000, nrcpt=1 (queue active)"),
            self._line("qmgr", f"{queue}: removed"),
            self._line("lmtp", f"{notice}: to=<{sender}>, relay=mail.example.com[192.0.2.5]:7025, delay=0.1, delays=0/0/0/0.1, dsn=2.1.5, status=sent (250 2.1.5 Delivery OK)"),
        ]  # fmt: skip

    def forwarded(self) -> list[str]:
        """An alias that leads elsewhere."""
        queue, other, to = self._queue(), self._queue(), self._user()
        return [
            *self._arrival(queue, self._sender()),
            self._line("local", f"{queue}: to=<{to}>, relay=local, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (forwarded as {other})"),
        ]  # fmt: skip

    def local(self) -> list[str]:
        """A message of this host."""
        queue = self._queue()
        return [
            self._line("pickup", f"{queue}: uid=0 from=<root>"),
            self._line("qmgr", f"{queue}: from=<root@mail.example.com>, size=700, nrcpt=1 (queue active)"),
            self._line("lmtp", f"{queue}: to=<admin@example.com>, relay=mail.example.com[192.0.2.5]:7025, delay=0.1, delays=0/0/0/0.1, dsn=2.1.5, status=sent (250 2.1.5 OK)"),
        ]  # fmt: skip

    def login(self) -> list[str]:
        """A user sends mail."""
        queue, user = self._queue(), self._user()
        return [
            self._line("submission/smtpd", f"{queue}: client={self._client()}, sasl_method=PLAIN, sasl_username={user}"),
            self._line("qmgr", f"{queue}: from=<{user}>, size=5000, nrcpt=1 (queue active)"),
            self._line("smtp", f"{queue}: to=<{self._user('partner.de')}>, relay=mx.partner.de[203.0.113.20]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)"),
        ]  # fmt: skip

    def reject(self) -> list[str]:
        """A rejection by smtpd."""
        client, sender, to = self._client(), self._sender(), self._user()
        tail = f"from=<{sender}> to=<{to}> proto=ESMTP helo=<x>"
        return [self._line("smtpd", self._c.choice([
            f"NOQUEUE: reject: RCPT from {client}: 554 5.7.1 <{to}>: Relay access denied; {tail}",
            f"NOQUEUE: reject: RCPT from {client}: 550 5.1.1 <{to}>: Recipient address rejected: Example.com; {tail}",
            f"NOQUEUE: reject: RCPT from {client}: 554 5.7.1 Service unavailable; Client host [198.51.100.9] blocked using zen.dnsbl.example; {tail}",
            f"NOQUEUE: reject: RCPT from {client}: 450 4.1.8 <{sender}>: Sender address rejected: Domain not found; {tail}",
            f"NOQUEUE: reject: MAIL from {client}: 552 5.3.4 Message size exceeds fixed limit; proto=ESMTP helo=<x>",
            f"NOQUEUE: reject_warning: RCPT from {client}: 504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname; {tail}",
            f"{self._queue()}: discard: RCPT from {client}: <{to}>: Recipient address triggers DISCARD action; {tail}",
            f"{self._queue()}: hold: RCPT from {client}: <{to}>: Recipient address triggers HOLD action; {tail}",
            f"NOQUEUE: filter: RCPT from {client}: <{to}>: Sender address triggers FILTER smtp-amavis:[127.0.0.1]:10026; {tail}",
        ]))]  # fmt: skip

    def screen(self) -> list[str]:
        """A rejection by postscreen."""
        return [
            self._line("postscreen", f"NOQUEUE: reject: RCPT from [198.51.100.{self._c.randint(1, 250)}]:40000: 550 5.7.1 Service "
                                     f"unavailable; client [198.51.100.7] blocked using zen.dnsbl.example; from=<{self._sender()}>, "
                                     f"to=<{self._user()}>, proto=ESMTP, helo=<x>"),
        ]  # fmt: skip

    def content(self) -> list[str]:
        """A rejection of cleanup."""
        client, envelope = self._client(), f"from=<{self._sender()}> to=<{self._user()}> proto=ESMTP helo=<x>"
        tail = f"from {client}; {envelope}: 5.7.1 message content rejected"
        return [self._line("cleanup", f"{self._queue()}: " + self._c.choice([
            f"reject: header Subject: buy now {tail}",
            f"warning: header Subject: perhaps {tail}",
            f"hold: header Subject: later {tail}",
            f"milter-reject: END-OF-MESSAGE from {client}: 5.7.1 Command rejected; {envelope}",
        ]))]  # fmt: skip

    def warning(self) -> list[str]:
        """A warning of smtpd or another program."""
        client = self._client()
        program, text = self._c.choice([
            ("submission/smtpd", f"warning: {client}: SASL LOGIN authentication failed: authentication failure"),
            ("smtpd", f"warning: hostname x.sender.com does not resolve to address 198.51.100.{self._c.randint(1, 254)}"),
            ("smtpd", f"warning: non-SMTP command from {client}: GET / HTTP/1.1"),
            ("qmgr", "warning: mail for slow.example is using up 4001 of 8000 active queue entries"),
            ("smtpd", "fatal: no SASL authentication mechanisms"),
            ("master", "warning: process /usr/libexec/postfix/smtpd pid 5 exit status 1"),
        ])  # fmt: skip
        return [self._line(program, text)]

    def trouble(self) -> list[str]:
        """Another server does not answer."""
        return [self._line("smtp", "connect to mx.slow.example[203.0.113.5]:25: Connection refused"),
                f"{self._stamp(self.at)} mail postfix/postfix-script[7]: refreshing the Postfix mail system",
                f"{self._stamp(self.at)} mail postfix/master[99]: reload -- version 3.6.14, configuration /opt/zimbra/common/conf"]  # fmt: skip

    def quiet(self) -> list[str]:
        """Lines of other programs."""
        return [
            f"{self._stamp(self.at)} mail amavis[881]: (00881-01) Passed CLEAN {{RelayedInbound}}, [198.51.100.5]:25 <a@sender.com> -> <b@example.com>, Hits: -1, size: 900, 300 ms",
            f"{self._stamp(self.at)} mail saslauthd[771]: auth_zimbra: bob auth OK",
            f"{self._stamp(self.at)} mail slapd[55]: conn=1 op=2 SRCH base=\"ou=people\" scope=2",
            f"{self._stamp(self.at)} mail postfix/anvil[66]: statistics: max connection rate 1/60s for (smtp:198.51.100.1) at {self._stamp(self.at)}",
        ]  # fmt: skip
