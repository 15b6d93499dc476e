"""The forms of Zimbra's logs: what makes a line hostile, and how a failregex for it begins."""

from __future__ import annotations

from typing import NamedTuple

# Words of a mail server for what it does not put up with.
_WORDS = (
    "reject", "warning", "fail", "refused", "denied", "error", "invalid", "illegal", "attack", "blocked",
    "exceed", "improper", "violation", "malicious", "malformed", "forbidden", "unauthorized", "too many",
    "not allowed", "suspicious",
)  # fmt: skip
# Client errors, but for those that honest clients meet: 401 asks for a password, 408 and 499 are slow lines.
_STATUSES = tuple(
    f'" {status} '.encode()
    for status in (400, 403, 404, 405, 406, 411, 413, 414, 415, 417, 421, 429, 431, 444, 494, 495, 496, 497)
)
COMPOSE = r"(?:[\w.@-]+ +\| *)?"
# A client can send a date as its user name, but no quotation mark behind it.
_ACCESS_DATE = (rf'^\s*{COMPOSE}(?:\S+, )*\S+ - .*?\[(%d/%b/%Y:%H:%M:%S %z)(?=\] +")',)


class LogForm(NamedTuple):
    """How lines of one grammar are searched and matched.

    A line must contain one of `marks`, and the server's own words one of `words`, if there are any; a line
    that names a client contains one of `naming`. `grammar` is the filter's zmban.grammar if the regex has no
    <HOST>. `begin` maps the first part of a head to the beginning of the regex. `shortest` is the least
    length of the literal to scan for.
    """

    marks: tuple[bytes, ...]
    words: tuple[str, ...]
    naming: tuple[bytes, ...]
    begin: dict[str, str]
    grammar: str = ""
    datepattern: tuple[str, ...] = ()
    shortest: int = 8


_SYSLOG = rf"^\s*{COMPOSE}(?:<\w+\.\w+>\s+)?\S+\s+postfix(?:-\w+)?/"
_PROCESS = r"\[\d+\]:(?: \[ID \d+ \w+\.\w+\])?(?: message repeated \d+ times: \[)? "
_MARKED = tuple(word.encode() for word in _WORDS)
_ACCESS = LogForm(
    _STATUSES,
    (),
    (b" ",),
    {"": rf'^\s*{COMPOSE}(?:\S+, )*\S+ - .*? \[\] +"'},
    "log",
    _ACCESS_DATE,
    4,
)
FORMS: dict[str, LogForm] = {
    "zimbra": LogForm(
        _MARKED,
        _WORDS,
        (b"/smtpd[", b"/postscreen["),
        {
            "smtpd": rf"{_SYSLOG}(?:[\w-]+/)?smtpd{_PROCESS}",
            "postscreen": rf"{_SYSLOG}postscreen{_PROCESS}",
        },
    ),
    "mailbox": LogForm(
        _MARKED,
        _WORDS,
        (b"ip=",),
        {"": rf"^ *{COMPOSE}[A-Z]+ +\[\S*\] \[(?:[A-Za-z]\w*=(?:[^;]|;;)*;)*\] ?"},
        "mailbox",
    ),
    "nginx": LogForm(
        (*_MARKED, b"client sent "),
        (*_WORDS, "client sent "),
        (b", client: ",),
        {"": rf"^ *{COMPOSE}"},
    ),
    "nginx-access": _ACCESS,
    "access": _ACCESS,
}
# Of a log without a grammar.
NO_FORM = LogForm((), (), (), {})
