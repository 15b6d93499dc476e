"""What the rules of both maps do with an address, a domain or a From header, and why; without Postfix."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from sidecar.domains.domain_name import and_parents, normalised
from sidecar.domains.refusal import DomainRefusal
from sidecar.domains.rules import header_rules

_FLAGS = re.IGNORECASE | re.DOTALL
_HEADER = re.compile(r"from\s*:", re.IGNORECASE)
_OTHER_HEADER = re.compile(r"[\w-]+\s*:\s")
# Whatever may be a domain behind an @ of a header. A lookahead, since one may stand inside of another.
_NAMED = re.compile(rf"{header_rules.AT}(?=([^\s@<>\"'(),:;\[\]\\]+))", _FLAGS)


class DomainVerdict(NamedTuple):
    """What happens: `action` is `reject`, `warn` or `accept`; `rule` is the kind of rule (`refused`,
    `protected`, `nested`, "" for none), `map` the file name of its map, `why` one sentence."""

    action: str
    rule: str
    map: str
    why: str
    refusal: DomainRefusal | None = None

    def record(self) -> dict[str, Any]:
        """As JSON."""
        refusal = self.refusal.record() if self.refusal else None
        return {
            "action": self.action,
            "rule": self.rule,
            "map": self.map,
            "why": self.why,
            "refusal": refusal,
        }


_ACCEPTED = DomainVerdict("accept", "", "", "no rule of zmban refuses it")


class DomainJudge:
    """The rules for refused domains (by domain), protected domains, and `nested` names."""

    def __init__(self, refused: Mapping[str, DomainRefusal], protect: Collection[str], nested: str) -> None:
        self._refused, self._protect, self._nested = refused, protect, nested

    def verdict(self, subject: str) -> DomainVerdict:
        """What the maps do with `From: ...`, an address, or a domain."""
        if _HEADER.match(subject):
            return self._header(subject)
        if _OTHER_HEADER.match(subject):
            return _ACCEPTED._replace(why="the maps look at the envelope sender and at From only")
        if "<" in subject.strip().removeprefix("<"):
            return self._header(f"From: {subject}")
        found = self._of(subject.strip().strip("<>").rpartition("@")[2])
        if found is None:
            return _ACCEPTED
        return DomainVerdict("reject", "refused", "sender_access.pcre", _refused(found), found)

    def _of(self, text: str) -> DomainRefusal | None:
        try:
            domain = normalised(text.rstrip("."))
        except ValueError:
            return None
        return next((self._refused[name] for name in and_parents(domain) if name in self._refused), None)

    def _header(self, header: str) -> DomainVerdict:
        place = "header_checks.pcre"
        for found in self._candidates(header):
            if re.search(header_rules.refused_pattern(found.domain), header, _FLAGS):
                return DomainVerdict("reject", "refused", place, _refused(found), found)
        own = sorted(self._protect)
        protected = (
            chain(header_rules.protected_patterns(own), header_rules.encoded_patterns(own)) if own else ()
        )
        if any(re.search(pattern, header, _FLAGS) for pattern in protected):
            why = "its name shows an address of a protected domain, and its real address is elsewhere"
            return DomainVerdict("reject", "protected", place, why)
        if self._nested != header_rules.OFF and re.search(header_rules.NESTED, header, _FLAGS):
            why = "its name is an address of another domain"
            return DomainVerdict(self._nested, "nested", place, why)
        return _ACCEPTED

    def _candidates(self, header: str) -> Iterator[DomainRefusal]:
        """The refused domains that the header may name."""
        for named in _NAMED.finditer(header):
            # An encoded word has more behind the domain.
            for text in (named[1], re.split(r"[_?=]", named[1])[0]):
                if found := self._of(text.strip(".")):
                    yield found


def _refused(found: DomainRefusal) -> str:
    return f"{found.domain} is refused with its sub-domains{f': {found.reason}' if found.reason else ''}"
