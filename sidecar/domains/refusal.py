"""A refused domain, and the answer to a request that adds or removes one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sidecar.domains.domain_name import unicode_form
from sidecar.model import Instant

# In characters; the lines stand in the map, which each mail server process reads.
_LONGEST_REASON, _LONGEST_LINE, _MOST_LINES = 500, 1000, 50


@dataclass(frozen=True, slots=True)
class DomainRefusal:
    """A domain whose mail is refused with its sub-domains', from `since` until `until` (None: for ever).

    `domain` is lower-case ASCII, `by` names who refused it, `evidence` are the lines that led to it.
    """

    domain: str
    reason: str
    since: Instant
    until: Instant | None = None
    by: str = ""
    evidence: tuple[str, ...] = ()

    def ended(self, now: Instant) -> bool:
        """Whether its end is reached."""
        return self.until is not None and self.until <= now

    def outlasts(self, until: Instant | None) -> bool:
        """Whether it lasts as long as another end, or longer."""
        return self.until is None or (until is not None and self.until >= until)

    def record(self) -> dict[str, Any]:
        """As JSON; `unicode` is the domain as people read it."""
        return {
            "domain": self.domain, "unicode": unicode_form(self.domain), "reason": self.reason,
            "since": self.since, "until": self.until, "by": self.by, "evidence": list(self.evidence),
        }  # fmt: skip


# refused-now: is refused from now on; extended: was refused, and now lasts longer; standing: was refused as
# long; lifted: is no longer refused; absent: was not refused; kept: a rule of somebody else, kept as it is;
# rejected: cannot be refused.
DomainResult: TypeAlias = Literal[
    "refused-now", "extended", "standing", "lifted", "absent", "kept", "rejected"
]


@dataclass(frozen=True, slots=True)
class DomainAnswer:
    """What a request did with one domain. `domain` is the normalised one, or the text if it is none; `reason`
    is one sentence. `confirmable`: rejected, but accepted with `yes`. `place` is `line 7` of an imported
    map."""

    domain: str
    result: DomainResult
    reason: str
    confirmable: bool = False
    place: str = ""

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "domain": self.domain, "unicode": unicode_form(self.domain), "result": self.result,
            "reason": self.reason, "confirmable": self.confirmable,
            **({"place": self.place} if self.place else {}),
        }  # fmt: skip


def reason_text(text: str) -> str:
    """A reason in one line of valid UTF-8, at most 500 characters."""
    return " ".join(_valid(text).split())[:_LONGEST_REASON]


def evidence_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The first 50 lines as valid UTF-8 without newlines, each at most 1,000 characters."""
    whole = (line for text in lines for line in _valid(text).split("\n"))
    kept = (line.rstrip("\r")[:_LONGEST_LINE] for line in whole if line.strip())
    return tuple(line for line, _ in zip(kept, range(_MOST_LINES), strict=False))


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
