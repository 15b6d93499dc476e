"""The text of a map: zmban's rules between two marks, everything else word for word around them.

A refused domain is three lines or more of the sender map, which says all that is known of it:

    # zmban bad.example since=2026-01-05T10:00:00Z until=never by="root" reason="spam of the week"
    # zmban evidence "a line of a log"
    /@(?:[^@]*\\.)?bad\\.example\\.*$/ REJECT 5.7.1 Mail from bad.example is refused here: spam of the week
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from sidecar.comment_values import instant, quoted, utc
from sidecar.domains import domain_name
from sidecar.domains.refusal import DomainRefusal
from sidecar.domains.rules.rule_groups import END_OF_DOMAIN, grouped
from sidecar.model import ConfigError

# How many lines from this index on are a rule of zmban's (0: none), and the refused domain that they say.
OwnRule: TypeAlias = Callable[[Sequence[str], int], tuple[int, DomainRefusal | None]]
BEGIN, END = "# zmban begin: lines up to the end are rewritten by zmban domain", "# zmban end"
# Begins comments of the section that say nothing about a domain.
_REMARK = "# zmban: "
_ORPHAN = f"{_REMARK}this line continued no rule: "
_TEXT = r'"(?:[^"\\]|\\.)*"'
_HEAD = re.compile(
    rf"# zmban ([a-z0-9_.-]+) (?:\(\S+\) )?since=(\S+) until=(\S+) by=({_TEXT}) reason=({_TEXT})", re.DOTALL
)
_EVIDENCE = re.compile(rf"# zmban evidence ({_TEXT})", re.DOTALL)
_BLOCK = re.compile(rf"if /{END_OF_DOMAIN}\\\.\*\$/")
_IF = re.compile(r"if(?![a-z0-9])", re.IGNORECASE)
END_OF_IF = re.compile(r"endif(?![a-z0-9])", re.IGNORECASE)
_NEVER = "never"
# In characters: a reply of SMTP is one line of 512.
_LONGEST_TEXT = 100


@dataclass
class MapText:
    """A map in parts: the lines before and after zmban's section, and the refused domains in it. Lines of
    others in the section are in `after`."""

    before: list[str] = field(default_factory=list)
    refusals: list[DomainRefusal] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    def text(self, section: Iterable[str]) -> str:
        """The whole map with this section. Every line ends with a newline."""
        return "".join(f"{line}\n" for line in (*self.before, BEGIN, *section, END, *self.after))


def split(text: str, name: str, own: OwnRule) -> MapText:
    """The parts of a map. ConfigError if an `if` before the section has no `endif`: zmban's rules would be a
    part of it."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    begin = next((n for n, line in enumerate(lines) if line == BEGIN), len(lines))
    parts = MapText(lines[:begin])
    if open_if := unclosed(parts.before):
        raise ConfigError(f"{name}:{open_if}: this if has no endif before zmban's rules; add it")
    end = next((n for n in range(begin + 1, len(lines)) if lines[n] == END), len(lines))
    section, place = lines[begin + 1 : end], 0
    while place < len(section):
        place = _take(section, place, parts, own)
    parts.after += lines[end + 1 :]
    first = next((n for n, line in enumerate(parts.after) if not is_comment(line)), None)
    if first is not None and parts.after[first][0].isspace():
        parts.after[first] = f"{_ORPHAN}{parts.after[first]}"
    return parts


def _take(lines: Sequence[str], place: int, parts: MapText, own: OwnRule) -> int:
    """Put the lines of the section at `place` where they belong; returns the place behind them."""
    line = lines[place]
    if not line.strip() or line.startswith(_REMARK) or END_OF_IF.fullmatch(line) or _BLOCK.fullmatch(line):
        # A remark may carry somebody's line, which is kept.
        parts.after += [line] if line.startswith(_ORPHAN) else []
        return place + 1
    length, refusal = own(lines, place)
    if refusal is not None:
        parts.refusals.append(refusal)
    if length:
        return place + length
    end = statement(lines, place)
    if line[0].isspace():
        parts.after.append(f"{_ORPHAN}{line}")
        return place + 1
    parts.after += lines[place:end]
    return end


def statement(lines: Sequence[str], place: int) -> int:
    """The index behind the rule, the comment or the whole `if` block that begins at this index. Lines that
    begin with a blank continue a rule, also behind comments."""
    depth, end = 0, place
    while end < len(lines):
        line = lines[end]
        depth += is_if(line) - bool(END_OF_IF.match(line))
        end = _continued(lines, end)
        if depth <= 0:
            break
    return end


def _continued(lines: Sequence[str], place: int) -> int:
    """The index behind a line and the lines that continue it."""
    end = place + 1
    if is_comment(lines[place]):
        return end
    for number in range(place + 1, len(lines)):
        line = lines[number]
        if is_comment(line):
            continue
        if not line[0].isspace():
            break
        end = number + 1
    return end


def is_if(line: str) -> bool:
    """Whether this line begins an `if` block."""
    return bool(_IF.match(line))


def is_comment(line: str) -> bool:
    """Whether Postfix ignores this line."""
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def unclosed(lines: Sequence[str]) -> int:
    """The number of the first line, from 1, whose `if` or `endif` has no partner; 0 if all have one."""
    opened = []
    for number, line in enumerate(lines, 1):
        if is_if(line):
            opened.append(number)
        elif END_OF_IF.match(line):
            if not opened:
                return number
            opened.pop()
    return opened[0] if opened else 0


def new_lines(lines: list[str], there: Sequence[str]) -> list[str]:
    """The lines to add to those that are there: none if they are a part of them, as after a first import."""
    places = range(len(there) - len(lines) + 1)
    return [] if any(there[n : n + len(lines)] == lines for n in places) else lines


def number_of_rules(lines: Iterable[str]) -> int:
    """How many rules these lines are, without the conditions of blocks."""
    return sum(
        not (is_comment(line) or line[0].isspace() or is_if(line) or END_OF_IF.match(line)) for line in lines
    )


# ---- the sender map ----


def sender_section(refusals: Iterable[DomainRefusal]) -> Iterator[str]:
    """The lines of the section of the sender map."""
    yield f"{_REMARK}mail from these domains and their sub-domains is refused; see zmban domain list"
    yield f"{_REMARK}write your own rules above this section, where they come first, or below it"
    yield from grouped(((one.domain, _lines(one)) for one in refusals), lambda end: rf"/{end}\.*$/")


def _lines(one: DomainRefusal) -> list[str]:
    shown = domain_name.unicode_form(one.domain)
    named = one.domain if shown == one.domain else f"{one.domain} ({shown})"
    until = _NEVER if one.until is None else utc(one.until)
    times = f"since={utc(one.since)} until={until}"
    said = f": {safe}" if (safe := action_text(one.reason)) else ""
    return [
        f"# zmban {named} {times} by={quoted(one.by)} reason={quoted(one.reason)}",
        *(f"# zmban evidence {quoted(line)}" for line in one.evidence),
        f"{sender_pattern(one.domain)} REJECT 5.7.1 Mail from {one.domain} is refused here{said}",
    ]


def sender_pattern(domain: str) -> str:
    """The pattern of the sender map with its slashes: the last `@`, then the domain or a sub-domain."""
    return rf"/@(?:[^@]*\.)?{domain_name.pattern(domain)}\.*$/"


def own_sender_rule(lines: Sequence[str], place: int) -> tuple[int, DomainRefusal | None]:
    """The lines and the refused domain that begin here; none if somebody changed the rule."""
    found = _HEAD.fullmatch(lines[place])
    if not found:
        return 0, None
    end = place + 1
    while end < len(lines) and _EVIDENCE.fullmatch(lines[end]):
        end += 1
    if end == len(lines) or not lines[end].startswith(f"{sender_pattern(found[1])} REJECT 5.7.1 "):
        return 0, None
    if _continued(lines, end) > end + 1:
        return 0, None
    try:
        return end + 1 - place, _refusal(found, lines[place + 1 : end])
    except ValueError:
        return 0, None


def _refusal(found: re.Match[str], evidence: Iterable[str]) -> DomainRefusal:
    since, until = (
        instant(found[2]),
        None if found[3] == _NEVER else instant(found[3]),
    )
    lines = tuple(json.loads(line.removeprefix("# zmban evidence ")) for line in evidence)
    return DomainRefusal(found[1], json.loads(found[5]), since, until, json.loads(found[4]), lines)


def action_text(reason: str) -> str:
    """A reason for the text of an action: printable ASCII, short. Postfix expands `$1`, and reads `$$` as a
    dollar sign."""
    plain = " ".join("".join(c if c.isascii() and c.isprintable() else "?" for c in reason).split())
    return plain[:_LONGEST_TEXT].strip().replace("$", "$$")
