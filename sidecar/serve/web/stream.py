"""Sends server-sent events to one client. A client that does not read is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from sidecar.model import Seconds

# A client that has not read for so long is disconnected.
_PATIENCE: Seconds = 30.0


async def sent(
    request: web.BaseRequest, parts: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send the parts as they come, until they end or the client is gone."""
    response = web.StreamResponse(
        headers={**headers, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    response.force_close()
    try:
        await response.prepare(request)
        async for part in parts:
            async with asyncio.timeout(_PATIENCE):
                await response.write(part)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass
    finally:
        close = getattr(parts, "aclose", None)
        if close is not None:
            await close()
    return response
