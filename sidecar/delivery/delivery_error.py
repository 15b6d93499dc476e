"""Why a message could not be delivered, and whether to try again."""

from __future__ import annotations

import ssl

from sidecar.model import Seconds, ZmbanError, printable


class DeliveryError(ZmbanError):
    """One sentence without secrets. `permanent`: the receiver refuses this message for ever. `after`: how
    long the receiver wants no further message, None if it did not say."""

    def __init__(self, message: str, *, permanent: bool = False, after: Seconds | None = None) -> None:
        super().__init__(printable(message)[:300])
        self.permanent, self.after = permanent, after


def network_error(error: OSError) -> str:
    """The reason of a failed connection. Never the whole text of an error, which may quote a URL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {error.reason or type(error).__name__}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or type(error).__name__
