"""Runs two configurations over the same logs, one after the other, and reports the differences as records."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant
from sidecar.network import Network
from sidecar.offline.compare.ban_diff import AFTER, BEFORE, SIDES, BanDiff, Banned, Span
from sidecar.offline.compare.known_good_hits import Known, KnownGoodHits
from sidecar.offline.compare.shared_reading import SharedReading
from sidecar.offline.log_replay import Replay
from sidecar.sources.kinds import file_path, log_name

_DAY = 86400.0
_NAMES = ("before", "after")
# The word for a network that only one configuration bans.
_ONLY = ("lost", "gained")
_BOTH = ("earlier", "later", "longer", "shorter")


class Comparison:
    """The replays of two configurations. Call `run` once; then `changes`, `hits`, `jails` and `summary` give
    records, as often as wanted.

    `logs` are the paths given for a jail, for both configurations. `by_path` are the logs that each
    configuration reads, with their jails. `slow` counts aborted searches by jail and regex. `free` is
    called after each replay, which is large.
    """

    def __init__(
        self,
        before: Loaded,
        after: Loaded,
        zone: tzinfo,
        now: Instant,
        logs: Mapping[str, Sequence[str]],
        free: Callable[[], object] = gc.collect,
    ) -> None:
        self.before, self.after = before, after
        self._loaded, self._zone, self._now, self._free = (before, after), zone, now, free
        self._diff = BanDiff()
        self._known = KnownGoodHits(self._diff)
        self.by_path: list[dict[str, list[JailSpec]]] = [self._replay(side).logs(logs) for side in SIDES]
        self.slow: Counter[tuple[str, str]] = Counter()
        self._totals: list[dict[str, Any]] = []
        self._figures: dict[str, Counter[str]] = {}
        # Networks that no jail of the other configuration bans.
        self._networks: tuple[set[Network], set[Network]] = (set(), set())

    @property
    def bytes(self) -> int:
        """The size of the logs, as far as it is known now: those of both configurations."""
        return sum(Path(file_path(path)).stat().st_size for by_path in self.by_path for path in by_path)

    def _replay(self, side: int) -> Replay:
        return Replay.of(self._loaded[side], self._zone, self._now)

    def run(self, advance: Callable[[int], None]) -> None:
        """Replay both configurations, and look for logins from the banned networks. `advance` is called with
        the size of each block that was read. SourceError if a log cannot be read."""
        shared = SharedReading(*self.by_path)
        for side, read in enumerate((shared.first, shared.second)):
            replay = self._replay(side)
            replay.on_progress(advance)
            for event in replay.events(self.by_path[side], read):
                self._diff.take(side, event)
            self._totals.append(replay.summary())
            self.slow += replay.slow
            # The windows and the ban table of a replay are large, and in a cycle of references.
            del replay
            self._free()
        if self._diff:
            self._search_logins(advance)
        self._count()

    def _search_logins(self, advance: Callable[[int], None]) -> None:
        logs: dict[str, str] = {}
        for by_path in self.by_path:
            for path, jails in by_path.items():
                logs.setdefault(path, next((jail.log for jail in jails if jail.log), log_name(path)))
        before, after = (loaded.settings for loaded in self._loaded)
        # The proxies of a configuration decide who the client of a login is.
        trusts = [
            loading.trust(one) for one in ((after,) if before.trust == after.trust else (before, after))
        ]
        self._known.read(logs, self._zone, trusts, self._now, advance)

    def _count(self) -> None:
        names = dict.fromkeys(name for loaded in self._loaded for name in loaded.jails.jails)
        self._figures = {name: Counter() for name in names}
        for side in SIDES:
            for banned in self._diff.only(side):
                known = self._add(banned, _ONLY[side], _NAMES[side])
                self._figures[banned.jail][f"known_good_{_ONLY[side]}"] += known
                if not self._diff.jails_that_ban(1 - side, banned.network):
                    self._networks[side].add(banned.network)
        for banned in self._diff.both():
            self._add(banned, ("earlier", "", "later")[1 + banned.start], *_NAMES)
            self._figures[banned.jail][("shorter", "", "longer")[1 + banned.length]] += 1

    def _add(self, banned: Banned, kind: str, *sides: str) -> bool:
        """Count a network; returns whether it is known-good."""
        figures, known = self._figures[banned.jail], bool(self._known_good(banned))
        figures[kind] += 1
        for name in sides:
            figures[f"networks_{name}"] += 1
            figures[f"known_good_{name}"] += known
        return known

    def _known_good(self, banned: Banned) -> Known:
        """Who is known-good at a network's first ban, by the configuration that bans it; of both, by the
        second."""
        side = AFTER if banned.after.bans else BEFORE
        at = (banned.before, banned.after)[side].at
        return self._known.of(banned.network, at - self._loaded[side].settings.good.days * _DAY)

    def changes(self, side: int, *, most: int | None = None) -> Iterator[dict[str, Any]]:
        """A record for each network that only one configuration bans, in order of time; or the `most` first
        ones, known-good networks before others."""
        if most is None:
            yield from (self._change(banned, side) for banned in self._diff.only(side))
            return
        chosen = chain.from_iterable(
            (banned for banned in self._diff.only(side) if bool(self._known_good(banned)) == known)
            for known in (True, False)
        )
        yield from (self._change(banned, side) for banned in islice(chosen, most))

    def _change(self, banned: Banned, side: int) -> dict[str, Any]:
        span = banned.only
        return {
            "event": _ONLY[side], "at": span.at, "network": str(banned.network), "jail": banned.jail,
            "until": _end(span), "failures": span.failures, "bans": span.bans,
            "evidence": self._diff.lines(banned), **self._marks(banned, side),
            "other_jails": self._diff.jails_that_ban(1 - side, banned.network),
        }  # fmt: skip

    def hits(self) -> Iterator[dict[str, Any]]:
        """A record for each known-good network that both configurations ban."""
        for banned in self._diff.both():
            marks = self._marks(banned, AFTER)
            if marks["known_good"]:
                yield {
                    "event": "hit", "network": str(banned.network), "jail": banned.jail,
                    "at_before": banned.before.at, "until_before": _end(banned.before),
                    "at_after": banned.after.at, "until_after": _end(banned.after), **marks,
                }  # fmt: skip

    def _marks(self, banned: Banned, side: int) -> dict[str, Any]:
        known, dry = self._known_good(banned), self._loaded[side].jails.jails[banned.jail].dry_run
        return {
            **({"dry": True} if dry else {}), "known_good": bool(known), "mail_server": known.mail_server,
            "accounts": list(known.accounts),
        }  # fmt: skip

    def jails(self) -> Iterator[dict[str, Any]]:
        """A record with the figures of each jail of either configuration."""
        for name, figures in self._figures.items():
            specs = [loaded.jails.jails.get(name) for loaded in self._loaded]
            there = [word for word, spec in zip(_NAMES, specs, strict=True) if spec]
            record: dict[str, Any] = {"event": "jail", "jail": name}
            record["in"] = "both" if len(there) == 2 else there[0]
            for side, word in enumerate(_NAMES):
                record[f"bans_{word}"] = self._diff.bans[side][name]
                record[f"networks_{word}"] = figures[f"networks_{word}"]
            record |= {key: figures[key] for key in (*reversed(_ONLY), *_BOTH)}
            for side, word in enumerate(_NAMES):
                spec = specs[side]
                record[f"known_good_{word}"] = figures[f"known_good_{word}"]
                record[f"refused_{word}"] = self._refused(side, name)
                record[f"dry_{word}"] = spec.dry_run if spec else None
            yield record

    def _refused(self, side: int, name: str) -> dict[str, int]:
        counts = self._diff.refused[side].items()
        return {reason: number for (jail, reason), number in sorted(counts) if jail == name}

    def summary(self) -> dict[str, Any]:
        """The figures of all jails together, and those of each replay with its configuration directories."""
        total: Counter[str] = Counter()
        for figures in self._figures.values():
            total += figures
        keys = ("gained", "lost", *_BOTH, *(f"known_good_{word}" for word in (*_NAMES, "gained", "lost")))
        sides = zip(_NAMES, self._loaded, self._totals, strict=True)
        return {
            "event": "summary",
            **{key: total[key] for key in keys},
            "networks_gained": len(self._networks[AFTER]),
            "networks_lost": len(self._networks[BEFORE]),
            **{name: {"config": list(map(str, one.files.directories)), **run} for name, one, run in sides},
        }


def _end(span: Span) -> Instant | None:
    return None if math.isinf(span.until) else span.until
