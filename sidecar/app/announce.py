"""What is said of an event in the log: a line for each ban, in the words of Fail2Ban's log."""

from __future__ import annotations

import logging

from sidecar.model import Ban, Event, Extended, Failure, Match, Refused, Unban

_bans = logging.getLogger("zmban.bans")


def tell(event: Event | Match) -> None:
    """One line, or none; text from a log only in quotes, without its control codes."""
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
        case Refused():
            _bans.debug("[%s] Refused %r: %s", event.jail, event.host, event.reason)
        case Failure():
            _bans.debug("[%s] Found %s", event.jail, event.network)


def more(number: int) -> None:
    """So many events of the same moment were not told one by one."""
    _bans.info("%d more of these", number)
