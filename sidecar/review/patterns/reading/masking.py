"""Masks the parts of a log line that vary by themselves: addresses, numbers, identifiers, quoted text."""

from __future__ import annotations

import re

# One character each, from Unicode's private area: a line that contains one has it replaced first.
ANGLE, QUOTED, BRACKET, ADDRESS, NUMBER, IDENTIFIER, MAIL, VALUE, WORD, REST, TAIL, QUEUE, NAMED, BARE = map(
    chr, range(0xE000, 0xE00E)
)
_OURS = re.compile("[\ue000-\ue00d]")
_MAIL = r"[^\s<>,;:\"'\[\]()={}]"

# What each marker stands for, as a regex. It never matches more than what is masked, so that it cannot take
# in the text that follows.
REGEX: dict[str, str] = {
    ANGLE: r"<[^<>]{0,1000}>",
    QUOTED: r'"[^"]{0,2000}"',
    BRACKET: r"\[[^\[\]]{0,1000}\]",
    ADDRESS: r"[0-9A-Fa-f:.]{2,45}",
    NUMBER: r"\d[\d.]{0,20}",
    IDENTIFIER: r"[0-9A-Za-z]{5,80}",
    MAIL: rf"{_MAIL}{{1,200}}@{_MAIL}{{0,260}}",
    VALUE: r"[^\s;,]{1,1000}",
    WORD: r"\S{0,1000}",
    REST: "",
    TAIL: r"(?:;|\]?$)",
    QUEUE: r"(?:NOQUEUE|\w{5,})",
    # Where the server names the client.
    NAMED: r"[^\[\]\s]*\[<HOST>\](?::\d+)?",
    BARE: r"<HOST>",
}
_SHOWN = {
    ANGLE: "<*>", QUOTED: '"*"', BRACKET: "[*]", REST: "...", TAIL: "; ...", NAMED: "CLIENT", BARE: "CLIENT",
}  # fmt: skip
CLIENTS = (NAMED, BARE)
MARKERS = frozenset(REGEX)

_VARIABLE = re.compile(
    r"(?P<angle><[^<>]{0,1000}>)"
    r'|(?P<quoted>"[^"]{0,2000}")'
    r"|(?P<bracket>\[[^\[\]]{0,1000}\])"
    rf"|(?P<mail>(?<![^\s=:,;(]){_MAIL}{{1,200}}@{_MAIL}{{0,260}})"
    # The values of these keys are words of the server.
    r"|(?<=\w)=(?<!\bcmd=)(?<!error=)(?<!protocol=)(?<!proto=)(?P<value>[^\s;,]{1,1000})"
    r"|(?<![\w.:])(?P<address>\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w.:])"
    r"|(?<![\w.-])(?P<identifier>(?=[0-9A-Za-z]{0,80}\d)(?=[0-9A-Za-z]{0,80}[A-Za-z])[0-9A-Za-z]{8,80})(?![\w-])"
    # A reply code has three digits, and an enhanced one is N.N.N.
    r"|(?<![\w.-])(?P<number>\d{4,20}|\d{1,20}\.\d{1,20})(?![\w.-])"
)
_MARKS = {
    "angle": ANGLE, "quoted": QUOTED, "bracket": BRACKET, "mail": MAIL, "address": ADDRESS,
    "identifier": IDENTIFIER, "number": NUMBER,
}  # fmt: skip


def plain(text: str) -> str:
    """Text of a log without our markers."""
    return _OURS.sub("\ufffd", text)


def unmarked(text: str) -> str:
    """Marked text without its markers."""
    return _OURS.sub("", text)


def masked(text: str, keep: frozenset[str] = frozenset()) -> str:
    """`plain` text with a marker in place of each variable part, but for the quoted texts to `keep`."""

    def mark(found: re.Match[str]) -> str:
        if found["value"] is not None:
            return f"={VALUE}"
        return found[0] if found[0] in keep else _MARKS[found.lastgroup or "angle"]

    return _VARIABLE.sub(mark, text)


def shown(text: str) -> str:
    """Marked text for people: `*` for what varies, CLIENT for the client."""
    return "".join(_SHOWN.get(c, "*") if c in MARKERS else c for c in text)


def literal(text: str) -> str:
    """A regex for exactly this text, safe in a file of Fail2Ban: no tag, comment, line break or control
    character is left in it."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in " -&~":
        return character
    # `<x>` is a tag, ` ;` and ` #` begin a comment.
    if character in "<>;#" or not character.isprintable() or not character.isascii():
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return re.escape(character)


def regex(text: str) -> str:
    """The regex of marked text, literals escaped."""
    return "".join(REGEX[c] if c in MARKERS else _escaped(c) for c in text)
