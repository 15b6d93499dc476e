"""The ban log: one line per ban and unban, in the format of Fail2Ban's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sidecar.bans.packing import is_widened
from sidecar.model import Ban, Batch, Event, Extended, Failure, FailuresCleared, Match, Refused, Slow, Unban

_bans = logging.getLogger("zmban.bans")

# Maximum number of events of one batch that are logged one by one.
_MOST_LOGGED = 100
# Refused bans of whole prefixes.
_WIDEN = "widen-"


class BanLog:
    """A subscriber of the bus."""

    def handle(self, batch: Batch) -> None:
        """Log the new events."""
        log_events(batch.new)


def log_events(events: Iterable[Event | Match]) -> None:
    """Log events. Text from a log line is quoted, with control codes escaped."""
    if _bans.isEnabledFor(logging.DEBUG):
        for event in events:
            _log_event(event)
        return
    worth = [e for e in events if not isinstance(e, Failure | Match | FailuresCleared)]
    shown = [e for e in worth if not isinstance(e, Refused) or _is_shown(e.reason)]
    for event in shown[:_MOST_LOGGED]:
        _log_event(event)
    if len(shown) > _MOST_LOGGED:
        _bans.info("%d more events", len(shown) - _MOST_LOGGED)


def _log_event(event: Event | Match) -> None:
    match event:
        case Ban():
            word = "Would ban" if event.dry else "Ban"
            _bans.info("[%s] %s %s (%s%s)", event.jail, word, event.network, event.reason, _by(event.by))
        case Extended():
            word = "Move the end of" if is_widened(event.ban) else "Extend"
            _bans.info("[%s] %s %s", event.ban.jail, word, event.ban.network)
        case Unban():
            _bans.info("[%s] Unban %s (%s%s)", event.jail, event.network, event.reason, _by(event.by))
        case Refused() if event.reason == "framed":
            _bans.warning(
                "[%s] Refused %r: %s (client %s)", event.jail, event.host, event.reason, event.client
            )
        case Refused() if event.reason == "brake":
            text = "[%s] many known-good clients were banned: %s is not banned; check the server"
            _bans.error(text, event.jail, event.host)
        case Refused() if event.reason == "report-only":
            _bans.warning("[%s] Reported: %r (client %s)", event.jail, event.line, event.client)
        case Refused() if event.reason.startswith(_WIDEN):
            _bans.info("[%s] %s is not banned as a whole: %s", event.jail, event.host, event.line)
        case Refused():
            _bans.debug("[%s] Refused %r: %s", event.jail, event.host, event.reason)
        case Slow(until=None):
            _bans.warning(
                "[%s] %s exceeded its time budget on a line and was aborted", event.jail, event.regex
            )
        case Slow():
            text = "[%s] %s exceeded its time budget repeatedly and is not used for %.0f s; simplify it"
            _bans.error(text, event.jail, event.regex, max(0.0, (event.until or 0.0) - time.time()))
        case Failure():
            _bans.debug("[%s] Found %s", event.jail, event.network)


def _is_shown(reason: str) -> bool:
    return reason in ("framed", "report-only", "brake") or reason.startswith(_WIDEN)


def _by(name: str) -> str:
    return f", by {name}" if name else ""
