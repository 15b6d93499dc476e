"""The rules of `zmban.widen`, put together from all jails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Seconds
from sidecar.network import Network


class SharedRule(NamedTuple):
    """A rule, the jails that have it, and those of them that enforce their bans. `time` is how a file writes
    its seconds."""

    units: int
    seconds: Seconds
    time: str
    jails: tuple[str, ...]
    enforcing: tuple[str, ...]

    def of(self, *, dry: bool) -> tuple[str, ...]:
        """The jails whose dry or enforced bans follow from it."""
        return self.jails if dry else self.enforcing


class PrefixVerdict(NamedTuple):
    """A prefix is to be banned until then (infinite: for ever), because of so many units that were banned
    since then."""

    until: Instant
    rule: SharedRule
    dry: bool
    units: int
    since: Instant


class SharedRules:
    """The rules by version and prefix length."""

    def __init__(self, jails: Iterable[JailSpec] = ()) -> None:
        self._given = {jail.name: (jail.widen, jail.dry_run) for jail in jails if jail.widen}
        having: dict[tuple[int, int], dict[tuple[int, Seconds, str], list[str]]] = {}
        # The jails whose bans count for prefixes of a version.
        self.counting: dict[int, set[str]] = {4: set(), 6: set()}
        for name, (rules, _) in self._given.items():
            for rule in rules:
                self.counting[rule.version].add(name)
                alike = having.setdefault((rule.version, rule.prefix), defaultdict(list))
                alike[rule.units, rule.seconds, rule.time].append(name)
        self._rules = {
            key: [
                SharedRule(*rule, tuple(names), tuple(name for name in names if not self._given[name][1]))
                for rule, names in alike.items()
            ]
            for key, alike in having.items()
        }
        # The prefix lengths by version, narrow ones first.
        self.lengths = {v: sorted((n for w, n in self._rules if w == v), reverse=True) for v in (4, 6)}

    def for_prefix(self, prefix: Network) -> list[SharedRule]:
        """The rules for prefixes of this length."""
        return self._rules.get((prefix[0], prefix[-1]), [])

    def fewest(self) -> dict[tuple[int, int], int]:
        """The smallest number of units that a rule demands, by version and prefix length."""
        return {key: min(rule.units for rule in rules) for key, rules in self._rules.items()}

    def around(self, network: Network) -> dict[Network, Seconds]:
        """The prefixes around a network that may be banned as a whole, or itself, each with the longest time
        of its rules."""
        lengths = (length for length in self.lengths[network[0]] if length <= network[-1])
        found = (network.supernet(length) for length in lengths)
        return {prefix: max(rule.seconds for rule in self.for_prefix(prefix)) for prefix in found}

    def __bool__(self) -> bool:
        return bool(self._given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedRules) and self._given == other._given

    __hash__ = None  # type: ignore[assignment]  # compared, never a key
