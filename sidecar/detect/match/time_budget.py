"""The time budget of a regex per line, and the quarantine of regexes that exceed it repeatedly."""

from __future__ import annotations

from sidecar.model import Instant, Seconds

# The number of overruns, each within _FORGIVEN seconds, after which a regex is put into quarantine, and the
# shortest and longest quarantine; it doubles each time.
_STRIKES = 3
_FORGIVEN: Seconds = 7200.0
_QUARANTINE: tuple[Seconds, Seconds] = (60.0, 3600.0)


class Overrun(Exception):  # noqa: N818 - control flow, always caught in the matcher
    """A regex exceeded its time budget on one line."""


class Watch:
    """The current search, watched by a timer that calls `tick` periodically.

    The searching code sets `name` and `searching` and increments `serial`; it has no clock itself.
    """

    __slots__ = ("_seen", "name", "searching", "serial")

    def __init__(self) -> None:
        self.name = ""
        self.searching = False
        self.serial = 0
        self._seen = -1

    def tick(self) -> None:
        """Raises Overrun, in the middle of the search, if it is still the same search as at the last tick."""
        if not self.searching:
            self._seen = -1
        elif self._seen == self.serial:
            self.searching = False
            raise Overrun
        else:
            self._seen = self.serial


# One per process, since it searches one line at a time.
WATCH = Watch()


class Quarantine:
    """The overruns of the regexes of one filter over one log, and those in quarantine, by regex name."""

    def __init__(self) -> None:
        self._strikes: dict[str, list[Instant]] = {}
        self._times: dict[str, int] = {}
        self.until: dict[str, Instant] = {}

    def overran(self, regex: str, now: Instant) -> Instant | None:
        """Record an overrun. Returns the end of the quarantine, None if the regex stays in use."""
        strikes = [at for at in self._strikes.get(regex, ()) if now - at < _FORGIVEN]
        self._strikes[regex] = strikes = [*strikes, now]
        times = self._times.get(regex, 0)
        # After a quarantine, one more overrun suffices.
        if len(strikes) < _STRIKES and not (times and strikes[:-1]):
            return None
        shortest, longest = _QUARANTINE
        self._times[regex] = times + 1 if len(strikes) > 1 else 1
        self.until[regex] = now + min(longest, shortest * 2 ** (self._times[regex] - 1))
        return self.until[regex]

    def holds(self, regex: str, now: Instant) -> bool:
        """Whether this regex is in quarantine at `now`."""
        until = self.until.get(regex)
        if until is None:
            return False
        # A clock set back by hours must not prolong the quarantine.
        if until > now > until - 2 * _QUARANTINE[1]:
            return True
        del self.until[regex]
        return False
