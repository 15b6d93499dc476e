"""Commands of `zmban`: parse the command line, call the application, print text or JSON."""

from __future__ import annotations

import copy
import gc
import importlib
import io
import os
import sys
from typing import Any

import click

from sidecar import __version__
from sidecar.model import ConfigError, KernelError, SourceError, StoreError, ZmbanError

# Exit codes of sysexits.h.
USAGE, DATA, UNAVAILABLE, NO_PERMISSION, CONFIG = 64, 65, 69, 77, 78

# Module and attribute of each command, which is imported only when it is called, for a fast start.
COMMANDS = {
    "run": "sidecar.cli.run:run",
    "check": "sidecar.cli.offline.check:check",
    "regex": "sidecar.cli.offline.regex:regex",
    "replay": "sidecar.cli.offline.replay:replay",
    "explain": "sidecar.cli.offline.explain:explain",
    "ban": "sidecar.cli.online.manual.ban:ban",
    "unban": "sidecar.cli.online.manual.allow:unban",
    "allow": "sidecar.cli.online.manual.allow:allow",
    "disallow": "sidecar.cli.online.manual.allow:disallow",
    "status": "sidecar.cli.online.watch.status:status",
    "top": "sidecar.cli.online.watch.top:top",
    "reload": "sidecar.cli.online.reload:reload",
    "bans": "sidecar.cli.online.bans:bans",
    "export": "sidecar.cli.online.export:export",
    "import": "sidecar.cli.online.import_:import_",
    "backup": "sidecar.cli.state.backup:backup",
    "compact": "sidecar.cli.state.compact:compact",
    "flush": "sidecar.cli.online.flush:flush",
    "resume": "sidecar.cli.online.flush:resume",
    "self-test": "sidecar.cli.online.self_test:self_test",
    "report": "sidecar.cli.review.report:report",
    "notify": "sidecar.cli.online.notify:notify",
    "dry-run": "sidecar.cli.online.dry_run_switch:dry_run",
    "cluster": "sidecar.cli.cluster.cluster_group:cluster",
    "domain": "sidecar.cli.domain.domain_commands:domain",
    "discover": "sidecar.cli.offline.discover:discover",
}


class UnavailableError(ZmbanError):
    """The command needs a running service, and none answers."""


def load_command(name: str) -> click.Command:
    """Import a command of `COMMANDS`."""
    module, _, attribute = COMMANDS[name].partition(":")
    # Modules are no garbage: the collector would look at them again and again.
    gc.disable()
    try:
        command: click.Command = getattr(importlib.import_module(module), attribute)
    finally:
        gc.enable()
    return command


def _add_directories(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> None:
    """Directories behind the command override those in front of it."""
    ctx.obj = (*(ctx.obj or ()), *given)


_config_option = click.option(
    "--config",
    "-c",
    multiple=True,
    metavar="DIR",
    expose_value=False,
    callback=_add_directories,
    help="Configuration directory. Repeatable; a later directory overrides an earlier one. "
    "Default: those of /usr/share/zmban, /etc/fail2ban, /etc/zmban that exist.",
)


def with_config(command: click.Command) -> click.Command:
    """A copy of a command that takes `--config`."""
    copied = copy.copy(command)
    copied.params = list(command.params)
    return _config_option(copied)


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and adds `--config` to each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return with_config(load_command(cmd_name))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@_config_option
@click.version_option(__version__, prog_name="zmban")
def zmban() -> None:
    """Reads Zimbra's logs, finds attackers, and bans them with blackhole routes on the host."""


def exit_code(error: ZmbanError) -> int:
    """The exit code of sysexits.h for this class of error."""
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, KernelError):
        from sidecar.kernel.backend import NoNetAdmin

        return NO_PERMISSION if isinstance(error, NoNetAdmin) else UNAVAILABLE
    if isinstance(error, SourceError | StoreError):
        return DATA
    return getattr(error, "exit_code", UNAVAILABLE)


def _print_error(text: str) -> None:
    from sidecar.cli.output.printing import say

    say(text, err=True)


def main(arguments: list[str] | None = None) -> Any:
    """The entry point. Exits with a code of sysexits.h."""
    # Pydantic searches all installed packages for plugins, which takes 10 ms and would run them.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Escape characters that the terminal's encoding lacks, instead of raising UnicodeEncodeError.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Without standalone mode, click returns the exit code of a command instead of exiting.
        sys.exit(zmban.main(args=arguments, prog_name="zmban", standalone_mode=False) or 0)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().rstrip().split("\n"):
            _print_error(line)
        sys.exit(USAGE if isinstance(error, click.UsageError) else DATA)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ZmbanError as error:
        _print_error(f"zmban: {error}")
        sys.exit(exit_code(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
