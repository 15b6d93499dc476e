"""Two services must not write one table: they would fight over it, and take over each other's bans."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from sidecar.app.background import run_detached
from sidecar.kernel import owner
from sidecar.kernel.codec import TABLE_MAIN
from sidecar.kernel.owner import Holder, Owner
from sidecar.model import ConfigError, KernelError, Seconds
from sidecar.settings import KernelSettings

_log = logging.getLogger("zmban.kernel")
# A process that ends, as where a container is made anew, is waited for.
_PATIENCE_SECONDS: Seconds = 3.0
_PAUSE_SECONDS: Seconds = 0.1


def number(kernel: KernelSettings) -> int:
    """The table that the settings name."""
    return TABLE_MAIN if kernel.table == "main" else kernel.table


async def take(
    stack: contextlib.ExitStack, kernel: KernelSettings, state: Path, *, dry_run: bool
) -> tuple[str, ...]:
    """Own the table until the stack is closed. ConfigError where another zmban does; the doubts where that
    cannot be told. A dry run writes nothing, and owns nothing."""
    if dry_run:
        return ()
    table = number(kernel)
    try:
        ours, last = await _taken(table, str(state.absolute()))
    except KernelError as error:
        _log.warning("%s: nothing would keep a second zmban from writing it too", error)
        return (str(error),)
    if ours is not None:
        stack.callback(ours.close)
        return ()
    if last is not None and last.counts:
        raise ConfigError(
            f"another zmban in this network writes table {owner.named(table)}: {last}; stop one of them, or "
            "give one another [kernel] table"
        )
    who = f"user {last.uid}, {last}," if last else "somebody who does not answer"
    doubt = f"{who} holds the name by which a second zmban on table {owner.named(table)} is noticed: end that"
    _log.warning("%s", doubt)
    return (doubt,)


async def _taken(table: int, state: str) -> tuple[Owner | None, Holder | None]:
    """The table, or who holds it for good."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if ours := owner.take(table, state):
            return ours, None
        last = await run_detached(owner.holder, table)
        # Who may not write routes is none of us, and is not waited for: routes come first.
        if (last is not None and not last.counts) or time.monotonic() > end:
            return None, last
        await asyncio.sleep(_PAUSE_SECONDS)
