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
            answer = await _answer(handle, await reader.readline())
            # A million bans take seconds to write out: not in the loop.
            text = await asyncio.to_thread(json.dumps, answer, ensure_ascii=False)
            writer.write(text.encode() + b"\n")
            await writer.drain()
        except (ValueError, OSError) as error:
            _log.info("control: a request could not be answered: %s", error)
        finally:
            writer.close()

    claim(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(connection, path, limit=_LONGEST)
    path.chmod(0o600)
    return server


def claim(path: Path) -> None:
    """Make way for a socket of ours. ConfigError where another service answers, or no socket stands."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"{path} is no socket; name another place with --socket")
    if _answers(path):
        raise ConfigError(f"{path}: another zmban answers there; stop it, or use --socket")
    path.unlink()


async def _answer(handle: Handler, request: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(request)
        # Half a surrogate pair is valid JSON, and no text that can be written anywhere.
        json.dumps(asked, ensure_ascii=False).encode()
        return {"result": await handle(str(asked["command"]), dict(asked.get("arguments", {})))}
    except (ZmbanError, ValueError) as error:
        return {"error": str(error), "code": getattr(error, "exit_code", 65)}
    except (KeyError, TypeError, AttributeError, RecursionError):
        return {"error": 'a request is one line: {"command": "...", "arguments": {...}}', "code": 64}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def ask(path: Path, command: str, patience: float = 120.0, **arguments: Any) -> Any:
    """Send one command and wait for its answer, `patience` seconds. None where no service answers;
    RefusedError if it refuses, or does not answer in time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise RefusedError(
                f"{path}: {error.strerror}; run this as the user of the service", 77
            ) from error
        try:
            connection.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            with connection.makefile("rb") as answer:
                reply = json.loads(answer.readline() or b'{"error": "the service ended", "code": 69}')
        except OSError as error:
            raise RefusedError(f"{path}: the service does not answer ({error})", 69) from error
    if "error" in reply:
        raise RefusedError(reply["error"], reply["code"])
    return reply["result"]
