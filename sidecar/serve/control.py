"""Commands over a unix socket, mode 0600: one JSON object asks, one answers, a line each."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sidecar.model import ConfigError, ZmbanError

_log = logging.getLogger("zmban.control")

# Bounds one request: a list of 1,000,000 networks fits.
_LONGEST = 64 << 20
Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]


class RefusedError(ZmbanError):
    """The service answered with an error; `exit_code` is what it asks for."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Listen. `handle(command, arguments)` answers; its ZmbanError or ValueError is told to the caller."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = await _answer(handle, request)
            writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        except (ValueError, OSError) as error:
            _log.info("control: a request could not be read: %s", error)
        finally:
            writer.close()

    if path.exists():
        if _answers(path):
            raise ConfigError(f"{path}: another zmban answers there; stop it, or use --socket")
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(connection, path, limit=_LONGEST)
    path.chmod(0o600)
    return server


async def _answer(handle: Handler, request: Any) -> dict[str, Any]:
    try:
        return {"result": await handle(str(request["command"]), dict(request.get("arguments", {})))}
    except (ZmbanError, ValueError) as error:
        return {"error": str(error), "code": getattr(error, "exit_code", 65)}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def ask(path: Path, command: str, **arguments: Any) -> Any:
    """Send one command and wait for its answer. None where no service answers; RefusedError if it refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(120)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise RefusedError(
                f"{path}: {error.strerror}; run this as the user of the service", 77
            ) from error
        connection.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        with connection.makefile("rb") as answer:
            reply = json.loads(answer.readline() or b'{"error": "the service ended", "code": 69}')
    if "error" in reply:
        raise RefusedError(reply["error"], reply["code"])
    return reply["result"]
