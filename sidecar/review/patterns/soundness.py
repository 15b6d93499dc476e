"""Checks a proposed failregex: it finds its lines and clients, and no text of a client moves the blame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC

from sidecar.detect.grammar import GRAMMARS, Trust
from sidecar.detect.grammar.addresses import canonical
from sidecar.detect.match.forged_example import ATTACKER, VICTIM, forged
from sidecar.detect.match.matcher import Matcher
from sidecar.detect.prefilter.literals import required
from sidecar.detect.scanner import refused
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.fail2ban.syntax.tags import HOST_GROUPS, to_regex
from sidecar.review.patterns.reading.log_forms import FORMS
from sidecar.review.patterns.template import Sample

# Resolves dates of samples without one of their own.
_SOME_TIME = 1_767_600_000.0
_MOST_PLACES, _MOST_FORGED = 40, 4
# Every line of an access log has it.
_EVERYWHERE = "HTTP"


def spec(failregex: str, kind: str, name: str = "proposed") -> FilterSpec:
    """The filter of a proposed failregex for logs of a grammar. re.error if it does not compile."""
    form = FORMS[kind]
    return FilterSpec(
        name,
        (Pattern(failregex, re.compile(to_regex(failregex)), "<proposed>", 1),),
        datepattern=form.datepattern,
        grammar=form.grammar or None,
        usedns="no",
    )


def fault(failregex: str, kind: str, samples: Sequence[Sample]) -> str:
    """Why a failregex must not be proposed, empty if nothing is wrong with it."""
    try:
        found = spec(failregex, kind)
    except (re.error, OverflowError, RecursionError, ValueError):
        return "no regex for its text compiles"
    pattern = found.failregex[0].regex
    least = required(pattern)
    shortest = min((len(one.text) for one in least or ()), default=0)
    if shortest < FORMS[kind].shortest or any(_EVERYWHERE in one.text for one in least or ()):
        return "its lines have no text in common that is rare enough to search for"
    if forged(pattern) is not None:
        return "a client could write a line that blames somebody else"
    for sample in samples:
        if not _names_client(found, kind, sample):
            return "the regex does not find the client in all of its lines"
    for sample in samples[:_MOST_FORGED]:
        if any(_blames_victim(pattern, text) for text in _forgeries(sample)):
            return "a client could write a line that blames somebody else"
    return ""


def _names_client(found: FilterSpec, kind: str, sample: Sample) -> bool:
    """Whether the filter and the grammar of the log blame the client of a sample, and nobody else."""
    now = _SOME_TIME if sample.at is None else sample.at + 1.0
    outcome = Matcher(found, UTC).match(sample.line, now)
    if not outcome.matched:
        return False
    facts = GRAMMARS[kind].read(outcome.text, Trust(()))
    if outcome.host is None or facts is None:
        return outcome.host is None and bool(found.grammar)
    return canonical(outcome.host) == sample.client and refused(facts, outcome.host) is None


def _forgeries(sample: Sample) -> Iterator[str]:
    """The line of a sample, with copies of itself that name a victim, wherever a client may write."""
    text = LineDates(UTC).of(sample.line, _SOME_TIME)[1].replace(sample.client, ATTACKER)
    behind = text.find(ATTACKER) + len(ATTACKER)
    copy = text.replace(ATTACKER, VICTIM)
    places = [found.start() for found in re.finditer(r"[ <\"\[:]", text) if found.start() >= behind]
    for place in (*places[:_MOST_PLACES], len(text)):
        for forgery in (copy, copy[copy.find(VICTIM) - 30 :]):
            yield f"{text[:place]} {forgery}{text[place:]}"


def _blames_victim(pattern: re.Pattern[str], text: str) -> bool:
    hit = pattern.search(f"{text}\n")
    return hit is not None and any(hit.groupdict().get(name) == VICTIM for name in HOST_GROUPS)
