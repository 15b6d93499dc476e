"""Compiles Fail2Ban's date patterns to regexes: `%`-tokens as in strftime, `%Ex?` for exact widths,
`{^LN-BEG}` for the beginning of a line, EPOCH, LEPOCH and TAI64N."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from sidecar.model import ConfigError

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "mon tue wed thu fri sat sun".split()
_LONG_MONTHS = "january february march april may june july august september october november december"
_LONG_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_OFFSET = r"Z|UTC|GMT|[+-][01]\d(?::?\d{2})?"
_WEEK = r"5[0-3]|[0-4]\d|\d"
_TOKENS = {
    "a": "|".join(WEEKDAYS),
    "A": _LONG_DAYS.replace(" ", "|"),
    "b": "|".join(MONTHS),
    "B": _LONG_MONTHS.replace(" ", "|"),
    "d": r"[1-2]\d|[0 ]?[1-9]|3[0-1]",
    "f": r"\d{1,6}",
    "G": r"\d{4}",
    "H": r"[0-1]?\d|2[0-3]",
    "I": r"1[0-2]|0?[1-9]",
    "j": r"36[0-6]|3[0-5]\d|[1-2]\d\d|0?[1-9]\d|0{0,2}[1-9]",
    "k": r" ?[0-2]?\d",
    "l": r" ?1?\d",
    "m": r"0?[1-9]|1[0-2]",
    "M": r"[0-5]?\d",
    "p": r"[ap]m",
    "S": r"[0-5]?\d|6[0-1]",
    "u": r"[1-7]",
    "U": _WEEK,
    "V": _WEEK,
    "w": r"[0-6]",
    "W": _WEEK,
    "y": r"\d{2}",
    "Y": r"\d{4}",
    "z": _OFFSET,
    "Z": r"Z|[A-Z]{3,5}",
    "Exd": r"0[1-9]|[12]\d|3[01]",
    "ExH": r"[01]\d|2[0-3]",
    "Exk": r" ?[0-2]?\d",
    "Exl": r" ?1?\d",
    "Exm": r"0[1-9]|1[0-2]",
    "ExM": r"[0-5]\d",
    "ExS": r"[0-5]\d|6[01]",
    "Exy": r"\d{2}",
    # Only years that current logs contain, so that other numbers of four digits are not taken for a year.
    "ExY": r"20[0-3]\d",
    "Exz": rf"(?:[A-Z]{{3,5}})?[+-][01]\d(?::?\d{{2}})?|{_OFFSET}|[A-Z]{{3,5}}",
    "ExZ": r"Z|[A-Z]{3,5}",
}
_COMPOUND = {"%c": "%a %b %d %H:%M:%S %Y", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}
_TOKEN = re.compile(r"%(Ex[a-zA-Z]|[a-zA-Z%])?")
_NAMES = re.compile(r"%(?:[aAbBpc])")
_SYSLOG = r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?"

DEFAULT_PATTERNS = (
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    _SYSLOG,
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    r"EPOCH",
    r"{^LN-BEG}%H:%M:%S",
    r"^<%m/%d/%Exy@%H:%M:%S>",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"^%b-%d-%Exy %k:%M:%S",
    r"%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?",
    rf"(?:%Z )?{_SYSLOG}",
    # Not directly after a word character, where the sign is a hyphen.
    rf"(?:(?<!\w)%z )?{_SYSLOG}",
    r"TAI64N",
)
_MOST_PATTERNS = 200
LINE_BEGIN, UNBOUND = "{^LN-BEG}", "{UNB}"
_EPOCH = r"(?P<epoch>\d{10,11}\b(?:\.\d{3,6})?)"
_LONG_EPOCH = r"(?P<epoch>\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?)"
_TAI64N = r"(?P<tai>(?<!\w)@[0-9a-f]{24})"
_EPOCH_NAME = re.compile(r"\{(L?)EPOCH\}")
_ANCHORED = re.compile(r"\(*(?:\?:)?(?:\^|\\A)")
_ENDED = re.compile(r"(?<!\\)(?:\$|\\b|\\s)\)*$")
_OWN_GROUP = re.compile(r"(?<!\\)\((?!\?)")
_LEADING_FLAGS = re.compile(r"(\(*)\(\?([aiLmsux]+)\)")
_KEYWORD = re.compile(r"\{[A-Z^][A-Z^-]*\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One date pattern as a regex; its first group is removed from the line.

    `anchored`: it only matches at the beginning of a line.
    """

    regex: re.Pattern[str]
    anchored: bool
    pattern: str

    @classmethod
    def compile(cls, pattern: str, *, anchored: bool = False) -> Template:
        """Raises ConfigError for an invalid regex, and for a repeated or unknown token."""
        name = f"{LINE_BEGIN}{pattern}" if anchored else pattern
        body = pattern.removeprefix(UNBOUND)
        bound = body == pattern
        anchored = anchored or body.startswith(LINE_BEGIN)
        body = body.removeprefix(LINE_BEGIN)
        open_start, open_end = body.startswith("**"), body.endswith("**")
        body = body.removeprefix("**").removesuffix("**")
        flags = re.IGNORECASE if _NAMES.search(body) else 0
        if body in ("EPOCH", "LEPOCH"):
            text = _epoch_alone(body == "LEPOCH", anchored=anchored)
            anchored = False
        else:
            text = _grouped(pattern, body)
            own = bool(_ANCHORED.match(body))
            if anchored and not own:
                text = rf"^(?:\W{{0,2}})?{text}"
            elif bound and not (own or open_start):
                text = rf"(?=^|\b|\W){text}"
            if bound and not (open_end or _ENDED.search(body)):
                text = rf"{text}(?=\b|\W|$)"
            anchored = anchored or own
        try:
            with warnings.catch_warnings():
                # An ambiguous set such as [[a] only causes a warning.
                warnings.simplefilter("ignore")
                return cls(re.compile(text, flags), anchored, name)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise ConfigError(f"datepattern {pattern!r}: {error}") from error


def _epoch_alone(long: bool, *, anchored: bool) -> str:
    """The regex for epoch seconds at the beginning of a line, in brackets there, or in `audit(...:NNN)`."""
    digits = _LONG_EPOCH if long else _EPOCH
    if anchored:
        return rf"^(?:\W{{0,2}})?({digits})(?=\b|\W|$)"
    before = r"(?:^|(?P<square>(?<=^\[))|(?P<audit>(?<=\baudit\()))"
    return rf"({before}{digits})(?=\b|\W|$)(?(audit)(?=:\d+\)))(?(square)(?=\]))"


def _grouped(pattern: str, body: str) -> str:
    """The pattern with its tokens as groups; without a group of its own, all of it is the first group."""
    if body == "TAI64N":
        return f"({_TAI64N})"
    for word, meaning in _COMPOUND.items():
        body = body.replace(word, meaning)
    unknown = next((w for w in _KEYWORD.findall(body) if not _EPOCH_NAME.fullmatch(w)), None)
    if unknown:
        raise ConfigError(f"datepattern {pattern!r}: {unknown} is unknown")

    def token(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "%":
            return "%"
        if name not in _TOKENS:
            raise ConfigError(f"datepattern {pattern!r}: {found.group()} is unknown; write %% for %")
        return f"(?P<{name.removeprefix('Ex')}>{_TOKENS[name]})"

    head = _LEADING_FLAGS.match(body)
    flags = ""
    if head and not head.group(1):
        flags, body = head.group(), body[head.end() :]
    text = _TOKEN.sub(token, body)
    if _EPOCH_NAME.search(text):
        text = _EPOCH_NAME.sub(lambda found: _LONG_EPOCH if found.group(1) else _EPOCH, text, count=1)
        text = f"({text})"
    elif not _OWN_GROUP.search(text):
        text = f"({text})"
    return f"(?{flags[2:-1]}:{text})" if flags else text


DEFAULTS = [
    *(Template.compile(p, anchored=True) for p in DEFAULT_PATTERNS if not p.startswith(("^", LINE_BEGIN))),
    *(Template.compile(p) for p in DEFAULT_PATTERNS),
]


def expand(patterns: list[str]) -> list[Template]:
    """The templates of the lines of a `datepattern`, in order, without duplicates. Raises ConfigError that
    names the invalid line."""
    found: dict[str, Template] = {}
    if len(patterns) > _MOST_PATTERNS:
        raise ConfigError(
            f"datepattern has more than {_MOST_PATTERNS} lines; keep those that occur in the log"
        )
    for line in patterns:
        pattern = line.strip()
        if pattern in ("{DEFAULT}", ""):
            templates = DEFAULTS
        elif pattern == LINE_BEGIN:
            templates = [t for t in DEFAULTS if t.anchored or t.pattern.startswith(LINE_BEGIN)]
        elif pattern == "{NONE}":
            templates = []
        elif "{DATE}" in pattern:
            templates = [
                Template.compile(pattern.replace("{DATE}", _embeddable(p))) for p in DEFAULT_PATTERNS
            ]
        else:
            templates = [Template.compile(pattern)]
        found |= {t.regex.pattern: t for t in templates}
    return list(found.values())


# `\\[(date)(?=\\]`: exactly one capturing group.
_IN_BRACKETS = re.compile(r"^(?:[^()]|\(\?:[^()]*\))*\\\[\(%[^()]*\)\(\?=\\\]")


def cuts_the_beginning(pattern: str) -> bool:
    """Whether the text that a pattern removes always starts at the first character of the line."""
    body = pattern.strip()
    return body.startswith("^") and not _OWN_GROUP.search(body)


def cuts_in_brackets(pattern: str) -> bool:
    """Whether the text that a pattern removes is the complete content of a pair of square brackets."""
    return _IN_BRACKETS.search(pattern) is not None


def _embeddable(pattern: str) -> str:
    """A default pattern without its anchor, to be used inside another pattern."""
    if pattern in ("EPOCH", "LEPOCH"):
        return f"{{{pattern}}}"
    body = pattern.removeprefix(LINE_BEGIN).removeprefix("^")
    return _TAI64N if body == "TAI64N" else body
