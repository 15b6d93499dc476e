"""The ban log: bans and unbans in the words of Fail2Ban's log, so that its filter `recidive` reads them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sidecar.bans.packing import is_widened
from sidecar.model import Ban, Batch, Event, Extended, Failure, FailuresCleared, Match, Refused, Slow, Unban
from sidecar.network import Network

_bans = logging.getLogger("zmban.bans")

# Fail2Ban's level of bans and unbans. Nothing else has it: what `recidive` reads must hold no text of others.
NOTICE = 25
logging.addLevelName(NOTICE, "NOTICE")
# Maximum number of events of one batch that are logged one by one. Bans by a log are all logged: a block of
# 64 KiB leads to some hundred at most, and `recidive` must find each.
_MOST_LOGGED = 100
_NOT_LOGGED = {Failure, Match, FailuresCleared}
# Refused bans of whole prefixes.
_WIDEN = "widen-"


class BanLog:
    """A subscriber of the bus."""

    def handle(self, batch: Batch) -> None:
        """Log the new events."""
        log_events(batch.new.events)


def log_events(events: Iterable[Event | Match]) -> None:
    """Log events. Text from a log line is quoted, with control codes escaped."""
    if _bans.isEnabledFor(logging.DEBUG):
        for event in events:
            _log_event(event)
        return
    worth = [e for e in events if type(e) not in _NOT_LOGGED]
    shown = [e for e in worth if not isinstance(e, Refused) or _is_shown(e.reason)]
    left = _MOST_LOGGED
    for event in shown:
        if not (isinstance(event, Ban) and event.origin == "log"):
            left -= 1
            if left < 0:
                continue
        _log_event(event)
    if left < 0:
        _bans.info("%d more events", -left)


def _log_event(event: Event | Match) -> None:
    match event:
        case Ban():
            action = "would-ban" if event.dry else "ban"
            _decision(event.jail, action, event.network, event.reason, event.by)
        case Extended(ban=ban):
            _decision(ban.jail, "move" if is_widened(ban) else "extend", ban.network, ban.reason, ban.by)
        case Unban():
            _decision(event.jail, "unban", event.network, event.reason, event.by)
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
            _bans.debug("[%s] Found %s", event.jail, event.network.text)


_WORDS = {
    "ban": "Ban",
    "would-ban": "Would ban",
    "extend": "Extend",
    "move": "Move the end of",
    "unban": "Unban",
}


def _decision(jail: str, action: str, network: Network, reason: str, by: str) -> None:
    """Log a decision, and in a text log its reason in a second line: for `recidive` the first ends with the
    address."""
    fields = {"jail": jail, "action": action, "network": str(network), "reason": reason, "by": by}
    level = logging.INFO if action in ("would-ban", "extend", "move") else NOTICE
    text, why = network.text, ", ".join(filter(None, (reason, by and f"by {by}")))
    second = f"[{jail}] {text}: {why}" if why else ""
    extra = {"fields": fields, "second_line": second}
    _bans.log(level, "[%s] %s %s", jail, _WORDS[action], text, extra=extra)


def _is_shown(reason: str) -> bool:
    return reason in ("framed", "report-only", "brake") or reason.startswith(_WIDEN)
