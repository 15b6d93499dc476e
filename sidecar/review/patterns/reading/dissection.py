"""Takes a hostile line apart: what the server wrote up to the client, and the words after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from sidecar.detect.grammar import GRAMMARS, mailbox
from sidecar.detect.grammar.addresses import ZONE, bare, canonical
from sidecar.model import LineFacts
from sidecar.review.patterns.reading.masking import (
    BARE,
    NAMED,
    NUMBER,
    QUEUE,
    REST,
    TAIL,
    masked,
    plain,
    unmarked,
)

_LONGEST = 4000
_MOST_WORDS = 32
_REPEATED = re.compile(r"message repeated \d+ times: \[ ?(.*?)\]?\s*$", re.DOTALL)
_PROGRAM = re.compile(r"postfix[\w-]*/(?:[\w-]+/)*(smtpd|postscreen)")
_QUEUED = re.compile(r"(?:NOQUEUE|[0-9A-Za-z]{5,80}): ")
_TOKEN = re.compile(rf"[^\[\]\s]*\[(?:IPv6:)?([0-9A-Fa-f:.]{{2,45}}){ZONE}\](?::\d+)?")
_DIGITS = re.compile(r"(?<![\w.])\d[\d.]{0,20}(?![\w.])")
# Where Postfix begins to list what the client said of itself.
_ENVELOPE = re.compile(r"; (?:from=<|to=<|proto=|helo=<)")
_REPLY = re.compile(r": ([45]\d\d)(?: (\d\.\d{1,3}\.\d{1,3}))?(?= |$)")
_NGINX = re.compile(r"\s*(?:[\w.@-]+ +\| *)?(\[[a-z]+\]) \d+#\d+: \*\d+ ")
_NGINX_CLIENT = re.compile(rf", client: (\[[0-9A-Fa-f:.]+{ZONE}\](?::\d+)?|[0-9A-Fa-f:.]+{ZONE})")
# Quoted words that nginx itself writes.
_NGINX_WORDS = frozenset(('"Host"', '"Content-Length"', '"Transfer-Encoding"', '"Expect"', '"Upgrade"'))
_REQUEST = re.compile(
    r'([A-Z][A-Z_-]{2,20}) (?:https?://[^/\s"]{0,255})?(/[^\s?"]{0,2000})(?:\?\S*)? HTTP/[\d.]+'
)
_MOST_SEGMENTS = 8


class Parts(NamedTuple):
    """A dissected line of a log of the grammar `kind`. Lines of one pattern have the same `head`, but
    `words` may differ. Both contain markers of `masking` for what varies."""

    kind: str
    head: tuple[str, ...]
    words: tuple[str, ...]


def parts(kind: str, text: str, facts: LineFacts) -> Parts | None:
    """Dissect a line without its date, of which the grammar `kind` has read these facts (with a client). None
    for a kind of line of which no pattern is made."""
    take = _KINDS.get(kind)
    found = take(plain(text[:_LONGEST]), facts) if take else None
    return Parts(kind, *found) if found else None


def is_whole(found: Parts) -> bool:
    """Whether parts that were stored have the form of those of `parts`."""
    lengths = {"zimbra": 2, "mailbox": 1, "nginx": 2, "nginx-access": 3, "access": 3}
    if len(found.head) != lengths.get(found.kind):
        return False
    return found.kind != "zimbra" or found.head[0] in ("smtpd", "postscreen")


_Found = tuple[tuple[str, ...], tuple[str, ...]]


def _postfix(text: str, facts: LineFacts) -> _Found | None:
    details = GRAMMARS["zimbra"].details(text)
    program = _PROGRAM.fullmatch(details.get("program", ""))
    if program is None:
        return None
    message = details["message"]
    if message.startswith("message repeated ") and (repeated := _REPEATED.match(message)):
        message = repeated[1]
    token = _client_token(message, facts.client or "")
    if token is None:
        return None
    before, behind = message[: token.start()], message[token.end() :]
    queued = _QUEUED.match(before)
    if queued and (queued[0] == "NOQUEUE: " or any(map(str.isdigit, queued[0]))):
        before = f"{QUEUE}: {before[queued.end() :]}"
    before = _DIGITS.sub(NUMBER, before)
    name = NAMED if program[1] == "smtpd" else f"[{BARE}]:{NUMBER}"
    tail = ""
    if envelope := _ENVELOPE.search(behind):
        behind, tail = behind[: envelope.start()], TAIL
    reply = _REPLY.match(behind)
    head = (program[1], before + name + (reply[0] if reply else ""))
    return head, _words(masked(behind[reply.end() if reply else 0 :]) + tail)


def _client_token(message: str, client: str) -> re.Match[str] | None:
    """The first bracketed address, if it is the client: text from a client only comes behind it."""
    found = _TOKEN.search(message)
    return found if found and canonical(found[1]) == client else None


def _mailbox(text: str, _facts: LineFacts) -> _Found | None:
    line = mailbox.parts(text)
    if line is None:
        return None
    # Of somebody who is logged in; a mistake of theirs is no attack.
    if line.fields.get("name") and "auth" not in line.message:
        return None
    return (line.component,), _words(masked(line.message))


def _nginx(text: str, facts: LineFacts) -> _Found | None:
    begin = _NGINX.match(text)
    client = _NGINX_CLIENT.search(text)
    if begin is None or client is None or facts.client not in (canonical(client[1]), bare(client[1])):
        return None
    before = text[begin.end() : client.start()]
    return (begin[1], _DIGITS.sub(NUMBER, masked(before, _NGINX_WORDS))), ()


def _access(_text: str, facts: LineFacts) -> _Found | None:
    request = _REQUEST.fullmatch(facts.fields.get("request", ""))
    status = facts.fields.get("status", "")
    if request is None or not status:
        return None
    first, *more = _segments(request[2])
    return (request[1], status, first), tuple(more)


def _segments(path: str) -> list[str]:
    segments = [masked(one) for one in path[1:].split("/")]
    if len(segments) > _MOST_SEGMENTS:
        segments[_MOST_SEGMENTS:] = [REST]
    return segments


def _words(text: str) -> tuple[str, ...]:
    words = text.split(" ")
    return tuple(words) if len(words) <= _MOST_WORDS else (*words[:_MOST_WORDS], REST)


def spoken(found: Parts) -> str:
    """The text of a line that does not vary, in lower case."""
    return unmarked(" ".join((*found.head, *found.words))).lower()


_KINDS: dict[str, Callable[[str, LineFacts], _Found | None]] = {
    "zimbra": _postfix,
    "mailbox": _mailbox,
    "nginx": _nginx,
    "nginx-access": _access,
    "access": _access,
}
