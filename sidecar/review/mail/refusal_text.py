"""Short, comparable texts from lines of Postfix: why a message was rejected, bounced or deferred, and by
whom."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 100
_REJECT = re.compile(r"\b(?:reject(?:_warning)?|hold|discard): (\S+) from (\S+?): (.*)")
_CODE = re.compile(r"(?:\d{3} )?(?:\d\.\d{1,3}\.\d{1,3} )?")
# An address or HELO that the client wrote, at the beginning of the response.
_QUOTED = re.compile(r"<.*?>: ")
_BLOCKED = re.compile(
    r"(?:Service unavailable; )?(?:client|Client host|Sender address) .+? blocked (using \S+)?"
)
_ADDRESS_OF = re.compile(r"((?:Sender|Recipient) address rejected): ([^:;,]+)")
# The client in a rejection by cleanup, and what follows it.
_CONTENT_CLIENT = re.compile(r"(?:^| )from ([^\s\[]*\[[^\]]*\])(?::\d+)?(?:; from=<.*|: (.*))?$")
_DIGITS = tuple("0123456789")
_PORT = re.compile(r"(?<=\]):\d+$")
_CLIENT = re.compile(r"(?:(?<=\s)|^)[^\[\]\s]*\[[0-9A-Fa-f:.]+(?:%\w+)?\](?::\d+)?")
_IN_ANGLES = re.compile(r"<[^<>]*>")
_NUMBERS = re.compile(r"\b\d[\d.:/]*\b")
_SAID = re.compile(r".* said: ")
_HOST = re.compile(r"([^\[]*)\[((?:\d{1,3}\.){3}\d{1,3})\]")
_SLASHED = re.compile(r"([^/]*)/([0-9A-Fa-f.:]+)")
_ANY_HOST = re.compile(r"([^\[(/]*)[\[(/]([^\])]+)[\])]:?\d*$")
# The last labels of a host name, such as example.com of mx1.example.com.
_DOMAIN = re.compile(r".*\.([^.]+)\.([^.]{3}|[^.]{2,3}\.[^.]{2})$")


def short(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


@lru_cache(4096)
def domain_of(client: str) -> str:
    """The domain of a client `NAME[ADDRESS]`, by pflogsumm's rule; the address if it has no name."""
    found = _HOST.match(client) or _SLASHED.match(client) or _ANY_HOST.match(client)
    if found is None:
        return client
    name, address = found[1], found[2]
    if name in ("", "unknown"):
        return address
    ending = _DOMAIN.match(name)
    return f"{ending[1]}.{ending[2]}".lower() if ending else name


def rejection(line: str) -> tuple[str, str, str]:
    """Stage (`RCPT`), reason and client of a line of smtpd or postscreen that rejects."""
    found = _REJECT.search(line)
    if found is None:
        return "?", short(masked(line)), "?"
    stage, client, response = found.groups()
    if client.endswith(_DIGITS):
        client = _PORT.sub("", client)
    # What the client wrote differs in each line; what is left does not.
    text = _CODE.sub("", response.partition("; from=<")[0], count=1)
    return stage, _reason(_QUOTED.sub("", text, count=1) if text.startswith("<") else text), client


@lru_cache(4096)
def _reason(text: str) -> str:
    if blocked := _BLOCKED.match(text):
        return short(f"blocked {blocked[1] or ''}".strip().rstrip(";"))
    if address := _ADDRESS_OF.match(text):
        return short(_without_numbers(f"{address[1]}: {address[2]}"))
    return short(_without_numbers(text.partition(";")[0]))


def content_rejection(kind: str, rest: str) -> tuple[str, str]:
    """Reason and client of a rejection by header_checks, body_checks or a milter."""
    found = _CONTENT_CLIENT.search(rest)
    if found is None:
        return short(f"{kind} {masked(rest)}"), ""
    said = _CODE.sub("", (found[2] or "").partition(";")[0], count=1)
    return short(f"{kind} {rest[: found.start()]}{said}".rstrip()), found[1]


def masked(text: str) -> str:
    """A text without the client, addresses and numbers in it, so that equal events are counted together."""
    return _without_numbers(_CLIENT.sub("CLIENT", text, count=1) if "[" in text else text)


@lru_cache(4096)
def _without_numbers(text: str) -> str:
    return _NUMBERS.sub("#", _IN_ANGLES.sub("<>", text))


@lru_cache(4096)
def response(text: str) -> str:
    """What a server said about a message that was bounced or deferred."""
    said = _SAID.sub("", text, count=1).removeprefix("connect to ")
    return short(masked(_CODE.sub("", said, count=1)))
