"""Commands of `zmban`: read the command line, call the app, print for people or for programs."""

from __future__ import annotations

import copy
import importlib
import io
import sys
from typing import Any

import click

from sidecar import __version__
from sidecar.model import ConfigError, KernelError, SourceError, StoreError, ZmbanError

# sysexits.h: what a shell script can tell apart.
USAGE, DATA, UNAVAILABLE, NO_PERMISSION, CONFIG = 64, 65, 69, 77, 78

# Each command lives in one file and is imported only when it is called: start-up stays short.
_COMMANDS = {
    "run": "sidecar.cli.run",
    "check": "sidecar.cli.offline.check",
    "regex": "sidecar.cli.offline.regex",
    "replay": "sidecar.cli.offline.replay",
    "explain": "sidecar.cli.offline.explain",
    "ban": "sidecar.cli.online.ban",
    "unban": "sidecar.cli.online.ban",
    "allow": "sidecar.cli.online.ban",
    "disallow": "sidecar.cli.online.ban",
    "status": "sidecar.cli.online.status",
    "reload": "sidecar.cli.online.reload",
    "bans": "sidecar.cli.online.bans",
    "import": "sidecar.cli.online.import_",
    "flush": "sidecar.cli.online.flush",
    "resume": "sidecar.cli.online.flush",
    "discover": "sidecar.cli.offline.discover",
}


class UnavailableError(ZmbanError):
    """No service answers, and this command needs one."""


def _add(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> None:
    """Directories that stand behind the command lie over those before it."""
    ctx.obj = (*(ctx.obj or ()), *given)


_directories = click.option(
    "--config",
    "-c",
    multiple=True,
    metavar="DIR",
    expose_value=False,
    callback=_add,
    help="Configuration directory; repeat it, a later one overrides. "
    "Default: /usr/share/zmban, /etc/fail2ban, /etc/zmban, those that exist.",
)


class Lazy(click.Group):
    """A group whose commands are imported when they are called; each takes `--config`, as the group does."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = copy.copy(getattr(importlib.import_module(module), cmd_name))
        command.params = list(command.params)
        return _directories(command)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@_directories
@click.version_option(__version__, prog_name="zmban")
def zmban() -> None:
    """Reads Zimbra's logs, works out who attacks, and makes the host's routing table refuse them."""


def exit_code(error: ZmbanError) -> int:
    """The code of sysexits.h that tells a script who must act."""
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, KernelError):
        from sidecar.kernel.netlink import NoNetAdmin

        return NO_PERMISSION if isinstance(error, NoNetAdmin) else UNAVAILABLE
    if isinstance(error, SourceError | StoreError):
        return DATA
    return getattr(error, "exit_code", UNAVAILABLE)


def _complain(text: str) -> None:
    from sidecar.cli.output.printing import say

    say(text, err=True)


def main(arguments: list[str] | None = None) -> Any:
    """The entry point; exits with a code of sysexits.h."""
    # A text that the terminal's encoding has no sign for is no reason to end.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Without standalone mode, an exit code that a command asked for is returned.
        sys.exit(zmban.main(args=arguments, prog_name="zmban", standalone_mode=False) or 0)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().rstrip().split("\n"):
            _complain(line)
        sys.exit(USAGE if isinstance(error, click.UsageError) else DATA)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ZmbanError as error:
        _complain(f"zmban: {error}")
        sys.exit(exit_code(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
