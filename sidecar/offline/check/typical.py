"""Example lines of attacks in Zimbra's logs. The lines that a filter matches show what it is for."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from sidecar.detect.match.matcher import Matcher
from sidecar.fail2ban.spec import FilterSpec
from sidecar.host import regex_budget

_NOW = datetime(2026, 1, 6, tzinfo=UTC).timestamp()
_SMTPD = "Jan  5 10:00:01 mail postfix/{}smtpd[4711]: {}"
_REJECT = "NOQUEUE: reject: RCPT from unknown[203.0.113.7]: {}; from=<a@example.net> to=<b@example.com> proto=ESMTP helo=<x>"
_SOAP = (
    "2026-01-05 10:00:01,041 {}  [qtp1-116:https://mail.example.com{}/soap/AuthRequest] "
    "[name=bob@example.com;{}=203.0.113.7;ua=ZimbraWebClient - GC99 (Win)/9.0.0;soapId=72aefed5;] {}"
)
# URLs for users and for administrators, each via a proxy and directly.
_WAYS = [(url, key) for url in ("/service", ":7071/service/admin") for key in ("oip", "ip")]
_IMAP = "2026-01-05 10:00:01,041 WARN  [ImapSSLServer-5] [{};] {}"
_REQUEST = '203.0.113.7:40003 - - [05/Jan/2026:10:00:11 +0000]  "{}" {} 100 "-" "Mozilla/5.0" "10.0.0.2:8443" "10.0.0.1:443"'
_NGINX = (
    "2026/01/05 10:00:03 [info] 11#11: *77 client {}, client: 203.0.113.7{}, server: mail.example.com, {}"
)
_FAILED = "authentication failed for [bob@example.com]"

LINES: dict[str, tuple[str, ...]] = {
    "zimbra.log": (
        *(
            _SMTPD.format(service, text)
            for service in ("", "smtps/", "submission/")
            for text in (
                "warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: authentication failure",
                "warning: non-SMTP command from unknown[203.0.113.7]: GET / HTTP/1.1",
                _REJECT.format("550 5.1.1 <x@example.com>: Recipient address rejected: example.com"),
                _REJECT.format("554 5.7.1 <x@example.org>: Relay access denied"),
                _REJECT.format("504 5.5.2 <WIN-9QL4>: Helo command rejected: need fully-qualified hostname"),
                _REJECT.format("450 4.7.1 Client host rejected: cannot find your reverse hostname, [203.0.113.7]"),
                _REJECT.format("554 5.7.1 <unknown[203.0.113.7]>: Client host rejected: Access denied"),
                _REJECT.format("554 5.7.1 Service unavailable; Client host [203.0.113.7] blocked using bl.example"),
                _REJECT.format("450 4.1.8 <a@example.net>: Sender address rejected: Domain not found"),
                _REJECT.format("553 5.7.1 <a@example.net>: Sender address rejected: not logged in"),
                "disconnect from unknown[203.0.113.7] ehlo=1 auth=0/1 quit=1 commands=2/3",
                "lost connection after AUTH from unknown[203.0.113.7]",
            )
        ),
        _SMTPD.format("", "improper command pipelining after CONNECT from unknown[203.0.113.7]: x"),
        _SMTPD.format("", "too many errors after RCPT from unknown[203.0.113.7]"),
        _SMTPD.format("", 'warning: Illegal address syntax from unknown[203.0.113.7] in RCPT command: <"x$(id)">'),
        "Jan  5 10:00:01 mail postfix/postscreen[4712]: PREGREET 16 after 0.31 from [203.0.113.7]:21600: EHLO x",
        "Jan  5 10:00:01 mail postfix/postscreen[4712]: NON-SMTP COMMAND from [203.0.113.7]:21600 after CONNECT: GET",
    ),
    "mailbox.log": tuple(
        _IMAP.format("ip=203.0.113.7", f"account - authentication failed for bob@example.com ({reason})")
        for reason in ("invalid password", "no such account")
    ) + tuple(
        _SOAP.format("INFO", *way, text)
        for way in _WAYS
        for reason in ("invalid password", "account not found")
        for text in (
            f"account - Error occurred during authentication: {_FAILED}. Reason: {reason}.",
            f"SoapEngine - handler exception: {_FAILED}, {reason}",
        )
    ),
    "audit.log": tuple(
        _IMAP.format(context, f"security - cmd=Auth; account=bob; protocol=imap; error={_FAILED}, invalid password;")
        for context in ("ip=203.0.113.7", "ip=10.0.0.2;oip=203.0.113.7")
    ) + tuple(
        _SOAP.format("WARN", *way, f"security - cmd={command}; account=bob; protocol=soap; error={_FAILED}, {reason};")
        for way, command in zip(_WAYS, ("Auth", "Auth", "AdminAuth", "AdminAuth"), strict=True)
        for reason in ("invalid password", "account not found")
    ),
    "nginx.log": (
        _NGINX.format("sent plain HTTP request to HTTPS port while reading client request headers", "", 'request: "x"'),
        _NGINX.format("sent invalid method while reading client request line", "", 'request: "x"'),
        _NGINX.format('login failed: "Authentication credentials invalid" while in http auth state', ":5", 'login: "x"'),
    ),
    "nginx.access.log": (
        _REQUEST.format("GET https://mail.example.com/.env HTTP/1.1", 404),
        _REQUEST.format("GET /wp-login.php HTTP/1.1", 404),
        _REQUEST.format("POST https://mail.example.com/service/extension/backup/mboximport?x=1 HTTP/1.1", 401),
        _REQUEST.format("HELP", 400),
    ),
}  # fmt: skip


def taken(spec: FilterSpec) -> frozenset[tuple[str, str]]:
    """(log name, line) for each example line that a filter takes for a failure. Empty if a runaway regex could
    not be aborted (`regex_budget.is_limited`)."""
    return _taken(spec) if regex_budget.is_limited() else frozenset()


@lru_cache(maxsize=1024)
def _taken(spec: FilterSpec) -> frozenset[tuple[str, str]]:
    found = set()
    for log, lines in LINES.items():
        for line in lines:
            # A new matcher for each line, so that sessions and maxlines start afresh.
            if Matcher(spec, UTC).match(line, _NOW).matched:
                found.add((log, line))
    return frozenset(found)
