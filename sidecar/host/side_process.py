"""Runs a module of ours in a process of its own: one JSON object in, one out."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import Any

from sidecar.model import Seconds, ZmbanError


class SideProcessError(ZmbanError):
    """The process answered with an error, in its words; or gave no answer, then `ended` is `late` (it took
    too long) or `died` (it used too much time or memory, or is faulty)."""

    def __init__(self, message: str, ended: str = "") -> None:
        super().__init__(message)
        self.ended = ended


async def asked(module: str, request: dict[str, Any], patience: Seconds) -> dict[str, Any]:
    """The answer of `python -m module` to a request. The process is killed if the caller is cancelled, or
    after `patience`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, cwd="/", stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(patience):
            output, _ = await process.communicate(json.dumps(request).encode())
    except TimeoutError:
        raise SideProcessError(f"it took longer than {patience:g} s and was ended", "late") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise SideProcessError("it used too much time or memory and was ended", "died") from None
    if "error" in answer:
        raise SideProcessError(str(answer["error"]))
    return answer
