"""The compared programs: the command of each for one log, and how to read the number of lines found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.scan.generate import NOW
from bench.scan.measure import Program
from bench.scan.places import CONFIG, failregex_file, tool
from sidecar.configuration import loading
from tests.cli.running import ZMBAN
from tests.conformance import package

EVERYTHING = "every shipped jail of zmban"


def summary(output: Path) -> dict[str, float]:
    """The summary of `zmban replay --jsonl`, its last line."""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - 4096))
        last = file.read().splitlines()[-1]
    figures: dict[str, float] = json.loads(last)
    return figures


def _matches(output: Path) -> int:
    return int(summary(output)["matches"])


def zmban(config: Path, logs: dict[str, Path | None], extra: Sequence[str] = ()) -> Program:
    """zmban with all jails of a configuration. A jail of `logs` without a path reads the measured log."""

    def command(log: Path) -> list[str]:
        given = [f"--log={jail}={path or log}" for jail, path in logs.items()]
        options = ["--now", str(NOW), "--timezone", "UTC", "--jsonl"]
        return [str(ZMBAN), "--config", str(config), "replay", *options, *given, *extra]

    return Program("zmban replay", command, _matches)


def shipped(jail: str, empty: Path) -> Program:
    """zmban as shipped: all jails run; those for other logs read an empty log."""
    jails = ("zimbra-smtp", "zimbra-mail", "zimbra-nginx")
    return zmban(CONFIG, {name: None if name == jail else empty for name in jails})


def everything(file: str, empty: Path) -> Program:
    """zmban with every shipped and enabled jail; those for a log of this name read it."""
    known = loading.load([str(CONFIG)]).jails.jails.values()
    reading = {j.name: None if any(p.glob.endswith(f"/{file}") for p in j.logpath) else empty for j in known}
    return replace(zmban(CONFIG, reading), name=EVERYTHING)


def fail2ban(filter_: Path) -> Program:
    """Debian's fail2ban-regex with one filter, without printing missed lines, which makes it faster."""

    def command(log: Path) -> list[str]:
        script = str(package.program("fail2ban-regex"))
        return [package.interpreter(), "-W", "ignore", script, "--print-no-missed", str(log), str(filter_)]

    def found(output: Path) -> int:
        said = re.search(
            r"^Lines: \d+ lines, \d+ ignored, (\d+) matched", output.read_text(errors="replace"), re.M
        )
        if said is None:
            raise RuntimeError("fail2ban-regex says nothing of its lines")
        return int(said.group(1))

    environment = {"PYTHONPATH": str(package.library()), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    return Program("fail2ban-regex", command, found, environment | {"TZ": "UTC"})


def sshguard() -> Program:
    """sshguard's parser with its own grammar; its number of lines found is not checked."""
    return Program("sshguard (sshg-parser)", lambda _: [str(tool("sshguard"))], _lines, stdin=True)


def ripgrep(place: Path, regexes: dict[str, list[str]]) -> list[Program]:
    """ripgrep counts the lines that match any of these regexes, in the forms `pcre` and `rust`; the latter with
    and without Unicode. The fastest of the three is compared."""
    files = {form: failregex_file(place / f"{form}.regex", texts) for form, texts in regexes.items()}
    base = [str(tool("ripgrep")), "--no-config", "--count", "--include-zero"]
    ways = {
        "ripgrep": ["-f", str(files["rust"])],
        "ripgrep --no-unicode": ["--no-unicode", "-f", str(files["rust"])],
        "ripgrep -P": ["-P", "-f", str(files["pcre"])],
    }
    return [_ripgrep(name, [*base, *options]) for name, options in ways.items()]


def _ripgrep(name: str, options: list[str]) -> Program:
    # Exit code 1 means no match.
    return Program(name, lambda log: [*options, str(log)], _number, codes=(0, 1))


def wc() -> Program:
    """`wc -l`: the time to read each byte."""
    return Program("wc -l", lambda log: ["/usr/bin/wc", "-l", str(log)], _number)


def _lines(output: Path) -> int:
    return output.read_bytes().count(b"\n")


def _number(output: Path) -> int:
    return int(output.read_text(encoding="utf-8").split()[0])
