"""Puts rules into `if` blocks by the end of their domain, so that Postfix tries few of 100,000.

Postfix tries the rules of a PCRE map from the first to the last: 100,000 rules take 30 ms for each address.
An `if` that does not match skips all rules up to its `endif`. A small map has no blocks, and stays a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from sidecar.domains.domain_name import is_international

# Rules that Postfix tries one after the other: see docs/domains.md.
_MOST_TOGETHER = 64
# A block for fewer rules is not worth its two lines.
_LEAST_IN_BLOCK = 8
# The text of a domain's end in the condition of a block.
END_OF_DOMAIN = r"(?:[a-z0-9_-]|\\\.)+"
_DOT = r"\."
Rule: TypeAlias = tuple[str, Sequence[str]]


def grouped(rules: Iterable[Rule], condition: Callable[[str], str]) -> Iterator[str]:
    """The lines of rules, each given as its domain and its lines, sorted, with `if` and `endif` around those
    whose domains end alike. `condition` returns the condition for an escaped end of a domain.

    Rules for international domains stand behind all blocks, since a mail may name these domains in Unicode.
    """
    plain: list[Rule] = []
    international: list[Rule] = []
    for rule in rules:
        (international if is_international(rule[0]) else plain).append(rule)
    plain.sort(key=lambda rule: rule[0][::-1])
    yield from _blocks(plain, 0, condition)
    for _, lines in sorted(international, key=lambda rule: rule[0]):
        yield from lines


def _blocks(rules: Sequence[Rule], depth: int, condition: Callable[[str], str]) -> Iterator[str]:
    """The lines of rules whose domains have their last `depth` characters in common, sorted from the end."""
    if len(rules) <= _MOST_TOGETHER:
        for _, lines in sorted(rules, key=lambda rule: rule[0]):
            yield from lines
        return
    for _, some in groupby(rules, key=lambda rule: rule[0][-depth - 1 :]):
        together = list(some)
        if len(together) < _LEAST_IN_BLOCK:
            for _, lines in together:
                yield from lines
            continue
        end = _common_end(together[0][0], together[-1][0])
        yield f"if {condition(end.replace('.', _DOT))}"
        yield from _blocks(together, len(end), condition)
        yield "endif"


def _common_end(first: str, last: str) -> str:
    """What the first and last of domains sorted from the end have in common, as all between them have."""
    length = 0
    while length < min(len(first), len(last)) and first[-length - 1] == last[-length - 1]:
        length += 1
    return first[len(first) - length :]
