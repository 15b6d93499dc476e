"""URLs of [notify]: webhooks, which carry secrets, and the SMTP server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

WebhookKind: TypeAlias = Literal["json", "slack", "matrix"]
SmtpScheme: TypeAlias = Literal["smtp", "smtps", "smtp+starttls"]
_WRITE = "write https://HOST/..., slack+https://HOST/... or matrix+https://HOST/..."
_SMTP_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A webhook of this kind. Only `host` may be shown: path, query and user are secrets."""

    kind: WebhookKind
    url: str = field(repr=False)
    host: str

    @classmethod
    def parse(cls, text: object) -> WebhookUrl:
        """Parse `https://...` or `KIND+https://...`. ValueError without the text, because it is a secret."""
        if isinstance(text, cls):
            return text
        url = str(text).strip()
        kind, plus, rest = url.partition("+")
        if plus and kind in ("slack", "matrix"):
            url = rest
        else:
            kind = "json"
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https"):
            raise ValueError(f"is not the URL of a webhook; {_WRITE}")
        return cls(cast(WebhookKind, kind), url, parts.hostname or "")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`smtps`: TLS from the start; `smtp+starttls`: TLS is required before anything is sent."""

    scheme: SmtpScheme
    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> SmtpServer:
        """Parse `smtp://HOST[:PORT]`, `smtps://` or `smtp+starttls://`."""
        if isinstance(text, cls):
            return text
        parts = _split(str(text).strip())
        if parts is None or parts.scheme not in _SMTP_PORTS or parts.path.strip("/") or parts.query:
            raise ValueError("write smtp://HOST:25, smtps://HOST:465 or smtp+starttls://HOST:587")
        if parts.username is not None:
            raise ValueError("write the user into smtp_user, the password into the file smtp_password_file")
        scheme = cast(SmtpScheme, parts.scheme)
        return cls(scheme, parts.hostname or "", parts.port or _SMTP_PORTS[scheme])


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a host; None if it is none."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        parts = urlsplit(url)
        # Raises for a port that is no number.
        known = parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if known else None
