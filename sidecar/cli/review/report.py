"""`zmban report`: the review of a day, by the service or over given files."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from sidecar.cli import CONFIG, UNAVAILABLE
from sidecar.cli.output import page_file
from sidecar.cli.output.printing import emit, emit_document, json_options, progress, say
from sidecar.cli.places import ask, socket_option
from sidecar.local_time import moment
from sidecar.model import ConfigError, counted

# The first report of a service counts the logs of two days.
_PATIENCE = 3600.0


class _Day(click.ParamType):  # type: ignore[type-arg]
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """A date, or today or yesterday in the zone of this host."""
        words = {"today": 0, "yesterday": 1}
        if value in words:
            return (date.today() - timedelta(days=words[value])).isoformat()
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            self.fail(f"{str(value)[:40]!r} is not a day; write YYYY-MM-DD, today or yesterday", param, ctx)


@click.command()
@click.option(
    "--day",
    type=_Day(),
    metavar="YYYY-MM-DD",
    help="The day, also today or yesterday. Default: today; with --log all days.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="FILE",
    help="Read this file instead of asking the service; compressed files too. Repeatable, the oldest first.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write the report as a page to this file; - for standard output.",
)
@click.option("--text", is_flag=True, help="Print the text as well if --html or --mail is given.")
@click.option("--mail", is_flag=True, help="Send the report to the targets of [notify].")
@click.option(
    "--adopt",
    type=click.IntRange(1),
    metavar="N",
    help="Write new pattern N as a filter, a dry-run jail and samples into the directory --to.",
)
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The configuration directory for --adopt.",
)
@click.option("--name", help="The name of the filter and jail of --adopt.")
@click.option(
    "--timezone", metavar="TZ", help="With --log: zone of dates that name none. Default: this host's."
)
@click.option(
    "--now", type=float, metavar="EPOCH", help="With --log: the present time, for dates without a year."
)
@socket_option
@json_options
@click.pass_obj
def report(
    config: tuple[str, ...], day: str | None, logs: tuple[str, ...], page: str | None, text: bool, mail: bool,
    adopt: int | None, directory: Path | None, name: str | None, timezone: str | None, now: float | None,
    socket: Path, as_json: bool, jsonl: bool,
) -> None:  # fmt: skip
    """The review of a day: mail as Zimbra's Daily Mail Report counts it, what zmban decided, new patterns.

    Asks the service, which counts lines while they are written; with --log it reads files itself, and tries
    the enabled jails on them.
    """
    if adopt and directory is None:
        raise click.UsageError("--adopt writes files; give a directory with --to DIR")
    if page == page_file.STDOUT and (as_json or jsonl or text):
        raise click.UsageError("--html - and another output both write to standard output")
    if not logs and (timezone or now is not None):
        raise click.UsageError("--timezone and --now are for files: give them with --log FILE")
    page_file.writable(page)
    if logs:
        found = _of_files(
            config, logs, day, timezone, time.time() if now is None else now, quiet=as_json or jsonl
        )
        targets = _mailed(config, found) if mail else []
    else:
        answer = ask(socket, "report", day=day or "", send=mail, fresh=adopt is None, patience=_PATIENCE)
        found, targets = answer["report"], answer["sent_to"]
    if adopt and directory is not None:
        _adopt(found, adopt, directory, name)
        return
    _show(found, page, text=text or not (page or mail), as_json=as_json, jsonl=jsonl)
    if mail:
        _tell_targets(targets)


def _of_files(
    config: tuple[str, ...],
    logs: Sequence[str],
    day: str | None,
    timezone: str | None,
    now: float,
    *,
    quiet: bool,
) -> dict[str, Any]:
    from sidecar.configuration import loading
    from sidecar.offline.review.building import FileReport
    from sidecar.offline.review.log_tally import Readers

    loaded = loading.load_or_empty(config)
    zone = loading.zone(timezone) if timezone else loading.host_zone()
    total = sum(Path(path).stat().st_size for path in logs if Path(path).is_file())
    with progress(total, quiet=quiet and sys.stdout.isatty()) as bar:
        return FileReport(Readers.of(loaded, zone), now, day, bar.advance).build(logs)


def _show(found: dict[str, Any], page: str | None, *, text: bool, as_json: bool, jsonl: bool) -> None:
    from sidecar.review.report import html_report, text_report

    if page:
        page_file.write(page, html_report.rendered(found, moment))
    if jsonl:
        emit([found], jsonl=True)
    elif as_json:
        # One document, which is the report itself.
        emit_document(found)
    elif text and page != page_file.STDOUT:
        for line in text_report.rendered(found, moment):
            click.echo(line)
    if page and page != page_file.STDOUT:
        say(f"{page}: the report of {found['report']}", err=True)


def _mailed(config: tuple[str, ...], found: dict[str, Any]) -> list[str]:
    """Send the report to the targets of [notify], without a service."""
    from sidecar.app.review.report_message import send_now
    from sidecar.configuration import loading

    settings = loading.load_or_empty(config).settings.notify
    sent, failed = asyncio.run(send_now(settings, found, time.time()))
    for why in failed:
        say(why, err=True)
    if failed and not sent:
        raise click.exceptions.Exit(UNAVAILABLE)
    return sent


def _tell_targets(targets: Sequence[str]) -> None:
    if not targets:
        say("no target: set mail_to, webhooks or webhooks_file in [notify]", err=True)
        raise click.exceptions.Exit(CONFIG)
    say(f"sent to: {', '.join(targets)}")


def _adopt(found: dict[str, Any], number: int, directory: Path, name: str | None) -> None:
    from sidecar.offline.review import filter_adoption
    from sidecar.review.patterns.mined_pattern import MinedPattern

    patterns = found["patterns"]
    if number > len(patterns):
        raise click.UsageError(f"--adopt {number}: the report has {counted(len(patterns), 'new pattern')}")
    pattern = MinedPattern.of_record(patterns[number - 1])
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--to {directory}: {error.strerror}") from error
    for path in filter_adoption.write(pattern, name or f"zimbra-new-{pattern.id}", directory):
        say(str(path), whole=[str(path)])
    say(f"The jail is a dry run. To see what it finds: zmban --config {directory} replay")
