"""How long a regex may work on one line, and when one that takes too long again and again is left out."""

from __future__ import annotations

from sidecar.model import Instant, Seconds

# So many overruns without two good hours between put a regex into quarantine: first for a minute, then twice
# as long each time.
_STRIKES = 3
_FORGIVEN: Seconds = 7200.0
_QUARANTINE: tuple[Seconds, Seconds] = (60.0, 3600.0)


class Overrun(Exception):  # noqa: N818 - it is told to nobody, only caught one floor up
    """A regex worked on one line for longer than it may."""


class Watch:
    """Which search is going on, for somebody with a clock who calls `tick` again and again from outside.

    The room that searches sets `name` and `searching` and counts `serial` up; it knows no clock itself.
    """

    __slots__ = ("_seen", "name", "searching", "serial")

    def __init__(self) -> None:
        self.name = ""
        self.searching = False
        self.serial = 0
        self._seen = -1

    def tick(self) -> None:
        """Overrun, raised in the middle of the search, if it is the one of the last tick still."""
        if not self.searching:
            self._seen = -1
        elif self._seen == self.serial:
            self.searching = False
            raise Overrun
        else:
            self._seen = self.serial


# One for the process: it searches one line at a time.
WATCH = Watch()


class Quarantine:
    """The regexes of one filter over one log that took too long, by their place in the filter."""

    def __init__(self) -> None:
        self._strikes: dict[str, list[Instant]] = {}
        self._times: dict[str, int] = {}
        self.until: dict[str, Instant] = {}

    def overran(self, regex: str, now: Instant) -> Instant | None:
        """Note an overrun; until when the regex is left out, None if it is not yet."""
        strikes = [at for at in self._strikes.get(regex, ()) if now - at < _FORGIVEN]
        self._strikes[regex] = strikes = [*strikes, now]
        times = self._times.get(regex, 0)
        # Who comes out of quarantine and overruns again goes straight back.
        if len(strikes) < _STRIKES and not (times and strikes[:-1]):
            return None
        shortest, longest = _QUARANTINE
        self._times[regex] = times + 1 if len(strikes) > 1 else 1
        self.until[regex] = now + min(longest, shortest * 2 ** (self._times[regex] - 1))
        return self.until[regex]

    def holds(self, regex: str, now: Instant) -> bool:
        """Whether this regex is left out now."""
        until = self.until.get(regex)
        if until is None:
            return False
        # A clock that was set back by hours releases, too.
        if until > now > until - 2 * _QUARANTINE[1]:
            return True
        del self.until[regex]
        return False
