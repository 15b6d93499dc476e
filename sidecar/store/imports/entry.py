"""What a file to import is made of: bans that somebody else decided, and what in it is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sidecar.model import Ban

# The jail of what a plain list brings; Fail2Ban's bans keep theirs.
LIST = "import"
# In bytes: a reason is kept with each ban.
LONGEST_REASON = 1024
# Of the lines that a person gives with a ban: they are kept with each of its networks.
MOST_GIVEN_LINES, MOST_GIVEN_BYTES = 1000, 1 << 20
# As for a line of a log: what is longer is cut, so that no file can make a ban of any size.
_LONGEST_LINE = 16384
_MOST_LINES = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One ban of origin `import`. `current` is False for one that has ended, whatever its end says."""

    ban: Ban
    current: bool = True

    def record(self) -> dict[str, Any]:
        """As the control socket carries it; the evidence only where it is kept, with a ban that stands."""
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
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is no ban of a network: its text, where it stands (`line 7`, `jail users`), and why:
    `not-a-network` or `unreadable`."""

    text: str
    place: str
    reason: str

    def record(self) -> dict[str, Any]:
        """As it is told to programs."""
        return {"event": "skipped", "text": self.text, "place": self.place, "reason": self.reason}


def kept(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines as they may be kept: so many, so long, and text that can be written anywhere."""
    texts = [line.encode("utf-8", "replace").decode("utf-8").rstrip("\r\n")[:_LONGEST_LINE] for line in lines]
    return tuple(texts[-_MOST_LINES:])
