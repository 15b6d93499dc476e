"""The refused sender domains of a directory: the two maps for Postfix are all that is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sidecar.domains import domain_objections, map_files
from sidecar.domains.domain_judge import DomainJudge, DomainVerdict
from sidecar.domains.domain_name import and_parents, normalised
from sidecar.domains.refusal import DomainAnswer, DomainRefusal, evidence_lines, reason_text
from sidecar.domains.rules import map_text
from sidecar.domains.rules.foreign_rules import ForeignMap, SimpleRule, require_pairs
from sidecar.domains.rules.foreign_rules import read as read_foreign
from sidecar.domains.rules.header_rules import WARN, header_section, own_header_rule
from sidecar.domains.rules.map_text import MapText, own_sender_rule, sender_section
from sidecar.model import ConfigError, Instant

_SHOWN = 100
# In characters: PCRE compiles a rule into at most 64 KiB, and one rule compares with all protected domains.
_MOST_PROTECTED = 15_000


class DomainMaps:
    """The maps in `directory`. `protect` are domains that are never refused, and that display names of
    outsiders must not show; `nested` is what happens to any other display name with an address of another
    domain: `warn`, `reject` or `off`.

    All methods block on the disk and, if they write, on other writers. They raise ConfigError for a directory
    or a map that the administrator must mend, and DomainMapError if one cannot be read or written.
    """

    def __init__(self, directory: Path, protect: Sequence[str] = (), nested: str = WARN) -> None:
        try:
            self._protect = domain_objections.protected_domains(protect)
        except ValueError as error:
            raise ConfigError(f"[domains] protect: {error}") from error
        if sum(map(len, self._protect)) > _MOST_PROTECTED:
            text = f"more than {_MOST_PROTECTED:,} characters in all; name the most important domains"
            raise ConfigError(f"[domains] protect: {text}")
        self._directory, self._nested = directory, nested
        self._senders, self._headers = directory / map_files.SENDERS, directory / map_files.HEADERS
        self._known: tuple[object, dict[str, DomainRefusal]] = None, {}
        self._written: object = None

    def refusals(self) -> list[DomainRefusal]:
        """The refused domains, sorted; also those that ended since the last write."""
        return list(self._current().values())

    def lookup(self, subject: str) -> DomainRefusal | None:
        """The refused domain for which Postfix refuses an address, a domain or a `From: ...` header."""
        return self.judge(subject).refusal

    def judge(self, subject: str) -> DomainVerdict:
        """What the rules do with an address, a domain or a `From: ...` header, and why."""
        return DomainJudge(self._current(), self._protect, self._nested).verdict(subject)

    def foreign(self) -> int:
        """The number of rules in the maps that are not zmban's."""
        texts = [self._split(self._senders, own_sender_rule), self._split(self._headers, own_header_rule)]
        return sum(map_text.number_of_rules((*one.before, *one.after)) for one in texts)

    def add(
        self, domains: Iterable[str], *, reason: str, until: Instant | None, evidence: Sequence[str] = (),
        by: str = "", now: Instant, yes: bool = False,
    ) -> list[DomainAnswer]:  # fmt: skip
        """Refuse domains with their sub-domains until `until`; one answer for each, in order. Big providers
        are refused with `yes` only."""
        end = None if until is None else float(math.ceil(until))
        text, lines = reason_text(reason), evidence_lines(evidence)
        with self._changing(now) as refused:
            return [
                self._add(
                    given, DomainRefusal("", text, float(int(now)), end, reason_text(by), lines), refused, yes
                )
                for given in domains
            ]

    def _add(
        self, given: str, wanted: DomainRefusal, refused: dict[str, DomainRefusal], yes: bool
    ) -> DomainAnswer:
        try:
            domain = normalised(given)
        except ValueError as error:
            return DomainAnswer(given[:_SHOWN], "rejected", str(error))
        if why := domain_objections.objection(domain, self._protect):
            return DomainAnswer(domain, "rejected", why)
        if not yes and domain not in refused and (why := domain_objections.doubt(domain)):
            return DomainAnswer(domain, "rejected", f"{why}; --yes refuses it", confirmable=True)
        for name in and_parents(domain):
            if (standing := refused.get(name)) and standing.outlasts(wanted.until):
                covering = "" if name == domain else f" as part of {name}"
                return DomainAnswer(domain, "standing", f"is refused already{covering}")
        before = refused.get(domain)
        evidence = evidence_lines((*before.evidence, *wanted.evidence)) if before else wanted.evidence
        since = before.since if before else wanted.since
        refused[domain] = DomainRefusal(
            domain,
            wanted.reason or (before.reason if before else ""),
            since,
            wanted.until,
            wanted.by,
            evidence,
        )
        if before:
            return DomainAnswer(domain, "extended", "was refused, and is refused for longer now")
        return DomainAnswer(domain, "refused-now", "is refused from now on")

    def remove(self, domains: Iterable[str]) -> list[DomainAnswer]:
        """Accept mail from domains again; one answer for each, in order."""
        with self._changing(None) as refused:
            return [self._remove(given, refused) for given in domains]

    def _remove(self, given: str, refused: dict[str, DomainRefusal]) -> DomainAnswer:
        try:
            domain = normalised(given)
        except ValueError as error:
            return DomainAnswer(given[:_SHOWN], "rejected", str(error))
        lifted = refused.pop(domain, None)
        wider = next((name for name in and_parents(domain) if name in refused), None)
        part = f"; it is still refused as part of {wider}" if wider else ""
        if lifted:
            return DomainAnswer(domain, "lifted", f"is not refused any more{part}")
        return DomainAnswer(domain, "absent", f"is not in the map{part}")

    def expire(self, now: Instant) -> list[DomainRefusal]:
        """Drop the domains whose end is reached, and those that are protected by now; returns them. Writes
        maps that are missing, or differ from what the settings say. Costs two stats if nothing changed."""
        version = self._version()
        ends = (one.until for one in self._known[1].values() if one.until is not None)
        if version == self._written and version[0] == self._known[0] and min(ends, default=math.inf) > now:
            return []
        dropped: list[DomainRefusal] = []
        with self._changing(now, dropped):
            pass
        return dropped

    def import_map(
        self, text: str, name: str, *, by: str = "", now: Instant, yes: bool = False
    ) -> list[DomainAnswer]:
        """Take over a map of the administrator's: simple rules for a domain become refused domains, anything
        else is kept word for word and in its order. What stands behind the last simple rule comes behind
        zmban's section, all the rest before it. StoreError if the map's `if` and `endif` do not pair up."""
        require_pairs(text.split("\n"), name)
        parts = map_text.split(text, name, own_sender_rule)
        found = read_foreign([*parts.before, *parts.after])
        since, author = float(int(now)), reason_text(by)

        def wanted(rule: SimpleRule) -> DomainRefusal:
            return DomainRefusal("", reason_text(rule.reason or f"imported from {name}"), since, None, author)

        kept = MapText()
        with self._changing(now, foreign=kept) as refused:
            answers = [self._restore(one, refused, yes) for one in parts.refusals if not one.ended(now)]
            return answers + self._import(found, refused, kept, wanted, yes)

    def _restore(self, one: DomainRefusal, refused: dict[str, DomainRefusal], yes: bool) -> DomainAnswer:
        """Refuse a domain of a map that zmban wrote, with its start."""
        answer = self._add(one.domain, one, refused, yes)
        if answer.result == "refused-now":
            refused[one.domain] = one
        return answer

    def _import(
        self, found: ForeignMap, refused: dict[str, DomainRefusal], kept: MapText,
        wanted: Callable[[SimpleRule], DomainRefusal], yes: bool,
    ) -> list[DomainAnswer]:  # fmt: skip
        answers: list[DomainAnswer] = []
        waiting: list[str] = []
        for part in found.parts:
            if not isinstance(part, SimpleRule):
                waiting += part
                answers += [
                    DomainAnswer(line[:_SHOWN], "kept", "is not a simple rule for a domain")
                    for line in part
                    if not map_text.is_comment(line) and not line[0].isspace()
                ]
                continue
            answer = self._add(part.domain, wanted(part), refused, yes)
            answers.append(replace(answer, place=f"line {part.place}"))
            kept.before += waiting
            waiting = []
            if answer.result == "rejected" and part.lines[0].startswith("/"):
                kept.before += part.lines
        kept.after += waiting
        why = "is no rule of a PCRE map, and was left out"
        answers += [
            DomainAnswer(line[:_SHOWN], "rejected", why, place=f"line {number}")
            for number, line in found.unusable
        ]
        return answers

    def settle(
        self, wanted: Mapping[str, DomainRefusal | None], seen: Mapping[str, DomainRefusal], now: Instant
    ) -> tuple[dict[str, DomainRefusal], dict[str, str]]:
        """Refuse domains exactly so, or (None) accept mail from them; one that is no longer as it was `seen`
        is left as it is. Returns the refused domains, and why others cannot be."""
        rejected: dict[str, str] = {}
        with self._changing(now) as refused:
            for domain, one in wanted.items():
                if refused.get(domain) != seen.get(domain):
                    continue
                if one is None:
                    refused.pop(domain, None)
                elif why := self._objection(domain, known=domain in refused):
                    rejected[domain] = why
                else:
                    text, by = reason_text(one.reason), reason_text(one.by)
                    refused[domain] = replace(one, reason=text, by=by)
        return refused, rejected

    def _objection(self, domain: str, *, known: bool) -> str:
        try:
            if normalised(domain) != domain:
                return "is written in another form than that of the maps"
        except ValueError as error:
            return str(error)
        doubt = "" if known else domain_objections.doubt(domain)
        return domain_objections.objection(domain, self._protect) or doubt

    def protects(self, domain: str) -> bool:
        """Whether a domain is never refused here."""
        return bool(domain_objections.protection(domain, self._protect))

    def exist(self) -> bool:
        """Whether there is a map of refused domains."""
        return any(map_files.version(self._senders))

    # ---- the files ----

    def _current(self) -> dict[str, DomainRefusal]:
        version = map_files.version(self._senders)
        if not any(version):
            map_files.require(self._directory)
        if version != self._known[0]:
            parts = self._split(self._senders, own_sender_rule)
            ordered = sorted(parts.refusals, key=lambda one: one.domain)
            self._known = version, {one.domain: one for one in ordered}
        return self._known[1]

    def _split(self, path: Path, own: map_text.OwnRule) -> MapText:
        return map_text.split(map_files.read(path) or "", str(path), own)

    def _version(self) -> tuple[object, object]:
        return map_files.version(self._senders), map_files.version(self._headers)

    @contextmanager
    def _changing(
        self, now: Instant | None, dropped: list[DomainRefusal] | None = None, foreign: MapText | None = None
    ) -> Iterator[dict[str, DomainRefusal]]:
        """The refused domains to change, of the files as they are now; written when the block ends. Without
        `now`, nothing expires. `dropped` gets what ended, `foreign` has lines to add around the section."""
        with map_files.locked(self._directory):
            senders = self._split(self._senders, own_sender_rule)
            headers = self._split(self._headers, own_header_rule)
            refused: dict[str, DomainRefusal] = {}
            for one in senders.refusals:
                if (now is not None and one.ended(now)) or domain_objections.protection(
                    one.domain, self._protect
                ):
                    if dropped is not None:
                        dropped.append(one)
                else:
                    refused[one.domain] = one
            yield refused
            if foreign is not None:
                senders.before += map_text.new_lines(foreign.before, senders.before)
                senders.after += map_text.new_lines(foreign.after, senders.after)
            self._write(senders, headers, refused)

    def _write(self, senders: MapText, headers: MapText, refused: dict[str, DomainRefusal]) -> None:
        """Write the maps that differ, the sender map first: it is the truth of which domains are refused."""
        ordered = [refused[domain] for domain in sorted(refused)]
        texts = {
            self._senders: senders.text(sender_section(ordered)),
            self._headers: headers.text(header_section(ordered, self._protect, self._nested)),
        }
        changed = [path for path, text in texts.items() if map_files.read(path) != text]
        for path in changed:
            map_files.write(path, texts[path])
        if changed or not (self._directory / map_files.SIGNAL).exists():
            map_files.signal(self._directory)
        self._known = map_files.version(self._senders), {one.domain: one for one in ordered}
        self._written = self._version()
