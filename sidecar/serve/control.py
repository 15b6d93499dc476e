"""Commands over a unix socket, mode 0600: one JSON object asks, one answers, a line each."""

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

# Bounds one request: a chunk of an import fits, however its letters are written. Only a few may be so long
# at a time; nearly all are short.
_LONGEST, _SHORT = 16 << 20, 1 << 16
_MOST_LONG = 4
# So many are connected at a time, and so many commands worked on; who comes then waits.
_MOST, _MOST_WORK = 256, 8
# What must not wait behind anything: the emergency exit.
_URGENT = {"flush", "resume"}
# For a request to come, and for an answer to be taken.
_PATIENCE: Seconds = 30.0
# How long what somebody still sends is taken from him, so that he reads why it is refused.
_LINGER: Seconds = 5.0
# A client whose connection finds the queue full tries again, first after this, then less and less often.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]


class RefusedError(ZmbanError):
    """The service answered with an error; `exit_code` is what it asks for."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


class Control:
    """The service's end of the socket. `handle(command, arguments)` answers; its ZmbanError or ValueError is
    told to the caller. Whoever sends nothing, half a request or too long a one costs a bounded place for a
    bounded time, and so does whoever does not read his answer."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path, self._handle = path, handle
        self._work, self._long = asyncio.Semaphore(_MOST_WORK), asyncio.Semaphore(_MOST_LONG)
        # Who has not said yet what he wants, the oldest first.
        self._silent: dict[asyncio.StreamWriter, None] = {}
        self._inside = 0
        claim(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            # Nobody else may open it at any moment.
            before = os.umask(0o177)
            try:
                listening.bind(str(path))
            finally:
                os.umask(before)
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise ConfigError(f"{path} cannot be listened on: {error.strerror or error}") from error
        self._door = Door("control socket", listening, self._enter, self._room)

    def close(self) -> None:
        """Answer nobody any more; the socket is gone."""
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
                await self._attend(reader, writer)
            finally:
                self._silent.pop(writer, None)
                writer.close()
        except OSError as error:
            _log.info("a request could not be answered: %s", error)
        finally:
            self._inside -= 1

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._silent[writer] = None
        # He may give way now; before, nobody could be sent away.
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
                # Sent away for somebody who says what he wants.
                return
            # Half a surrogate pair would be no text that can be written.
            writer.write(json.dumps(answer).encode() + b"\n")
            try:
                async with asyncio.timeout(_PATIENCE):
                    await writer.drain()
                    if not request:
                        await _lingering(reader, writer)
                    writer.close()
                    await writer.wait_closed()
            except TimeoutError:
                _log.info("somebody asked, and did not read the answer within %g s", _PATIENCE)
                writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, held: contextlib.AsyncExitStack) -> bytes:
        """One line. ValueError for one that is too long, TimeoutError where it does not come; both with a
        sentence for the caller. What a long one needs is `held` until it is answered."""
        data = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                while chunk := await reader.read(_SHORT):
                    long = len(data) > _SHORT
                    data += chunk
                    if b"\n" in chunk:
                        break
                    if len(data) > _LONGEST:
                        raise ValueError(f"a request has {_LONGEST >> 20} MiB at most")
                    if len(data) > _SHORT and not long:
                        await held.enter_async_context(self._long)
        except TimeoutError:
            text = f"no whole request came within {_PATIENCE:g} s; end it with a newline"
            raise TimeoutError(text) from None
        return bytes(data.partition(b"\n")[0])

    async def _answer(self, request: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(request)
            # Half a surrogate pair is valid JSON, and no text that can be written anywhere.
            json.dumps(asked, ensure_ascii=False).encode()
            command, arguments = str(asked["command"]), dict(asked.get("arguments", {}))
            async with contextlib.nullcontext() if command in _URGENT else self._work:
                return {"result": await self._handle(command, arguments)}
        except (ZmbanError, ValueError) as error:
            return {"error": str(error), "code": getattr(error, "exit_code", 65)}
        except (KeyError, TypeError, AttributeError, RecursionError):
            return {"error": 'a request is one line: {"command": "...", "arguments": {...}}', "code": 64}


async def _lingering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what is still sent, so that the caller comes to read his answer."""
    with contextlib.suppress(TimeoutError, OSError):
        writer.write_eof()
        async with asyncio.timeout(_LINGER):
            while await reader.read(_SHORT):
                pass


def claim(path: Path) -> None:
    """Make way for a socket of ours. ConfigError where another service answers, or no socket stands."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"{path} is no socket; name another place with --socket")
    if _answers(path):
        raise ConfigError(f"{path}: another zmban answers there; stop it, or use --socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            # Its queue is full: somebody listens there.
            return True
        except OSError:
            return False
        return True


def ask(path: Path, command: str, patience: Seconds = 120.0, **arguments: Any) -> Any:
    """Send one command and wait for its answer, `patience` seconds. None where no service answers;
    RefusedError if it refuses, may not be asked, or does not answer in time."""
    with socket.socket(socket.AF_UNIX) as connection:
        if not _connected(connection, path, patience):
            return None
        connection.settimeout(patience)
        request = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            # Where it breaks off, the service has said why.
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
    """Connect, as soon as there is room in the service's queue. False where nobody listens."""
    end, pause = time.monotonic() + patience, _FIRST_PAUSE
    connection.setblocking(False)
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:
            left = end - time.monotonic()
            if left <= 0:
                text = f"{path}: too many commands wait for the service; none got in within {patience:g} s"
                raise RefusedError(f"{text}, try again", 69) from None
            # Not all of those who wait at the same moment.
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


def nobody(path: Path) -> str:
    """Why `ask` found no service there, and the cure."""
    cure = "start it with zmban run, or name --socket"
    if path.is_socket():
        return f"no service listens at {path}, though its socket is there: it was killed; {cure}"
    if path.exists():
        return f"{path} is no socket; {cure}"
    return f"no service answers at {path}: there is no such socket; {cure}"
