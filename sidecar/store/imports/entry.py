"""The entries of a file to import: bans, and skipped entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sidecar.model import Ban

# The jail of bans from a list; bans from Fail2Ban keep their jail.
LIST = "import"
# In bytes: the reason is stored with each ban.
LONGEST_REASON = 1024
# Limits for `zmban ban --evidence`: the lines are stored with each network.
MOST_GIVEN_LINES, MOST_GIVEN_BYTES = 1000, 1 << 20
# As for a log line: longer ones are cut, to bound the size of a ban.
_LONGEST_LINE = 16384
_MOST_LINES = 100
_LONGEST_JAIL = 200


@dataclass(frozen=True, slots=True)
class ListedBan:
    """One ban. `current` is False if it has ended, even if `until` is later."""

    ban: Ban
    current: bool = True

    def record(self) -> dict[str, Any]:
        """As JSON for the control socket; evidence only for a current ban, because only that is stored."""
        ban = self.ban
        return {
            "network": str(ban.network),
            "jail": ban.jail,
            "at": ban.at,
            "until": ban.until,
            "reason": ban.reason,
            "failures": ban.failures,
            "count": ban.times,
            "evidence": list(ban.evidence) if self.current else [],
            "current": self.current,
            "origin": ban.origin,
            "by": ban.by,
            "dry": ban.dry,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is not a ban of a network: its text, its place (`line 7`, `jail users`), and the reason,
    `not-a-network` or `unreadable`."""

    text: str
    place: str
    reason: str

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"event": "skipped", "text": self.text, "place": self.place, "reason": self.reason}


def kept(lines: Iterable[str], most: int = _MOST_LINES) -> tuple[str, ...]:
    """The last `most` lines as valid UTF-8 without newlines, each at most 16,384 characters."""
    texts = [line.encode("utf-8", "replace").decode("utf-8").rstrip("\r\n")[:_LONGEST_LINE] for line in lines]
    return tuple(texts[-most:])


def note(text: str) -> str:
    """A text as the reason of a ban: printable, and at most LONGEST_REASON bytes."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.encode()[:LONGEST_REASON].decode("utf-8", "ignore")


def is_jail(name: object) -> bool:
    """Whether this may be the name of a jail."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_JAIL and name.isprintable()
