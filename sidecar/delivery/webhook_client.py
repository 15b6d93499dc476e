"""Posts JSON to a webhook. The only door to aiohttp's client; imported when a webhook is configured."""

from __future__ import annotations

import socket
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar import __version__
from sidecar.delivery.delivery_error import DeliveryError, network_error
from sidecar.delivery.trusted_certificates import tls_context
from sidecar.model import Seconds
from sidecar.settings.notify_urls import WebhookUrl
from sidecar.threads import run_detached

_TOTAL, _CONNECT = 20.0, 10.0
# How much of a response is read, so that the server sees its response accepted. Nothing is done with it.
_MOST_READ = 4096
# Refusals that another try may change.
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


async def post(webhook: WebhookUrl, body: dict[str, Any], ca_file: str = "") -> None:
    """Send a body; DeliveryError unless the server accepts it. Redirects are not followed, and the response
    is never quoted: both may contain the URL."""
    context = await run_detached(tls_context, ca_file) if webhook.url.startswith("https:") else True
    connector = aiohttp.TCPConnector(ssl=context, resolver=_Resolver(), force_close=True)
    timeout = aiohttp.ClientTimeout(total=_TOTAL, sock_connect=_CONNECT)
    headers = {"User-Agent": f"zmban/{__version__}"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
            session.post(webhook.url, json=body, allow_redirects=False) as response,
        ):
            _check(response.status, response.headers.get("Retry-After", ""))
            await response.content.read(_MOST_READ)
    except TimeoutError:
        raise DeliveryError(f"no answer within {_TOTAL:g} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        found = error.certificate_error
        why = network_error(found) if isinstance(found, OSError) else "is not for this host"
        raise DeliveryError(why) from None
    except aiohttp.ClientConnectorError as error:
        raise DeliveryError(network_error(error.os_error)) from None
    except OSError as error:
        raise DeliveryError(network_error(error)) from None
    except (aiohttp.ClientError, ValueError) as error:
        raise DeliveryError(f"no valid response ({type(error).__name__})") from None


def _check(status: int, retry_after: str) -> None:
    """DeliveryError unless the status means that the message was accepted."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    known = {one.value: one.phrase for one in HTTPStatus}
    text = f"HTTP {status} {known.get(status, '')}".rstrip()
    if status < HTTPStatus.BAD_REQUEST:
        raise DeliveryError(f"{text}: redirects are not followed; write the URL that it leads to")
    permanent = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TEMPORARY
    raise DeliveryError(text, permanent=permanent, after=_pause(retry_after))


def _pause(retry_after: str) -> Seconds | None:
    """The value of Retry-After, seconds or a date, as seconds from now."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own: in those of the event loop, a dead name server would hold up what
    else works there, such as commits."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await run_detached(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        return [
            ResolveResult(
                hostname=host, host=str(place[0]), port=int(place[1]), family=kind, proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, place in found
        ]  # fmt: skip

    async def close(self) -> None:
        pass
