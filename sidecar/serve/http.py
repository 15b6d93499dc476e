"""Metrics and health over HTTP: reading only, a request changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from sidecar.model import ConfigError


@dataclass(frozen=True)
class Answers:
    """What the pages are made of. `ready` gives the reasons why not; none is ready."""

    metrics: Callable[[], bytes]
    ready: Callable[[], list[str]]


def application(answers: Answers) -> web.Application:
    """`/metrics`, `/healthz`, `/readyz`."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=answers.metrics(), content_type="text/plain", charset="utf-8")

    async def healthz(_: web.Request) -> web.Response:
        # A part that fails ends the process; whoever answers here, works.
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reasons = answers.ready()
        return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)

    made = web.Application()
    made.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return made


async def listen(answers: Answers, addresses: list[str]) -> web.AppRunner:
    """Serve on each HOST:PORT until the runner is cleaned up. ConfigError where one is taken."""
    runner = web.AppRunner(application(answers), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port), reuse_address=True).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"[serve] {address} cannot be listened on: {error.strerror or error}"
            ) from error
    return runner
