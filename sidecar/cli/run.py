"""`zmban run`: the service, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from pathlib import Path

import click

from sidecar.app import configuration
from sidecar.cli import log_format
from sidecar.cli.places import socket_option, state_option
from sidecar.settings import ServeSettings


@click.command()
@state_option
@socket_option
@click.option("--dry-run", is_flag=True, help="Decide and record, and leave the kernel alone.")
@click.option("--listen", metavar="HOST:PORT", help="Where metrics and health are answered.")
@click.option("--verbose", "-v", is_flag=True, help="Log every failure, not only bans.")
@click.pass_obj
def run(
    config: tuple[str, ...], state: Path, socket: Path, dry_run: bool, listen: str | None, verbose: bool
) -> None:
    """Read the logs, and make the kernel refuse who attacks."""
    import uvloop

    log_format.begin(verbose=verbose)
    loaded = configuration.load(config)
    try:
        ServeSettings(listen=listen or loaded.settings.serve.listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {listen}: write HOST:PORT") from error
    # Idle clients of the metrics page must not use up the descriptors that logs and kernel need.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for fault in loaded.jails.faults:
        logging.getLogger("zmban.config").warning("%s", fault)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded, state, socket, dry_run, listen))


async def _serve(
    loaded: configuration.Loaded, state: Path, socket: Path, dry_run: bool, listen: str | None
) -> None:
    from sidecar.app.main import serve

    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is a task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await serve(loaded, state, socket, dry_run=dry_run, listen=listen)
    except asyncio.CancelledError:
        flushed = loaded.settings.kernel.on_stop == "flush"
        logging.getLogger("zmban").info("stopped; the routes %s", "are gone" if flushed else "stay")
