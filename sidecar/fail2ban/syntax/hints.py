"""Suggestions for typing errors: similar names, characters changed by web pages, a lost `<HOST>`."""

from __future__ import annotations

import html
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache

# The options of a jail; any other name is a variable for %(name)s.
JAIL_OPTIONS = (
    "action", "backend", "bantime", "bantime.factor", "bantime.formula", "bantime.increment",
    "bantime.maxtime", "bantime.multipliers", "bantime.overalljails", "bantime.rndtime", "datepattern",
    "enabled", "failregex", "filter", "findtime", "ignorecache", "ignorecommand", "ignoreip", "ignoreregex",
    "ignoreself", "journalmatch", "logencoding", "logpath", "logtimezone", "maxlines", "maxmatches",
    "maxretry", "prefregex", "skip_if_nologs", "systemd_if_nologs", "usedns",
)  # fmt: skip
# Variables of Fail2Ban's jail.conf; some are similar to options.
_VARIABLES = {
    "action_", "action_mw", "action_mwl", "action_xarf", "banaction", "chain", "destemail", "mode", "mta",
    "port", "protocol", "sender",
}  # fmt: skip

_LONGEST_OPTION = 25
_LONGEST_NAME = 80
# Names that other programs use for these options.
_OTHER_WORDS = {
    **dict.fromkeys(("active", "activate", "activated", "disable", "disabled"), "enabled"),
    **dict.fromkeys(("enabling", "enables", "on", "off", "switch"), "enabled"),
    **dict.fromkeys(("log", "logs", "logfile", "logfiles"), "logpath"),
    **dict.fromkeys(("whitelist", "allowlist", "ignore"), "ignoreip"),
}
_SEPARATORS = re.compile(r"[-_.\s]+")
_ENDING = re.compile(r"(?:\.(?:conf|local|txt))+$")

_CURES = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u201a", "'"),
    **dict.fromkeys("\u201c\u201d\u201e", '"'),
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", "a space"),
    **dict.fromkeys("\u00ad\u200b\ufeff", "nothing"),
    "\u2026": "...",
}
_TYPOGRAPHIC = re.compile(f"[{''.join(_CURES)}]")
_MARKUP = set("<>&\"'")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,5}|#[xX][0-9a-fA-F]{1,4});")
# Places of the client in lines of mail servers that are empty after a web page removed `<HOST>` as markup.
_REMOVED_HOST = (
    (re.compile(r"\\\[\\?\]"), r"\[<HOST>\]"),
    (re.compile(r"(?<!\\)\[\]"), r"\[<HOST>\]"),
    (re.compile(r"\b(o?ip)=;"), r"\1=<HOST>;"),
    (re.compile(r"\b(client|from)(:?)(\\s[+*]?|\s)\s*(?=,|$)"), r"\1\2\3<HOST>"),
)
_HOST_TAG = re.compile(r"<(?:HOST|ADDR|DNS|SUBNET|IP[46]|F-(?:ADDR|DNS|IP[46]|ID)/?)>")
_ALMOST = re.compile(r"<\s*host\s*/?>|\[HOST\]|\{HOST\}|%HOST%|\bHOST\b", re.I)
# Signs of a regex. A space is none, since names of variables may contain one.
_REGEX = re.compile(r"\\[a-zA-Z\[\](){}./]|\.[*+]|[*+^$|(){}<>]|\[\^")
_POSITION = re.compile(r" at position \d+(?: \(line \d+, column \d+\))?")


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the most similar known name, or ""."""
    found = closest(word, known)
    return f"; did you mean {found}?" if found else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that differs from `word` by one or two wrong, extra, missing or transposed letters, by
    its separators or by the order of its parts. None if there is none."""
    words = _words(word[:_LONGEST_NAME])
    found = [(many, name) for name in known if (many := _typos(words, _words(name))) is not None]
    return min((one for one in found if one[1] != word), default=(0, None))[1]


def _words(name: str) -> list[str]:
    bare = _ENDING.sub("", name.strip().lower())
    return [word for word in _SEPARATORS.split(bare) if word]


def _typos(word: list[str], name: list[str]) -> int | None:
    """The number of typing errors between two names; None if too many for names of this length."""
    if sorted(word) == sorted(name):
        return 0
    # A common prefix must not count as similarity: zimbra-audit is not similar to zimbra-admin.
    while len(word) > 1 and len(name) > 1 and word[0] == name[0]:
        word, name = word[1:], name[1:]
    one, other = "".join(word), "".join(name)
    longer = max(len(one), len(other))
    most = 0 if longer < 3 else 1 if longer < 6 else 2
    if abs(len(one) - len(other)) > most:
        return None
    typos = _distance(one, other)
    return typos if typos <= most else None


def _distance(one: str, other: str) -> int:
    """Damerau-Levenshtein distance (adjacent transpositions count once)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if before and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


@lru_cache(maxsize=4096)
def misspelt(key: str) -> str | None:
    """The jail option that an unknown one probably means; None if there is none."""
    bare = _SEPARATORS.sub("", key)
    if {key, bare} & _VARIABLES or key in JAIL_OPTIONS or len(key) > _LONGEST_OPTION:
        return None
    if meant := _OTHER_WORDS.get(bare):
        return meant
    # Wrong separators; the prefix check is for variables such as sshd_backend, which does not mean backend.
    plain = {_SEPARATORS.sub("", name): name for name in JAIL_OPTIONS if name[:3] == bare[:3]}
    found = get_close_matches(key, JAIL_OPTIONS, 1, 0.77) or get_close_matches(bare, plain, 1, 0.77)
    return plain.get(found[0], found[0]) if found else None


def is_variable(key: str) -> bool:
    """Whether Fail2Ban's jail.conf has a variable of this name."""
    return key in _VARIABLES


def copied(text: str) -> Iterator[str]:
    """One message per kind of typographic character or HTML entity in a line copied from elsewhere."""
    cures: dict[str, list[str]] = {}
    for char in dict.fromkeys(_TYPOGRAPHIC.findall(text)):
        code = f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()
        cures.setdefault(_CURES[char], []).append(f"{char} ({code})" if char.isprintable() else code)
    for cure, chars in cures.items():
        verb = "is" if len(chars) == 1 else "are"
        yield f"{' and '.join(chars)} from a web page or word processor {verb} taken literally; write {cure}"
    entities = {entity: html.unescape(entity) for entity in _ENTITY.findall(text)}
    # Other entities occur literally in logs, in the names of robots.
    entities = {entity: plain for entity, plain in entities.items() if plain in _MARKUP or plain in _CURES}
    if entities:
        plain = " and ".join("a space" if c.isspace() else c for c in entities.values())
        entity = "is an HTML entity" if len(entities) == 1 else "are HTML entities"
        yield f"{' and '.join(entities)} {entity} for {plain}; write {plain}"


def unclosed(given: Mapping[str, str]) -> Iterator[str]:
    """One message per value in brackets with an unclosed quote, which Fail2Ban takes for part of the
    value."""
    for key, value in given.items():
        if value[:1] in ("'", '"'):
            yield f"{key} = {value[:60]} has no closing quote; write {key}={value[0]}...{value[0]}"


def lost_host(text: str) -> str:
    """Where to write `<HOST>` in a regex that has none, as the end of a sentence."""
    if "(?P<host>" in text:
        return "; (?P<host>...) is the syntax of old releases: write <HOST> instead of the whole group"
    plain = html.unescape(text)
    if plain != text and _HOST_TAG.search(plain):
        return "; a web page changed its brackets: write <HOST> instead of &lt;HOST&gt;"
    almost = _ALMOST.search(text)
    if almost:
        return f"; write <HOST> instead of {almost.group()}"
    for place, cure in _REMOVED_HOST:
        found = place.search(text)
        if found:
            return f"; a web page may have removed it: write {found.expand(cure)} instead of {found.group()}"
    return "; write <HOST> in place of the client's address"


def compiling(error: Exception, text: str) -> str:
    """Why a regex does not compile. Positions are left out: they refer to the generated regex, which the
    administrator does not see."""
    try:
        # Compile without the groups generated for <HOST>, so that the error is in the administrator's part.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(_HOST_TAG.sub("h", text))
    except re.error as own:
        error = own
    except (OverflowError, RecursionError, ValueError):
        pass
    reason = _POSITION.sub("", str(error))
    if "redefinition of group name" in reason and len(_HOST_TAG.findall(text)) > 1:
        return "it contains <HOST> twice; keep that of the client to ban and write \\S+ for the other"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if reason.startswith("unterminated character set"):
        removed = not _HOST_TAG.search(text) and any(place.search(text) for place, _ in _REMOVED_HOST)
        return reason + (lost_host(text) if removed else "; write \\[ for a bracket in the log")
    if reason.startswith(("missing ), unterminated subpattern", "unbalanced parenthesis")):
        return f"{reason}; write \\( and \\) for parentheses in the log"
    return reason


def path(text: str) -> str:
    """What is wrong with a line of `logpath` that is not one absolute path or glob."""
    if not text.startswith("/"):
        return f"{text!r} is a relative path; write an absolute one, such as /var/log/zimbra.log"
    return f"{text!r} contains a space; write ? for a space in a name, and each path on its own line"


def regex_like(name: str) -> bool:
    """Whether a name of an option or a section looks like a piece of a regex."""
    return _REGEX.search(name) is not None
