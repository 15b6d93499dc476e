"""What one filter says of each line of a log: the heart of `zmban regex`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from sidecar.detect import grammar
from sidecar.detect.grammar import Grammar, Trust
from sidecar.detect.match.matcher import LONGEST_LINE, Matcher, Outcome
from sidecar.detect.scanner import refused
from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.dates.datepatterns import Template
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.fail2ban.syntax.tags import HOST_GROUPS
from sidecar.model import ConfigError, Fault, Instant
from sidecar.network import Network


@dataclass(frozen=True, slots=True)
class Target:
    """What FILTER of the command line is: `kind` is filter, file, jail or line. The zone and the encoding are
    those of a jail."""

    kind: str
    name: str
    spec: FilterSpec
    faults: tuple[Fault, ...] = ()
    zone: tzinfo | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class LineResult:
    """One line and what came of it. `hits` are the failregexes that match it, `ignores` the ignoreregexes,
    `template` the pattern of its date; `named` is whom a hit names, though it may be no failure; `framed` is
    the client of a line that names somebody else; `lines` are all that led to a failure."""

    number: int
    line: str
    matched: bool
    ignored: bool
    host: str | None
    time: Instant | None
    groups: dict[str, Any]
    regex: int
    hits: tuple[int, ...] = ()
    ignores: tuple[int, ...] = ()
    template: Template | None = None
    prefixed: bool = False
    framed: str | None = None
    lines: tuple[str, ...] = ()
    named: str | None = None

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


def target(files: ConfigFiles, text: str, options: Mapping[str, str]) -> Target:
    """FILTER of the command line: a jail, a filter's name with options, a path, or else a regex.

    A filter comes before a jail of its name. `options` (usedns, maxlines) are given to the filter.
    ConfigError if none fits.
    """
    try:
        name, brackets = split_name(text)
    except ConfigError:
        name, brackets = "", {}
    given = {**brackets, **options}
    if name and len(name) < 200 and "/" in name and Path(name).is_file():
        return Target("file", name, *_frozen(filters.from_file(files, Path(name), given)))
    if "/" in name and name.endswith((".conf", ".local")):
        raise ConfigError(f"{name}: no such filter file")
    if name and files.filter(name) is not None:
        return Target("filter", name, *_frozen(filters.load(files, name, given)))
    jail, faults = jails.one(files, name) if name and not brackets else (None, [])
    if jail is not None:
        if options:
            raise ConfigError(f"{name} is a jail, which says {' and '.join(options)} itself")
        return Target("jail", name, jail.filter, tuple(faults), jail.logtimezone, jail.logencoding)
    if name and name.replace("-", "").replace("_", "").isalnum():
        known = files.filter_names()
        named = {*known, *(set(files.jails().sections) - {"DEFAULT", "INCLUDES"})}
        hint = hints.near(name, named) or f"; there are: {', '.join(known) or 'none'}"
        raise ConfigError(f"filter {name} is not there{hint}")
    return Target("line", text, *_frozen(filters.inline(text, **options)))


def _frozen(found: tuple[FilterSpec, list[Fault]]) -> tuple[FilterSpec, tuple[Fault, ...]]:
    return found[0], tuple(found[1])


def ignoring(files: ConfigFiles, spec: FilterSpec, text: str) -> tuple[FilterSpec, list[Fault]]:
    """The filter with another ignoreregex: a regex, or that of a filter or a file."""
    other = Path(text)
    if "/" in text and len(text) < 200 and other.is_file():
        ignored, faults = filters.from_file(files, other, {})
    elif text in files.filter_names():
        ignored, faults = filters.load(files, text, {})
    else:
        ignored, faults = filters.inline("<HOST>", text)
    return replace(spec, ignoreregex=ignored.ignoreregex), faults


def read(
    lines: Iterable[str],
    spec: FilterSpec,
    zone: tzinfo,
    now: Instant,
    trust: Trust,
    log: str,
    *,
    undated: bool,
    check_all: bool = False,
) -> Iterator[LineResult]:
    """One Reading per line, in order, one filter instance for all.

    `log` is its path, whose name may tell its grammar; `undated`: every line happens now; `check_all`:
    look for every failregex that matches, not only for the first.
    """
    matcher = Matcher(spec, zone)
    # Without a log, a filter of whichever log is one of nginx's.
    blame = grammar.chosen(spec.grammar, log or ("nginx.access.log" if spec.grammar == "log" else ""))
    for number, line in enumerate(lines, start=1):
        if too_long(line):
            yield LineResult(number, line, False, False, None, now if undated else None, {}, -1)
            continue
        outcome = matcher.match(line, now, dated=not undated)
        matched, host, framed = _blamed(outcome, blame, trust)
        # Whole seconds, as every date is read that is no epoch: a fraction says nothing to who compares.
        at = now if undated else outcome.at and float(int(outcome.at))
        # A part of a session is a hit too, for who wants to know of all.
        hits, ignores = matcher.hits(outcome) if check_all else _deciding(outcome)
        yield LineResult(
            number,
            line,
            matched,
            outcome.ignored >= 0,
            canonical(host) if matched else None,
            at,
            _told(outcome) if matched else {},
            outcome.regex,
            tuple(hits),
            tuple(ignores),
            matcher.template if not undated else None,
            matcher.prefixed,
            framed,
            outcome.lines,
            canonical(outcome.host or next(filter(None, map(outcome.groups.get, HOST_GROUPS)), None)),
        )


def _blamed(outcome: Outcome, blame: Grammar | None, trust: Trust) -> tuple[bool, str | None, str | None]:
    """Whether a line is a failure, whose, and whose it is where it names somebody else.

    As in the service: whom the regex names must be whom the grammar blames.
    """
    host = outcome.host
    if blame is None or not outcome.matched:
        return outcome.matched, host, None
    said = blame(outcome.text, trust)
    if said is None:
        return True, host, None
    matched = refused(said, host) is None
    return matched, said.client, None if matched else said.client or "nobody"


def too_long(line: str) -> bool:
    """Whether a jail refuses the line whole, unread."""
    # A character is at most four bytes.
    return len(line) > LONGEST_LINE // 4 and len(line.encode()) > LONGEST_LINE


def _deciding(outcome: Outcome) -> tuple[list[int], list[int]]:
    return [outcome.regex] if outcome.matched else [], [outcome.ignored] if outcome.ignored >= 0 else []


def _told(outcome: Outcome) -> dict[str, Any]:
    """The groups of a failure, and the number of lines that led to it where they are several."""
    return outcome.groups | ({"attempts": len(outcome.lines)} if outcome.lines else {})


def canonical(host: str | None) -> str | None:
    """An address or network in canonical text; a name as it was written."""
    if host is None:
        return None
    try:
        network = Network.around(host)
    except ValueError:
        return host
    return network.address if network.single else str(network)
