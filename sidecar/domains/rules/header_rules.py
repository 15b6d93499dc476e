"""The rules of the header map: refused domains in From, and display names that show another's address.

Postfix gives each header as one text, folded lines with their newlines. All patterns are regexes of PCRE and
of Python, in any case, with `.` for any character; Postfix has both by default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sidecar.domains import domain_name
from sidecar.domains.refusal import DomainRefusal
from sidecar.domains.rules import base64_text
from sidecar.domains.rules.map_text import action_text
from sidecar.domains.rules.rule_groups import END_OF_DOMAIN, grouped

OFF, WARN, REJECT = "off", "warn", "reject"
# In characters, of a regex that PCRE compiles into at most 64 KiB.
_PORTION = 2000
_SHOWS = "From shows an address"
_FROM = r"^From\s*:"
# Blanks and comments may stand between the parts of an address.
_BLANK = r"(?:\s|\([^()]*\))*"
# =40 is an @ in an encoded word (RFC 2047, Q).
AT = rf"(?:@|=40){_BLANK}"
_SUB = r"(?:[^\s@<>\"'(),:;\[\]\\]*\.)?"
# Behind a domain: nothing that would make it another one. In an encoded word, _ is a blank.
_ENDS = r"(?!\.?(?:[a-z0-9-]|[^\x00-\x7f])|_[a-z0-9_-]*\.[a-z0-9])"
# Not the local part of an address of another domain.
_NOT_LOCAL = r"(?![\"\\]*@)"
# A piece of a display name: a quoted string, a comment, an encoded word, or one character. Atomic, so that a
# quoted comma or bracket is never read as one that is not quoted.
_PIECES = r"\"(?:[^\"\\]|\\.)*+\"|\([^()]*+\)|=\?[^?\s]*+\?[bq]\?[^?\s]*+\?="
_NAME = rf"(?>{_PIECES}|[^<,])*+"
# The mailboxes before the one that is looked at.
_OTHERS = rf"(?:(?>{_PIECES}|<[^<>]*+>|[^,])*+,)*?"
_ENDS_ADDRESS = rf"\.*{_BLANK}>"
BASE64 = r"=\?[^?\s]*\?b\?"
# Protected domains in one regex for base64, which takes most of its 64 KiB for the forms of these.
_ENCODED = 10
# Quotes and brackets around an address that is a display name.
_OPENS, _CLOSES = r"[\"'(<\[\s\\]*+", r"[\"')>\]\s\\]*+"
_OWN = re.compile(
    rf"/.*/ (?:REJECT 5\.7\.1|WARN) {_SHOWS} .*"
    rf"|if /{re.escape(_FROM)}/"
    rf"|if /{re.escape(BASE64)}/"
    rf"|if /{END_OF_DOMAIN}{re.escape(_ENDS)}/"
)


def header_section(refusals: Iterable[DomainRefusal], protect: Iterable[str], nested: str) -> Iterator[str]:
    """The lines of the section of the header map."""
    yield "# zmban: refused domains in From, and display names with an address of another domain"
    rules = list(
        grouped(((one.domain, [_refused_rule(one)]) for one in refusals), lambda end: f"/{end}{_ENDS}/")
    )
    own = sorted(protect)
    if own:
        action = f"REJECT 5.7.1 {_SHOWS} of this site, and comes from elsewhere"
        rules += [f"/{pattern}/ {action}" for pattern in protected_patterns(own)]
        rules.append(f"if /{BASE64}/")
        rules += [f"/{pattern}/ {action}" for pattern in encoded_patterns(own)]
        rules.append("endif")
    if nested != OFF:
        action = "WARN" if nested == WARN else "REJECT 5.7.1"
        rules.append(f"/{NESTED}/ {action} {_SHOWS} of another domain")
    if rules:
        yield from (f"if /{_FROM}/", *rules, "endif")


def _refused_rule(one: DomainRefusal) -> str:
    said = f": {safe}" if (safe := action_text(one.reason)) else ""
    return (
        f"/{refused_pattern(one.domain)}/ REJECT 5.7.1 {_SHOWS} in {one.domain}, which is refused here{said}"
    )


def refused_pattern(domain: str) -> str:
    """Matches a From header with an address in the domain, wherever it stands."""
    return rf"{AT}{_SUB}{domain_name.pattern(domain)}{_ENDS}{_NOT_LOCAL}"


def protected_patterns(protect: Sequence[str]) -> Iterator[str]:
    """Match a From header in which a display name shows an address of a protected domain, and the real
    address is in none of them: `name <address>`, and `address (name)`."""
    plain = r"[^\s<>,\"()@]+@"
    for some in _portions(protect):
        names = "|".join(domain_name.pattern(one, _DOT) for one in some)
        shown = rf"{AT}{_SUB}(?:{names}){_ENDS}"
        yield _named(protect, shown)
        yield (
            rf"{_FROM}{_OTHERS}\s*(?!{plain}{_real(protect)}\.*\s*\(){plain}[^\s<>,\"()@]+\s*"
            rf"\([^()]*?{shown}[^()]*\)"
        )


def encoded_patterns(protect: Sequence[str]) -> Iterator[str]:
    """As `protected_patterns`, for a name in base64."""
    for n in range(0, len(protect), _ENCODED):
        names = "|".join(base64_text.pattern(f"@{one}") for one in protect[n : n + _ENCODED])
        yield _named(protect, rf"{BASE64}[^?\s]*?(?:{names})")


def _named(protect: Sequence[str], shown: str) -> str:
    """Matches a display name that contains `shown`, of a real address in no protected domain."""
    # The display name ends where the address begins; the pattern finds the place by all that follows it.
    return (
        rf"{_FROM}{_OTHERS}(?={_NAME}(?!<[^<>]*@{_BLANK}{_real(protect)}{_ENDS_ADDRESS})(<[^<>]*@.*$))"
        rf".*?{shown}(?=.*\1$)"
    )


def _real(protect: Sequence[str]) -> str:
    return rf"(?:[^@<>\s]*\.)?(?:{'|'.join(map(domain_name.pattern, protect))})"


def _portions(protect: Sequence[str]) -> Iterator[list[str]]:
    """The domains in portions that leave room for all of them in the same regex."""
    portion: list[str] = []
    for one in protect:
        if portion and sum(map(len, portion)) + len(one) > _PORTION:
            yield portion
            portion = []
        portion.append(one)
    yield portion


_DOT = r"(?:\.|=2e)"


# A display name that is an address, of another domain than the real one. Neither may be a sub-domain of the
# other. \1 is the real domain, \2 the one that is shown.
NESTED = (
    rf"{_FROM}{_OTHERS}(?={_NAME}<[^<>]*@{_BLANK}([^@<>\s()]+?){_ENDS_ADDRESS})\s*{_OPENS}"
    rf"[^\s\"'<>(),@\[\]\\]++@(?!(?:[^\s\"'<>()\[\]\\]*\.)?\1\.*{_CLOSES}<)"
    rf"((?:[a-z0-9_-]++\.)++[a-z0-9-]++)\.*+{_CLOSES}"
    rf"<[^<>]*@{_BLANK}(?!(?:[^@<>\s]*\.)?\2{_ENDS_ADDRESS})"
)


def own_header_rule(lines: Sequence[str], place: int) -> tuple[int, None]:
    """1 if this line is a rule of the header map's section, else 0."""
    return int(bool(_OWN.fullmatch(lines[place]))), None
