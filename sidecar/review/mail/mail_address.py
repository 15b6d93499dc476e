"""Addresses of senders and recipients as they are counted, remembered by their bytes in the log."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.review.mail.day_counts import SEPARATOR

_MOST_REMEMBERED = 50_000


class MailAddress(NamedTuple):
    """An address with its domain in lower case; `domain` is "" without one."""

    text: str
    domain: str


class Addresses:
    """Parses addresses; the same one only once."""

    def __init__(self) -> None:
        self._known: dict[bytes, MailAddress] = {}

    def __call__(self, raw: bytes) -> MailAddress:
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            local, at, domain = decoded(raw).partition("@")
            self._known[raw] = known = MailAddress(f"{local}{at}{domain.lower()}", domain.lower())
        return known


def decoded(raw: bytes) -> str:
    """Bytes of a log as text that can be a part of a key."""
    text = raw.decode("utf-8", "replace")
    return text.replace(SEPARATOR, " ") if SEPARATOR in text else text
