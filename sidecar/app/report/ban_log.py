"""What is said of an event in the log: a line for each ban, in the words of Fail2Ban's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sidecar.model import Ban, Event, Extended, Failure, FailuresCleared, Match, Refused, Slow, Unban

_bans = logging.getLogger("zmban.bans")


# More of the same moment than this are not told one by one.
_MOST_TOLD = 100


def tell(events: Iterable[Event | Match]) -> None:
    """A line for each, or none; text from a log only in quotes, without its control codes."""
    if _bans.isEnabledFor(logging.DEBUG):
        for event in events:
            _tell(event)
        return
    worth = [e for e in events if not isinstance(e, Failure | Match | FailuresCleared)]
    told = [e for e in worth if not isinstance(e, Refused) or e.reason in ("framed", "report-only", "brake")]
    for event in told[:_MOST_TOLD]:
        _tell(event)
    if len(told) > _MOST_TOLD:
        _bans.info("%d more of these", len(told) - _MOST_TOLD)


def _tell(event: Event | Match) -> None:
    match event:
        case Ban():
            word = "Would ban" if event.dry else "Ban"
            _bans.info("[%s] %s %s (%s)", event.jail, word, event.network, event.reason)
        case Extended():
            _bans.info("[%s] Extend %s", event.ban.jail, event.ban.network)
        case Unban():
            _bans.info("[%s] Unban %s (%s)", event.jail, event.network, event.reason)
        case Refused() if event.reason == "framed":
            _bans.warning(
                "[%s] Refused %r: %s (client %s)", event.jail, event.host, event.reason, event.client
            )
        case Refused() if event.reason == "brake":
            text = "[%s] bans known-good clients one after the other: %s is spared; is the server at fault?"
            _bans.error(text, event.jail, event.host)
        case Refused() if event.reason == "report-only":
            _bans.warning("[%s] Reported: %r (client %s)", event.jail, event.line, event.client)
        case Refused():
            _bans.debug("[%s] Refused %r: %s", event.jail, event.host, event.reason)
        case Slow(until=None):
            _bans.warning("[%s] %s worked too long on a line and was broken off", event.jail, event.regex)
        case Slow():
            text = "[%s] %s worked too long on a line again and again; it is left out for %.0f s: simplify it"
            _bans.error(text, event.jail, event.regex, max(0.0, (event.until or 0.0) - time.time()))
        case Failure():
            _bans.debug("[%s] Found %s", event.jail, event.network)
