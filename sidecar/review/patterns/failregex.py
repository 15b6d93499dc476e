"""Proposes a failregex for a template: anchored, with <HOST> where the server names the client."""

from __future__ import annotations

from hashlib import blake2b

from sidecar.model import printable
from sidecar.review.patterns import innocent, soundness
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.reading.dissection import Parts
from sidecar.review.patterns.reading.log_forms import FORMS
from sidecar.review.patterns.reading.masking import (
    IDENTIFIER,
    MARKERS,
    NUMBER,
    REST,
    TAIL,
    literal,
    regex,
    shown,
)
from sidecar.review.patterns.template import LONGEST_SAMPLE, LineTemplate

# Of fewer lines it is not known what varies.
_LEAST_LINES = 3
# Letters that the varying part of a line must share, and those of a path.
_LEAST_LETTERS, _LEAST_PATH = 8, 3
_LONGEST = 2500
_SEGMENT = r'[^/\s"?]{1,300}'
_END = r"\]?$"


def pattern(log: str, template: LineTemplate) -> MinedPattern:
    """The pattern of a template of the log with this file name, with a failregex or why there is none."""
    text, why_not = _proposed(template)
    parts = template.parts
    return MinedPattern(
        id=_id(log, parts),
        log=log,
        kind=parts.kind,
        template=printable(_shown(parts)),
        count=template.count,
        clients=len(template.clients),
        first=template.first,
        last=template.last,
        samples=tuple(one._replace(line=one.line[:LONGEST_SAMPLE]) for one in template.samples),
        failregex="" if why_not else text,
        why_not=why_not,
    )


def _id(log: str, parts: Parts) -> str:
    text = "\0".join((log, parts.kind, *parts.head, "", *parts.words))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def _proposed(template: LineTemplate) -> tuple[str, str]:
    """A regex, and why it must not be used; either may be empty."""
    parts = template.parts
    if parts.kind not in FORMS:
        return "", f"no filter is known for a log of the grammar {parts.kind}"
    if why := innocent.reason(parts) or _unfit(template):
        return "", why
    text = _BUILDERS[parts.kind](parts)
    if len(text) > _LONGEST:
        return "", "the shared text is too long for a regex"
    return text, soundness.fault(text, parts.kind, template.samples)


def _unfit(template: LineTemplate) -> str:
    """Why no regex can be built from these lines."""
    parts = template.parts
    if template.count < _LEAST_LINES or len(template.samples) < 2:
        return f"it takes {_LEAST_LINES} lines, not all the same, to tell what varies in them"
    if any(len(one.line) > LONGEST_SAMPLE for one in template.samples):
        return f"its lines are longer than {LONGEST_SAMPLE} characters"
    if parts.kind == "nginx" and _letters(parts.head[1:], {NUMBER, IDENTIFIER}) < 0:
        return "text that a client can choose stands before its address"
    if parts.kind in ("nginx-access", "access"):
        if _letters((parts.head[2],), set()) < _LEAST_PATH:
            return "the requests have no path in common"
        return ""
    # In some lines the head only tells that something was rejected.
    vague = parts.kind == "mailbox" or ": reject: " in parts.head[1]
    shared = parts.words if vague else (*parts.head, *parts.words)
    return "" if _letters(shared, None) >= _LEAST_LETTERS else "its lines have too few words in common"


def _letters(words: tuple[str, ...], allowed: set[str] | None) -> int:
    """The number of letters in words; -1 if they have other markers than those allowed (None: any)."""
    text = "".join(words)
    if allowed is not None and any(c in MARKERS and c not in allowed for c in text):
        return -1
    return sum(c.isalpha() and c not in MARKERS for c in text)


def _postfix(parts: Parts) -> str:
    program, begin = parts.head
    return FORMS["zimbra"].begin[program] + regex(begin) + _ended(parts.words)


def _mailbox(parts: Parts) -> str:
    return f"{FORMS['mailbox'].begin['']}{literal(parts.head[0])} - {_ended(parts.words)}"


def _nginx(parts: Parts) -> str:
    level, before = parts.head
    where = r", client: <HOST>(?::\d+)?(?: using starttls)?, server:"
    return rf"{FORMS['nginx'].begin['']}{literal(level)} \d+#\d+: \*\d+ {regex(before)}{where}"


def _access(parts: Parts) -> str:
    method, status, *path = (*parts.head, *parts.words)
    rest = ""
    if path[-1] == REST:
        path, rest = path[:-1], r'/[^\s"]{0,2000}'
    segments = "/".join(_SEGMENT if MARKERS & set(one) else literal(one) for one in path)
    begin = FORMS[parts.kind].begin[""]
    query = rest or r'(?:\?[^\s"]{0,2000})?'
    return (
        rf'{begin}{literal(method)} (?:https?://[^/\s"]{{0,255}})?/{segments}{query} HTTP/[\d.]+" {status}\s'
    )


def _ended(words: tuple[str, ...]) -> str:
    """The regex of words up to the end of the line, or to where they differ in number."""
    if words[-1:] == (REST,):
        return regex(" ".join(words[:-1])) + r"(?:[ ;]|$)"
    text = regex(" ".join(words))
    return text if words[-1:] and words[-1].endswith(TAIL) else text + _END


def _shown(parts: Parts) -> str:
    if parts.kind == "zimbra":
        program, begin = parts.head
        return shown(f"postfix/{program}: {begin}{' '.join(parts.words)}")
    if parts.kind == "mailbox":
        return shown(f"{parts.head[0]} - {' '.join(parts.words)}")
    if parts.kind == "nginx":
        return shown(f"{parts.head[0]} {parts.head[1]}, client: CLIENT")
    method, status, *path = (*parts.head, *parts.words)
    return shown(f'"{method} /{"/".join(path)}" {status}')


_BUILDERS = {
    "zimbra": _postfix, "mailbox": _mailbox, "nginx": _nginx, "nginx-access": _access, "access": _access,
}  # fmt: skip
