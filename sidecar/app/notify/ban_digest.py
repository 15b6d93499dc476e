"""Counts the bans of an hour by jail and network."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sidecar.app.notify.message import Message
from sidecar.app.persist.memos import Memos
from sidecar.model import Ban, Instant, Seconds, counted
from sidecar.network import Network

_HOUR: Seconds = 3600.0
_KIND, _KEY = "digest", "hour"
_WRITE_EVERY: Seconds = 60.0
_MOST_NETWORKS, _MOST_JAILS, _TOP = 1000, 100, 8
# Bans are summed up by these prefixes.
_WIDE = {4: 24, 6: 48}


@dataclass
class _Hour:
    number: int
    jails: Counter[str] = field(default_factory=Counter)
    dry: Counter[str] = field(default_factory=Counter)
    networks: Counter[str] = field(default_factory=Counter)


class BanDigest:
    """The counts survive a restart but for the last minute of a crash."""

    def __init__(self, memos: Memos) -> None:
        self._memos = memos
        self._hour = _read(memos)
        self._written, self._changed = 0.0, False

    def count(self, ban: Ban) -> None:
        """Count a ban."""
        hour = self._hour
        counts = hour.dry if ban.dry else hour.jails
        if ban.jail in counts or len(counts) < _MOST_JAILS:
            counts[ban.jail] += 1
        network = ban.network
        wide = str(network.supernet(min(network.length, _WIDE[network.version])))
        if wide in hour.networks or len(hour.networks) < _MOST_NETWORKS:
            hour.networks[wide] += 1
        self._changed = True

    def look(self, now: Instant) -> Message | None:
        """Save the counts now and then. When the hour is over, its digest, if there were bans."""
        hour, number = self._hour, int(now // _HOUR)
        if number == hour.number:
            if not 0 <= now - self._written < _WRITE_EVERY:
                self.save(now)
            return None
        self._hour = _Hour(number)
        self._memos.drop(_KIND, _KEY)
        self._changed = False
        return _digest(hour, now) if hour.jails or hour.dry else None

    def save(self, now: Instant) -> None:
        """Save the counts, if there are new ones."""
        if not self._changed:
            return
        self._memos.put(_KIND, _KEY, json.dumps(vars(self._hour)))
        self._written, self._changed = now, False


def _read(memos: Memos) -> _Hour:
    try:
        read = json.loads(memos.of(_KIND)[_KEY].value or "")
        counts = {name: Counter(read[name]) for name in ("jails", "dry", "networks")}
        return _Hour(int(read["number"]), **counts)
    except (KeyError, ValueError, TypeError):
        return _Hour(int(time.time() // _HOUR))


def _digest(hour: _Hour, at: Instant) -> Message:
    since = hour.number * _HOUR
    top = hour.networks.most_common(_TOP)
    lines = [f"[{jail}] {counted(number, 'ban')}" for jail, number in hour.jails.most_common(_TOP)]
    lines += [f"[{jail}] {counted(n, 'dry-run ban')}" for jail, n in hour.dry.most_common(_TOP // 2)]
    lines += [f"{Network.parse(network).text}: {counted(number, 'ban')}" for network, number in top]
    item = {
        "event": "digest", "since": since, "until": since + _HOUR, "bans": dict(hour.jails),
        "dry_bans": dict(hour.dry), "networks": [{"network": n, "bans": number} for n, number in top],
    }  # fmt: skip
    begun = datetime.fromtimestamp(since).astimezone()
    title = f"{counted(hour.jails.total(), 'ban')} in the hour from {begun:%H:%M}"
    return Message("digest", at, title, lines=tuple(lines), items=(item,))
