"""Hands mail to an SMTP server, with TLS and AUTH."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import smtplib
import socket
from dataclasses import dataclass
from email.message import EmailMessage

from sidecar.delivery.delivery_error import DeliveryError, network_error
from sidecar.delivery.secret_file import read_secret
from sidecar.delivery.trusted_certificates import tls_context
from sidecar.model import Seconds, counted
from sidecar.settings.notify_urls import SmtpServer
from sidecar.threads import run_detached

# For each command, and for all of them: a server that answers byte by byte must not hold a thread.
_PATIENCE: Seconds = 15.0
_TOTAL: Seconds = 60.0
_READY, _PERMANENT = 220, 500


@dataclass(frozen=True, slots=True)
class SmtpAccess:
    """The server, and the user with the file of the password ("": no AUTH)."""

    server: SmtpServer
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


async def send(access: SmtpAccess, message: EmailMessage) -> str:
    """Send a message to the addresses in its headers. Returns a warning if some of them were refused.
    DeliveryError unless the server accepts it."""
    session = _Session(access)
    try:
        async with asyncio.timeout(_TOTAL):
            return await run_detached(session.send, message)
    except TimeoutError:
        raise DeliveryError("no answer in time") from None
    finally:
        # Ends the thread, if it still waits.
        session.abort()


class _Session:
    """One connection. `send` runs in a thread, `abort` in another."""

    def __init__(self, access: SmtpAccess) -> None:
        self._access = access
        self._smtp: smtplib.SMTP | None = None
        self._aborted = False

    def abort(self) -> None:
        """Break the connection."""
        self._aborted = True
        if self._smtp is not None and self._smtp.sock is not None:
            with contextlib.suppress(OSError):
                # As a plain socket: shutdown of TLS would wait for the thread.
                socket.socket.shutdown(self._smtp.sock, socket.SHUT_RDWR)

    def send(self, message: EmailMessage) -> str:
        """See the function `send`."""
        try:
            return self._send(message)
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(f"AUTH is refused with {error.smtp_code}: see smtp_user") from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            text = f"all recipients are refused with {', '.join(map(str, codes))}"
            raise DeliveryError(text, permanent=all(code >= _PERMANENT for code in codes)) from None
        except smtplib.SMTPResponseException as error:
            # The text of the server may say more, but also quote what was sent.
            text = f"SMTP {error.smtp_code} ({type(error).__name__.removeprefix('SMTP')})"
            of_message = isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError)
            raise DeliveryError(text, permanent=of_message and error.smtp_code >= _PERMANENT) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(str(error)) from None
        except smtplib.SMTPException as error:
            raise DeliveryError(f"no valid response ({type(error).__name__})") from None
        except OSError as error:
            raise DeliveryError(network_error(error)) from None
        except UnicodeError:
            raise DeliveryError("smtp_user and the password must be ASCII") from None

    def _send(self, message: EmailMessage) -> str:
        server = self._access.server
        password = self._password() if self._access.user else ""
        context = None if server.scheme == "smtp" else tls_context(self._access.ca_file)
        smtp = (
            smtplib.SMTP_SSL(timeout=_PATIENCE, context=context)
            if server.scheme == "smtps"
            else smtplib.SMTP(timeout=_PATIENCE)
        )
        # The name that the certificate must have. Only the constructor sets it, which would connect at once,
        # so that `abort` had nothing to break.
        smtp._host = server.host  # type: ignore[attr-defined]
        self._smtp = smtp
        try:
            code, _ = smtp.connect(server.host, server.port)
            if code != _READY:
                raise smtplib.SMTPConnectError(code, "")
            if server.scheme == "smtp+starttls":
                smtp.starttls(context=context)
            if self._access.user:
                smtp.login(self._access.user, password)
            if self._aborted:
                raise DeliveryError("no answer in time")
            refused = smtp.send_message(message)
        finally:
            smtp.close()
        return f"{counted(len(refused), 'recipient')} refused" if refused else ""

    def _password(self) -> str:
        server, path = self._access.server, self._access.password_file
        if server.scheme == "smtp" and not _is_loopback(server.host):
            text = "a password is not sent without TLS: write smtps:// or smtp+starttls:// into [notify] smtp"
            raise DeliveryError(text)
        try:
            return read_secret(path).strip()
        except ValueError as error:
            raise DeliveryError(f"[notify] smtp_password_file: {error}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
