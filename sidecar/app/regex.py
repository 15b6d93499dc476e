"""What one filter says of each line of a log: the heart of `zmban regex`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from sidecar.detect import grammar
from sidecar.detect.grammar import Trust
from sidecar.detect.matcher import Matcher
from sidecar.fail2ban import filters
from sidecar.fail2ban.files import ConfigFiles
from sidecar.fail2ban.filters import FilterSpec
from sidecar.model import ConfigError, Fault, Instant, Network


@dataclass(frozen=True, slots=True)
class Reading:
    """One line and what came of it."""

    number: int
    line: str
    matched: bool
    ignored: bool
    host: str | None
    time: Instant | None
    groups: dict[str, str]
    regex: int

    def record(self) -> dict[str, object]:
        """The object that contract.md names for `regex --jsonl`."""
        return {
            "line": self.number,
            "matched": self.matched,
            "ignored": self.ignored,
            "host": self.host,
            "time": self.time,
            "groups": self.groups,
        }


def find_filter(files: ConfigFiles, text: str, ignore: str | None) -> tuple[FilterSpec, list[Fault]]:
    """FILTER of the command line: a name with options, a path, or else a regex. ConfigError if none fits."""
    try:
        name, given = filters.split_name(text)
    except ConfigError:
        name, given = "", {}
    if name and len(name) < 200 and "/" in name and Path(name).is_file():
        return filters.from_file(files, Path(name), given)
    if name and name in files.filter_names():
        return filters.load(files, name, given, None)
    if name and not given and name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(
            f"filter {name} is not there; there are: {', '.join(files.filter_names()) or 'none'}"
        )
    return filters.inline(text, ignore)


def read(
    lines: Iterable[str],
    spec: FilterSpec,
    zone: tzinfo,
    now: Instant,
    trust: Trust,
    log: str | None,
    *,
    undated: bool,
) -> Iterator[Reading]:
    """One Reading per line, in order, one filter instance for all.

    `log` names the grammar of the log, if its name tells; `undated`: every line happens now.
    """
    matcher = Matcher(spec, zone)
    name = spec.grammar or log
    blame = grammar.GRAMMARS[name] if name else None
    for number, line in enumerate(lines, start=1):
        outcome = matcher.match(line, now)
        matched = outcome.regex >= 0 and not outcome.ignored
        host = outcome.host
        if blame is not None and matched:
            # As in the service: whom the regex names must be whom the grammar blames.
            client = blame(outcome.text, trust)
            matched = client is not None and (host is None or canonical(host) == canonical(client))
            host = client
        yield Reading(
            number,
            line,
            matched,
            outcome.regex >= 0 and outcome.ignored,
            canonical(host) if matched else None,
            now if undated else outcome.at,
            outcome.groups if matched else {},
            outcome.regex,
        )


def canonical(host: str | None) -> str | None:
    """An address or network in canonical text; a name as it was written."""
    if host is None:
        return None
    try:
        network = Network.parse(host)
    except ValueError:
        return host
    return network.address if network.single else str(network)
