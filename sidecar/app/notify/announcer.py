"""Turns events into messages. On the way of a ban it only notes them; everything else happens later."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sidecar.app.active import ActiveConfiguration
from sidecar.app.notify import wording
from sidecar.app.notify.ban_digest import BanDigest
from sidecar.app.notify.message import MOST_LINES, Message
from sidecar.app.notify.message_queue import MessageQueue
from sidecar.app.notify.wording import Row
from sidecar.app.persist.memos import Memos
from sidecar.decide.recent_logins import RecentLogins
from sidecar.model import Ban, Batch, Instant, Refused, Seconds
from sidecar.network import Network
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.notify")

# What was told last, for the next start.
_TOLD = "told"
# A proxy that hides clients is told again after this time.
_PROXY_AGAIN: Seconds = 30 * 86400.0
T = TypeVar("T")


@dataclass
class _Noted:
    """The first events of each kind since the last `collect`, and the number of all."""

    wide: list[Ban] = field(default_factory=list)
    good: list[Ban] = field(default_factory=list)
    brakes: list[Refused] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, events: list[T], event: T) -> None:
        self.numbers[kind] += 1
        if len(events) < MOST_LINES:
            events.append(event)


class Announcer:
    """A subscriber of the bus; `collect` is called every second. `missing` returns why bans are not enforced
    (None: not known, or a dry run), `proxies` each proxy that hides its clients, with the cure."""

    def __init__(
        self,
        active: ActiveConfiguration,
        logins: RecentLogins,
        memos: Memos,
        queue: MessageQueue,
        missing: Callable[[], Collection[str] | None],
        proxies: Callable[[], Collection[tuple[str, str]]],
    ) -> None:
        self._active, self._logins, self._memos, self._queue = active, logins, memos, queue
        self._missing, self._proxies = missing, proxies
        self._digest = BanDigest(memos)
        self._noted = _Noted()
        self._enforced = "not-enforced" not in memos.of(_TOLD)
        self._told_proxies = set(self._lately_told(time.time()))

    def _lately_told(self, now: Instant) -> Iterator[str]:
        for key, memo in self._memos.of(_TOLD).items():
            if key.startswith("masked ") and memo.at > now - _PROXY_AGAIN:
                yield key
            elif key.startswith("masked "):
                self._memos.drop(_TOLD, key)

    @property
    def _wanted(self) -> Collection[str]:
        """The events to tell; none without a target."""
        notify = self._active.settings.notify
        return notify.events if notify.webhooks or notify.webhooks_file or notify.mail_to else ()

    def handle(self, batch: Batch) -> None:
        """Note what may be told."""
        wanted = self._wanted
        if not wanted:
            return
        now, digest = time.time(), "digest" in wanted
        for ban in batch.new.of(Ban):
            if digest:
                self._digest.count(ban)
            if wording.is_wide(ban.network):
                self._noted.add("wide-ban", self._noted.wide, ban)
            elif self._logins.accounts(ban.network.unit(), now):
                self._noted.add("known-good-ban", self._noted.good, ban)
        for refused in batch.new.of(Refused):
            if refused.reason == "brake":
                self._noted.add("brake", self._noted.brakes, refused)

    async def collect(self) -> None:
        """Turn what was noted into messages. Never raises: no error here may end the service."""
        if not self._wanted:
            self._noted = _Noted()
        # Without targets: they are not read yet, or cannot be read now.
        elif self._queue.targets:
            try:
                await self._collect(time.time(), self._queue.targets)
            except Exception:
                _log.exception("events could not be told")

    async def finish(self) -> None:
        """Leave nothing behind at a stop but what is in the queue."""
        await self.collect()
        self._digest.save(time.time())

    async def _collect(self, now: Instant, targets: tuple[str, ...]) -> None:
        wanted = self._wanted
        for message in [*await self._of_events(now), *self._of_state(now, wanted)]:
            if message.event in wanted:
                self._queue.add(replace(message, to=targets))

    async def _of_events(self, now: Instant) -> list[Message]:
        noted, self._noted = self._noted, _Noted()
        inside = await self._logins_inside(noted.wide, now)
        good = [
            wording.known_good_ban(ban, self._logins.accounts(ban.network.unit(), now)) for ban in noted.good
        ]
        good_inside = [wording.known_good_ban(ban, 0, n) for ban in noted.wide if (n := inside[ban.network])]
        noted.numbers["known-good-ban"] += len(good_inside)
        rows: dict[str, list[Row]] = {
            "wide-ban": [wording.wide_ban(ban, inside[ban.network]) for ban in noted.wide],
            "known-good-ban": [*good, *good_inside][:MOST_LINES],
            "brake": [wording.brake(one) for one in noted.brakes],
        }
        return [wording.of_rows(kind, now, some, noted.numbers[kind]) for kind, some in rows.items() if some]

    async def _logins_inside(self, bans: Collection[Ban], now: Instant) -> Counter[Network]:
        """How many networks with recent logins lie in each banned network. Found in a thread, since there may
        be 200,000 of them."""
        if not bans:
            return Counter()
        known, banned = self._logins.networks(), {ban.network for ban in bans}
        inside = await run_detached(lambda: {one: one.those_inside(known) for one in banned})
        return Counter(
            {one: sum(self._logins.accounts(n, now) > 0 for n in found) for one, found in inside.items()}
        )

    def _of_state(self, now: Instant, wanted: Collection[str]) -> Iterator[Message]:
        """Messages about what is no event of the bus."""
        if "masked" in wanted and (rows := list(self._of_proxies(now))):
            yield wording.of_rows("masked", now, rows[:MOST_LINES], len(rows))
        missing = self._missing()
        if "not-enforced" in wanted and missing is not None and self._enforced == bool(missing):
            self._enforced = not missing
            if missing:
                self._memos.put(_TOLD, "not-enforced", "; ".join(missing)[:1000])
            else:
                self._memos.drop(_TOLD, "not-enforced")
            yield wording.enforcement(missing, now)
        if (digest := self._digest.look(now)) is not None:
            yield digest

    def _of_proxies(self, now: Instant) -> Iterator[Row]:
        for proxy, cure in self._proxies():
            key = f"masked {proxy}"
            if key not in self._told_proxies:
                self._told_proxies.add(key)
                self._memos.put(_TOLD, key, "")
                yield wording.masked(proxy, cure, now)
