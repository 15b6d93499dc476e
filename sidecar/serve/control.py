"""Commands over a unix socket with mode 0600: one JSON object per request and response, a line each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sidecar.model import ConfigError, Seconds, ZmbanError, printable
from sidecar.serve.door import BACKLOG, Door, share

_log = logging.getLogger("zmban.control")

# Maximum size of a request: a chunk of an import fits, with any JSON escapes. Above _SHORT, only _MOST_LONG
# requests are read at a time, to bound memory.
_LONGEST, _SHORT = 16 << 20, 1 << 16
_MOST_LONG = 4
# Maximum number of connections, and of commands that run at a time; further ones wait.
_MOST, _MOST_WORK = 256, 8
# Commands that never wait: the emergency exit.
_URGENT = {"flush", "resume"}
# Timeout for reading a request, and for writing the response.
_PATIENCE: Seconds = 30.0
# How long the rest of a refused request is read, so that the client gets to read the response.
_LINGER: Seconds = 5.0
# Pauses of a client between connection attempts while the queue of the socket is full; doubled each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]


class RefusedError(ZmbanError):
    """The service responded with an error; `exit_code` is the exit code for the command."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


class Control:
    """The server side of the socket. `handle(command, arguments)` returns the result; its ZmbanError or
    ValueError is sent to the client. Clients that send nothing, an incomplete or an oversized request, or do
    not read the response, take bounded memory for a bounded time."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path, self._handle = path, handle
        self._work, self._long = asyncio.Semaphore(_MOST_WORK), asyncio.Semaphore(_MOST_LONG)
        # Connections without a complete request, oldest first.
        self._silent: dict[asyncio.StreamWriter, None] = {}
        self._inside = 0
        claim(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            # The socket must never be open to other users, not even before a chmod.
            before = os.umask(0o177)
            try:
                listening.bind(str(path))
            finally:
                os.umask(before)
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from error
        self._door = Door("control socket", listening, self._enter, self._room)

    def close(self) -> None:
        """Close the connections and remove the socket."""
        self._door.close()
        self._path.unlink(missing_ok=True)

    def _room(self) -> bool:
        most = share(_MOST)
        if self._inside >= most and self._silent:
            silent = next(iter(self._silent))
            del self._silent[silent]
            silent.transport.abort()
        return self._inside < most

    async def _enter(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_SHORT)
        protocol = asyncio.StreamReaderProtocol(reader)
        self._inside += 1
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await self._serve_client(reader, writer)
            finally:
                self._silent.pop(writer, None)
                writer.close()
        except OSError as error:
            _log.info("control socket: request failed: %s", error)
        finally:
            self._inside -= 1

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._silent[writer] = None
        # This connection can be closed for a new one now, so there may be room.
        self._door.ask_again()
        async with contextlib.AsyncExitStack() as held:
            try:
                request = await self._request(reader, held)
            except (ValueError, TimeoutError) as error:
                answer = {"error": str(error), "code": 64}
                request = b""
            else:
                self._silent.pop(writer, None)
                answer = await self._answer(request)
            if writer.is_closing():
                # Closed to make room for a new connection.
                return
            # ASCII output: a lone surrogate cannot be encoded as UTF-8.
            writer.write(json.dumps(answer).encode() + b"\n")
            try:
                async with asyncio.timeout(_PATIENCE):
                    await writer.drain()
                    if not request:
                        await _drain_request(reader, writer)
                    writer.close()
                    await writer.wait_closed()
            except TimeoutError:
                _log.info("control socket: client did not read the response within %g s", _PATIENCE)
                writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, held: contextlib.AsyncExitStack) -> bytes:
        """Read one line. ValueError if it is too long, TimeoutError if it does not arrive; the message is for
        the client. A long request takes a semaphore, which `held` releases after the response."""
        data = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                while chunk := await reader.read(_SHORT):
                    long = len(data) > _SHORT
                    data += chunk
                    if b"\n" in chunk:
                        break
                    if len(data) > _LONGEST:
                        raise ValueError(f"request too long; the limit is {_LONGEST >> 20} MiB")
                    if len(data) > _SHORT and not long:
                        await held.enter_async_context(self._long)
        except TimeoutError:
            text = f"no complete request within {_PATIENCE:g} s; end it with a newline"
            raise TimeoutError(text) from None
        return bytes(data.partition(b"\n")[0])

    async def _answer(self, request: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(request)
            # A lone surrogate is valid JSON, but cannot be encoded as UTF-8 later.
            json.dumps(asked, ensure_ascii=False).encode()
            command, arguments = str(asked["command"]), dict(asked.get("arguments", {}))
            async with contextlib.nullcontext() if command in _URGENT else self._work:
                return {"result": await self._handle(command, arguments)}
        except (ZmbanError, ValueError) as error:
            return {"error": str(error), "code": getattr(error, "exit_code", 65)}
        except (KeyError, TypeError, AttributeError, RecursionError):
            return {"error": 'a request is one line: {"command": "...", "arguments": {...}}', "code": 64}


async def _drain_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the rest of a request, so that the client gets to read the response."""
    with contextlib.suppress(TimeoutError, OSError):
        writer.write_eof()
        async with asyncio.timeout(_LINGER):
            while await reader.read(_SHORT):
                pass


def claim(path: Path) -> None:
    """Remove a stale socket. ConfigError if another service answers there, or the path is not a socket."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"{path} is not a socket; use another path with --socket")
    if _answers(path):
        raise ConfigError(f"{path}: another zmban answers there; stop it, or use --socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            # The queue is full, so a service listens there.
            return True
        except OSError:
            return False
        return True


def ask(path: Path, command: str, patience: Seconds = 120.0, **arguments: Any) -> Any:
    """Send one command and wait up to `patience` seconds for the result. None if no service listens;
    RefusedError if it refuses, denies access, or does not respond in time."""
    with socket.socket(socket.AF_UNIX) as connection:
        if not _connected(connection, path, patience):
            return None
        connection.settimeout(patience)
        request = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            # The service closed the connection early and has sent the reason.
            _send(connection, request, path)
        try:
            with connection.makefile("rb") as answer:
                reply = json.loads(answer.readline() or b'{"error": "the service ended", "code": 69}')
        except (OSError, ValueError) as error:
            raise RefusedError(f"{path}: the service does not answer ({error})", 69) from error
    if "error" in reply:
        raise RefusedError(printable(str(reply["error"])), int(reply["code"]))
    return reply["result"]


def _send(connection: socket.socket, request: bytes, path: Path) -> None:
    try:
        connection.sendall(request)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RefusedError(f"{path}: the service does not answer ({error})", 69) from error


def _connected(connection: socket.socket, path: Path, patience: Seconds) -> bool:
    """Connect as soon as there is room in the queue of the socket. False if no service listens."""
    end, pause = time.monotonic() + patience, _FIRST_PAUSE
    connection.setblocking(False)
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:
            left = end - time.monotonic()
            if left <= 0:
                text = f"{path}: too many commands wait for the service; no connection within {patience:g} s"
                raise RefusedError(f"{text}, try again", 69) from None
            # Random, so that waiting clients do not retry at the same moment.
            time.sleep(min(pause * (0.5 + random.random()), left))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except PermissionError as error:
            text = f"{path}: {error.strerror}; run this as root, or as the user of the service"
            raise RefusedError(text, 77) from error
        except OSError as error:
            raise RefusedError(f"{path}: {error.strerror or error}", 69) from error
        else:
            return True


def why_no_service(path: Path) -> str:
    """Why `ask` found no service, and how to fix that."""
    cure = "start it with zmban run, or use --socket"
    if path.is_socket():
        return f"no service listens at {path}: the socket is left over from a service that was killed; {cure}"
    if path.exists():
        return f"{path} is not a socket; {cure}"
    return f"no service answers at {path}: there is no such socket; {cure}"
