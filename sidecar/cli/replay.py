"""`zmban replay`: what the jails would have done over their logs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sidecar.app import budget, configuration
from sidecar.app.replay import Replay, record
from sidecar.app.suspects import Suspects
from sidecar.bans.guard import Guard
from sidecar.cli.output import EPOCH, emit, json_options, moment, progress, say
from sidecar.fail2ban.jails import JailSpec


def _logs(values: tuple[str, ...]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for value in values:
        jail, equals, path = value.partition("=")
        if not equals or not path:
            raise click.UsageError(f"--log {value!r}: write --log JAIL=PATH")
        if not Path(path).is_file():
            raise click.UsageError(f"--log {value!r}: {path} is no file")
        given.setdefault(jail, []).append(path)
    return given


@click.command()
@click.option("--now", type=EPOCH, metavar="EPOCH", help="The time that dates without a year are read at.")
@click.option("--timezone", metavar="TZ", help="Zone of dates that name none (IANA name).")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="JAIL=PATH",
    help="Read this file for a jail instead of its logpath; repeat it.",
)
@json_options
@click.pass_obj
def replay(
    config: tuple[str, ...],
    now: float | None,
    timezone: str | None,
    logs: tuple[str, ...],
    as_json: bool,
    jsonl: bool,
) -> None:
    """Run all enabled jails over their logs from first to last line, by the logs' own clock.

    Writes nothing, bans nobody, and asks nothing of the host it runs on but the logs.
    """
    loaded = configuration.load(config)
    given = _logs(logs)
    unknown = set(given) - set(loaded.jails.jails)
    if unknown:
        raise click.UsageError(f"no enabled jail {', '.join(sorted(unknown))}; see zmban check")
    for fault in loaded.faults:
        if not fault.warning:
            click.echo(str(fault), err=True)
    run = Replay(
        loaded.jails.jails,
        Guard(configuration.protected(loaded.settings)),
        Suspects(configuration.trust(loaded.settings), loaded.settings.trust),
        configuration.zone(timezone) if timezone else configuration.host_zone(),
        time.time() if now is None else now,
        loaded.settings.good,
    )
    by_path = run.logs(given)
    for name, jail in loaded.jails.jails.items():
        if not any(jail in jails for jails in by_path.values()):
            click.echo(
                f"{name}: no log is there ({jail.logpath[0].glob}); name one with --log {name}=FILE", err=True
            )
    # What is made here lives long or dies at once: looking for circles in it all the time finds none.
    gc.set_threshold(100_000, 50, 100)
    with budget.kept():
        _print(run, by_path, as_json=as_json, jsonl=jsonl)
    for (name, regex), times in run.slow.items():
        say(f"{name}: {regex} worked too long on {times} lines and was broken off", err=True)


def _print(run: Replay, by_path: dict[str, list[JailSpec]], *, as_json: bool, jsonl: bool) -> None:
    with progress(sum(Path(p).stat().st_size for p in by_path)) as advance:
        run.on_progress(advance)
        records = (record(event) for event in run.events(by_path))
        if as_json or jsonl:
            emit(_with_summary(run, records), jsonl=jsonl)
            return
        for one in records:
            _line(one)
    total = run.summary()
    click.echo(
        f"{total['lines']} lines, {total['matches']} matches, {total['failures']} failures, "
        f"{total['bans']} bans, {total['refused']} refused in {total['seconds']:.2f} s "
        f"({total['lines_per_second']} lines/s)"
    )
    for suspect in total["suspected_proxies"]:
        say(suspect["told"])


def _with_summary(run: Replay, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from records
    yield {"event": "summary", **run.summary()}


def _line(one: dict[str, Any]) -> None:
    at = moment(one["at"])
    jail, network = one["jail"], str(one["network"])
    if one["event"] in ("ban", "extend"):
        until = moment(one["until"])
        say(f"{at}  {one['event']:7} {network:24} {jail}  {one['failures']} failures, until {until}")
        for text in one["evidence"]:
            say(f"    {text}")
    else:
        say(f"{at}  {one['event']:7} {network:24} {jail}  {one.get('reason', '')}")
