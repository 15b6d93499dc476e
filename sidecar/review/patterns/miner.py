"""Groups hostile lines into templates while they arrive, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import Any, TypeAlias

from sidecar.detect.match.secrets import without_secrets
from sidecar.model import ConfigError
from sidecar.review.patterns import failregex
from sidecar.review.patterns.hostile_lines import HostileLine
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.reading.dissection import Parts
from sidecar.review.patterns.reading.masking import REST
from sidecar.review.patterns.template import LONGEST_SAMPLE, LineTemplate, Sample

# Templates of one log; of one head; of one head and number of words.
_MOST, _MOST_OF_HEAD, _MOST_ALIKE = 500, 64, 8
_MOST_LOGS = 64
_MOST_REMEMBERED = 2048
_LIKE = 0.75
_VERSION = 1
# Fewer lines are no pattern.
_LEAST = 3

_Head: TypeAlias = tuple[str, tuple[str, ...]]


class PatternMiner:
    """The templates of all logs, at most 500 each.

    Lines of one head with as many words are one template if few words differ. If a head has too many
    templates, similar ones are joined; if a log has, those with the fewest lines are dropped, and counted in
    `dropped`.
    """

    def __init__(self) -> None:
        self._logs: dict[str, _LogTemplates] = {}
        self.dropped = 0

    def add(self, lines: Iterable[HostileLine]) -> None:
        """Add lines, of any log."""
        for line in lines:
            log = self._of(line.log)
            if log is None:
                self.dropped += line.weight
                continue
            template = log.template(line.parts)
            template.see(line.at, line.client, line.weight)
            if template.wants(line.line, line.client):
                text = without_secrets(line.line[: LONGEST_SAMPLE + 1])
                template.keep(Sample(text, line.client, line.at))

    def _of(self, name: str) -> _LogTemplates | None:
        if name not in self._logs and len(self._logs) < _MOST_LOGS:
            self._logs[name] = _LogTemplates()
        return self._logs.get(name)

    def dumped(self) -> dict[str, Any]:
        """The state as JSON."""
        logs = {name: [one.dumped() for one in log.all()] for name, log in self._logs.items()}
        return {"version": _VERSION, "dropped": self._all_dropped, "logs": logs}

    @classmethod
    def loaded(cls, record: dict[str, Any]) -> PatternMiner:
        """From what `dumped` returned. ConfigError if it is something else."""
        found = cls()
        try:
            if record["version"] != _VERSION:
                raise ConfigError(f"this state of mined patterns has version {record['version']}; delete it")
            found.dropped = int(record["dropped"])
            for name, templates in record["logs"].items():
                log = found._of(str(name))
                for one in templates:
                    if log is not None:
                        log.take(LineTemplate.loaded(one))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            text = f"this is no state of mined patterns ({type(error).__name__}: {error}); delete it"
            raise ConfigError(text) from error
        return found

    def joined(self, other: PatternMiner) -> PatternMiner:
        """A miner with the lines of both; these two stay as they are."""
        found = PatternMiner.loaded(self.dumped())
        found.dropped += other._all_dropped
        for name, theirs in other._logs.items():
            log = found._of(name)
            for one in theirs.all():
                if log is not None:
                    log.take(LineTemplate.loaded(one.dumped()))
        return found

    @property
    def _all_dropped(self) -> int:
        return self.dropped + sum(log.dropped for log in self._logs.values())

    def patterns(self, most: int = 20) -> list[MinedPattern]:
        """The templates with most lines, at most `most`, each of at least three lines. The logs take turns,
        so that a busy one hides no other."""
        ranked = (
            [
                (name, one)
                for one in sorted(log.all(), key=lambda one: -one.count)[:most]
                if one.count >= _LEAST
            ]
            for name, log in sorted(self._logs.items())
        )
        turns = (one for one in chain.from_iterable(zip_longest(*ranked)) if one is not None)
        chosen = [one for _, one in zip(range(most), turns, strict=False)]
        found = [failregex.pattern(log, template) for log, template in chosen]
        return sorted(found, key=lambda one: -one.count)


class _LogTemplates:
    """The templates of one log."""

    def __init__(self) -> None:
        # Per head the templates by their number of words.
        self._heads: dict[_Head, dict[int, list[LineTemplate]]] = {}
        self._known: dict[Parts, LineTemplate] = {}
        self._count = 0
        self.dropped = 0

    def all(self) -> Iterator[LineTemplate]:
        """Every template."""
        for by_number in self._heads.values():
            yield from chain.from_iterable(by_number.values())

    def template(self, parts: Parts) -> LineTemplate:
        """The template of a line with these parts, a new one if need be."""
        found = self._known.get(parts)
        if found is None:
            found = self._similar(parts)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[parts] = found
        return found

    def take(self, template: LineTemplate) -> None:
        """Add a template with its lines."""
        self.template(template.parts).absorb(template)

    def _similar(self, parts: Parts) -> LineTemplate:
        words = parts.words
        by_number = self._heads.setdefault((parts.kind, parts.head), {})
        if words == (REST,):
            return self._folded(parts, by_number)
        # All lines of a head with too many templates.
        if (rest := by_number.get(-1)) is not None:
            return rest[0]
        alike = by_number.setdefault(len(words), [])
        best = max(alike, key=lambda one: one.likeness(words), default=None)
        if best is not None and (best.likeness(words) >= _LIKE or len(alike) >= _MOST_ALIKE):
            return self._widened(best, words, alike)
        if sum(map(len, by_number.values())) >= _MOST_OF_HEAD:
            return self._folded(parts, by_number)
        if self._count >= _MOST:
            self._prune()
            by_number = self._heads.setdefault((parts.kind, parts.head), {})
            alike = by_number.setdefault(len(words), [])
        alike.append(created := LineTemplate(parts))
        self._count += 1
        return created

    def _widened(self, best: LineTemplate, words: tuple[str, ...], alike: list[LineTemplate]) -> LineTemplate:
        """The template, widened to these words, with all those that it covers then."""
        if best.covers(words):
            return best
        best.widen(words)
        # A REST makes it shorter than the others, and one that cannot be compared.
        for other in [one for one in alike if one is not best]:
            if len(other.parts.words) == len(best.parts.words) and best.covers(other.parts.words):
                best.absorb(other)
                alike.remove(other)
                self._count -= 1
        self._known.clear()
        return best

    def _folded(self, parts: Parts, by_number: dict[int, list[LineTemplate]]) -> LineTemplate:
        """One template for all lines of a head."""
        whole = LineTemplate(parts._replace(words=(REST,)))
        for one in chain.from_iterable(by_number.values()):
            whole.absorb(one)
            self._count -= 1
        by_number.clear()
        by_number[-1] = [whole]
        self._count += 1
        self._known.clear()
        return whole

    def _prune(self) -> None:
        """Drop the half of the templates with the fewest lines: each line is then compared with few."""
        kept = sorted(self.all(), key=lambda one: -one.count)
        self.dropped += sum(one.count for one in kept[_MOST // 2 :])
        self._heads.clear()
        self._known.clear()
        for one in kept[: _MOST // 2]:
            parts = one.parts
            number = -1 if parts.words == (REST,) else len(parts.words)
            self._heads.setdefault((parts.kind, parts.head), {}).setdefault(number, []).append(one)
        self._count = min(len(kept), _MOST // 2)
