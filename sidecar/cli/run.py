"""`zmban run`: runs the service until it receives a stop signal."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
# Limit for a stop, by `on_stop`. Docker kills after 10 s; removing all routes takes longer than keeping them.
_STOP_SECONDS = {"keep": 2.5, "flush": 8.0}


@click.command()
@state_option
@socket_option
@click.option("--dry-run", is_flag=True, help="Decide and record bans, but write no routes.")
@click.option("--listen", metavar="HOST:PORT", help="Address of the HTTP server.")
@click.option(
    "--token-file",
    envvar="ZMBAN_TOKEN_FILE",
    type=click.Path(path_type=Path, readable=False),
    help="File of tokens, one NAME:TOKEN a line: who has one may act over HTTP.",
)
@click.option("--watch", is_flag=True, help="Reload the configuration when its files change.")
@click.option("--verbose", "-v", is_flag=True, help="Log every failure, not only bans.")
@click.option(
    "--log-format",
    "form",
    type=click.Choice([log_format.TEXT, log_format.JSON], case_sensitive=False),
    envvar="ZMBAN_LOG_FORMAT",
    default=log_format.TEXT,
    show_default=True,
    help="Log lines of text, or one JSON object per line.",
)
@click.pass_obj
def run(
    config: tuple[str, ...],
    state: Path,
    socket: Path,
    dry_run: bool,
    listen: str | None,
    token_file: Path | None,
    watch: bool,
    verbose: bool,
    form: str,
) -> None:
    """Run the service: follow the logs and ban attackers with blackhole routes."""
    log_format.begin(verbose=verbose, form=form)
    signals = Signals()
    # Imported after the signal thread started, because the imports are slow.
    import uvloop

    from sidecar.configuration import loading
    from sidecar.settings import ServeSettings

    loaded = loading.load_or_empty(config)
    try:
        ServeSettings(listen=listen or loaded.settings.serve.listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {listen}: write HOST:PORT") from error
    # Use the whole hard limit: HTTP clients must not exhaust the descriptors that logs and netlink need.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for told in loaded.told:
        logging.getLogger("zmban.config").warning("%s", told)
    with _exiting(as_text=form == log_format.TEXT):
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        options = {"dry_run": dry_run, "listen": listen, "tokens": token_file, "watch": watch}
        runner.run(_serve(signals, loaded, state, socket, **options))


@contextmanager
def _exiting(*, as_text: bool) -> Iterator[None]:
    """End the process when the block ends, with the exit code of its error, without joining threads."""
    code = 0
    try:
        yield
    except ZmbanError as error:
        if as_text:
            click.echo(f"zmban: {printable(str(error))}", err=True)
        else:
            _log.critical("%s", error)
        code = exit_code(error)
    except Exception:
        _log.exception("internal error; zmban exits with code 1")
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
    from sidecar.app.daemon import Hooks, serve

    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - asyncio.Runner runs the coroutine as a task
    loop, on_stop = asyncio.get_running_loop(), loaded.settings.kernel.on_stop

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    def begun() -> None:
        signals.on_stop(stop, _STOP_SECONDS[on_stop], socket)

    def on_hangup(reload: Callable[[], None]) -> None:
        def reload_soon() -> None:
            loop.call_soon_threadsafe(reload)

        signals.on_hangup(reload_soon)

    try:
        await serve(loaded, state, socket, **options, hooks=Hooks(begun, on_hangup))
    except asyncio.CancelledError:
        _log.info("stopped; routes %s", "removed" if on_stop == "flush" else "kept")
