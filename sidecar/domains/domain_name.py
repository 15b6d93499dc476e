"""Domain names: one spelling for each, as people, Postfix maps and mail headers write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

import idna

_LONGEST, _LONGEST_LABEL = 253, 63
# Senders use underscores in domains, although host names have none.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_PUNYCODE = "xn--"
# What IDNA takes for a dot besides the dot.
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_SHOWN = 80


def normalised(text: str) -> str:
    """The domain in lower-case ASCII (IDNA 2008 with the mapping of UTS 46), without a dot at its end.

    `*.bad.example`, `.bad.example` and `@bad.example` are the domain itself: sub-domains belong to it in any
    case. ValueError with one sentence for anything that is not a domain with at least two labels.

    >>> normalised("*.Bücher.example.")
    'xn--bcher-kva.example'
    """
    given = text.strip()
    name = _DOTS.sub(".", given.removeprefix("@").removeprefix("*").removeprefix("."))
    name = name[:-1] if name.endswith(".") else name
    if not name:
        raise ValueError("is empty; give a domain, such as bad.example")
    if "@" in name:
        domain = name.rpartition("@")[2]
        raise ValueError(f"is an address; give its domain, {domain[:_SHOWN]}, which refuses all its senders")
    if _is_address(name):
        raise ValueError("is an IP address; zmban ban refuses addresses")
    labels = [_ascii(label) for label in name.split(".")]
    if len(labels) == 1:
        raise ValueError("is a single label, a whole top-level domain; give a domain with a dot")
    domain = ".".join(labels)
    if len(domain) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if labels[-1].isdigit():
        raise ValueError("ends with a number, as no domain does")
    return domain


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _ascii(label: str) -> str:
    lower = label.lower() if label.isascii() else label
    if not lower:
        raise ValueError("has an empty label: two dots in a row")
    if len(lower) > _LONGEST_LABEL:
        raise ValueError(f"has a label longer than {_LONGEST_LABEL} characters")
    if lower.isascii() and not lower.startswith(_PUNYCODE):
        if not _LABEL.fullmatch(lower):
            raise ValueError(f"is not a domain: {lower!r} is not a label of one")
        return lower
    try:
        return idna.encode(lower, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"is not a domain: {error}") from error


def unicode_form(domain: str) -> str:
    """The domain as people read it; the domain itself if it is plain ASCII.

    >>> unicode_form("xn--bcher-kva.example")
    'bücher.example'
    """
    return ".".join(map(_readable, domain.split("."))) if _PUNYCODE in domain else domain


def _readable(label: str) -> str:
    if not label.startswith(_PUNYCODE):
        return label
    try:
        return idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return label


def and_parents(domain: str) -> Iterator[str]:
    """The domain, then each domain that it is a sub-domain of, down to the top-level domain.

    >>> list(and_parents("a.bad.example"))
    ['a.bad.example', 'bad.example', 'example']
    """
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def is_international(domain: str) -> bool:
    """Whether the domain has a Unicode form, in which a mail may name it too."""
    return _PUNYCODE in domain


def pattern(domain: str, dot: str = r"\.") -> str:
    """A regex, for PCRE and for Python, that matches the domain and its Unicode form in any case; `dot`
    matches the dots."""
    return dot.join(_label_pattern(label) for label in domain.split("."))


def _label_pattern(label: str) -> str:
    readable = _readable(label)
    if readable == label:
        return label
    # Postfix compares bytes unless SMTPUTF8 is on: then only ASCII letters match in any case.
    cased = (f"(?:{c}|{c.upper()})" if not c.isascii() and len(c.upper()) == 1 else c for c in readable)
    return f"(?:{label}|{''.join(cased)})"
