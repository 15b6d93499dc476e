"""`zmban run`: the service, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli import exit_code, log_format
from sidecar.cli.places import socket_option, state_option
from sidecar.cli.signals import Signals, leave
from sidecar.model import ZmbanError, printable

if TYPE_CHECKING:
    from sidecar.configuration.loading import Loaded

_log = logging.getLogger("zmban")
# For a stop: Docker gives ten seconds. To take the routes out of the kernel takes longer than to leave them.
_PATIENCE = {"keep": 2.5, "flush": 8.0}


@click.command()
@state_option
@socket_option
@click.option("--dry-run", is_flag=True, help="Decide and record, and leave the kernel alone.")
@click.option("--listen", metavar="HOST:PORT", help="Where metrics and health are answered.")
@click.option("--watch", is_flag=True, help="Read the configuration anew whenever its files change.")
@click.option("--verbose", "-v", is_flag=True, help="Log every failure, not only bans.")
@click.pass_obj
def run(
    config: tuple[str, ...],
    state: Path,
    socket: Path,
    dry_run: bool,
    listen: str | None,
    watch: bool,
    verbose: bool,
) -> None:
    """Read the logs, and make the kernel refuse who attacks."""
    log_format.begin(verbose=verbose)
    signals = Signals()
    # Only now, for it takes its time.
    import uvloop

    from sidecar.configuration import loading
    from sidecar.settings import ServeSettings

    loaded = loading.safely(config)
    try:
        ServeSettings(listen=listen or loaded.settings.serve.listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {listen}: write HOST:PORT") from error
    # Idle clients of the metrics page must not use up the descriptors that logs and kernel need.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for told in loaded.told:
        logging.getLogger("zmban.config").warning("%s", told)
    with _left():
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        runner.run(_serve(signals, loaded, state, socket, dry_run=dry_run, listen=listen, watch=watch))


@contextmanager
def _left() -> Iterator[None]:
    """Whatever ends the service ends the process, with its code: no thread is waited for."""
    code = 0
    try:
        yield
    except ZmbanError as error:
        click.echo(f"zmban: {printable(str(error))}", err=True)
        code = exit_code(error)
    except Exception:
        _log.exception("zmban ends by a fault of its own")
        code = 1
    finally:
        leave(code)


async def _serve(
    signals: Signals,
    loaded: Loaded,
    state: Path,
    socket: Path,
    **options: Any,
) -> None:
    from sidecar.app.daemon import serve

    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is a task
    loop, on_stop = asyncio.get_running_loop(), loaded.settings.kernel.on_stop

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    def begun() -> None:
        signals.in_order(stop, _PATIENCE[on_stop], socket)

    def on_hangup(reload: Callable[[], None]) -> None:
        signals.on_hangup(partial(_soon, loop, reload))

    try:
        await serve(loaded, state, socket, **options, begun=begun, on_hangup=on_hangup)
    except asyncio.CancelledError:
        _log.info("stopped; the routes %s", "are gone" if on_stop == "flush" else "stay")


def _soon(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(work)
