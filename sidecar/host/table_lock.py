"""Prevents two services from writing the same routing table."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from sidecar.kernel import owner
from sidecar.kernel.owner import Holder, Owner
from sidecar.model import ConfigError, KernelError, Seconds
from sidecar.settings import KernelSettings
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.kernel")
# How long to wait for a process that is ending, as when a container is recreated.
_PATIENCE_SECONDS: Seconds = 3.0
_PAUSE_SECONDS: Seconds = 0.1


def number(kernel: KernelSettings) -> int:
    """The number of the configured table."""
    return owner.number(kernel.table)


async def acquire(
    stack: contextlib.ExitStack, kernel: KernelSettings, state: Path, *, dry_run: bool
) -> tuple[str, ...]:
    """Lock the table until the stack is closed. ConfigError if another zmban holds it; otherwise the doubts,
    if the lock cannot be taken. A dry run writes nothing and locks nothing."""
    if dry_run:
        return ()
    table = number(kernel)
    try:
        acquired, other = await _acquire(table, str(state.absolute()))
    except KernelError as error:
        _log.warning("%s: a second zmban on this table would not be detected", error)
        return (str(error),)
    if acquired is not None:
        stack.callback(acquired.close)
        return ()
    if other is not None and other.counts:
        raise ConfigError(
            f"another zmban in this network writes table {owner.named(table)}: {other}; stop one of them, or "
            "set another [kernel] table"
        )
    who = f"user {other.uid}, {other}," if other else "an unknown process"
    lock = f"the lock of table {owner.named(table)}"
    doubt = f"{who} holds {lock}, so a second zmban would not be detected; end that process"
    _log.warning("%s", doubt)
    return (doubt,)


async def _acquire(table: int, state: str) -> tuple[Owner | None, Holder | None]:
    """The lock, or None and its holder after the wait."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if acquired := owner.take(table, state):
            return acquired, None
        other = await run_detached(owner.holder, table)
        # A holder without the right to write routes is not a zmban: do not wait for it.
        if (other is not None and not other.counts) or time.monotonic() > end:
            return None, other
        await asyncio.sleep(_PAUSE_SECONDS)
