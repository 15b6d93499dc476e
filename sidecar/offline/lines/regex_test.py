"""Tests a filter on log lines, for `zmban regex`."""

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
    """The FILTER of the command line: `kind` is filter, file, jail or line. Time zone and encoding are those
    of a jail."""

    kind: str
    name: str
    spec: FilterSpec
    faults: tuple[Fault, ...] = ()
    zone: tzinfo | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class LineResult:
    """The result for one line. `hits` are the failregexes that match it, `ignores` the ignoreregexes,
    `template` the pattern of its date. `named` is the host of a match, even if it is not a failure. `framed`
    is the client of a line that names another host. `lines` are all lines of the failure. `slow` is the
    regex that exceeded its time budget on the line."""

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
    slow: str | None = None

    def record(self) -> dict[str, object]:
        """The record of `regex --jsonl`, as contract.md defines it."""
        return {
            "line": self.number,
            "matched": self.matched,
            "ignored": self.ignored,
            "host": self.host,
            "time": self.time,
            "groups": self.groups,
        }


def target(files: ConfigFiles, text: str, options: Mapping[str, str]) -> Target:
    """Resolve FILTER of the command line: a jail, the name of a filter with options, a path, or a regex.

    A filter is preferred to a jail of the same name. `options` (usedns, maxlines) are passed to the filter.
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
            raise ConfigError(f"{name} is a jail, which sets {' and '.join(options)} itself")
        return Target("jail", name, jail.filter, tuple(faults), jail.logtimezone, jail.logencoding)
    if name and name.replace("-", "").replace("_", "").isalnum():
        known = files.filter_names()
        named = {*known, *(set(files.jails().sections) - {"DEFAULT", "INCLUDES"})}
        hint = hints.near(name, named) or f"; available filters: {', '.join(known) or 'none'}"
        raise ConfigError(f"filter {name} is not there{hint}")
    return Target("line", text, *_frozen(filters.inline(text, **options)))


def _frozen(found: tuple[FilterSpec, list[Fault]]) -> tuple[FilterSpec, tuple[Fault, ...]]:
    return found[0], tuple(found[1])


def ignoring(files: ConfigFiles, spec: FilterSpec, text: str) -> tuple[FilterSpec, list[Fault]]:
    """The filter with another ignoreregex: a regex, or the one of a filter or file."""
    other = Path(text)
    if "/" in text and len(text) < 200 and other.is_file():
        ignored, faults = filters.from_file(files, other, {})
    elif text in files.filter_names():
        ignored, faults = filters.load(files, text, {})
    else:
        ignored, faults = filters.inline("<HOST>", text)
    return replace(spec, ignoreregex=ignored.ignoreregex), faults


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How lines are read. `undated`: all lines happen now. `check_all`: find all matching failregexes, not
    only the first."""

    zone: tzinfo
    now: Instant
    trust: Trust
    undated: bool = False
    check_all: bool = False


def read(lines: Iterable[str], spec: FilterSpec, options: ReadOptions, log: str) -> Iterator[LineResult]:
    """One result per line, in order, with one filter instance. The grammar is chosen by the name of the path
    `log`."""
    matcher, now = Matcher(spec, options.zone), options.now
    # Without a log, a filter for several logs uses the grammar of nginx.
    blame = grammar.chosen(spec.grammar, log or ("nginx.access.log" if spec.grammar == "log" else ""))
    for number, line in enumerate(lines, start=1):
        if too_long(line):
            at = now if options.undated else None
            yield LineResult(number, line, False, False, None, at, {}, -1)
        else:
            yield _result(number, line, matcher, blame, options)


def _result(
    number: int, line: str, matcher: Matcher, blame: Grammar | None, options: ReadOptions
) -> LineResult:
    undated = options.undated
    outcome = matcher.match(line, options.now, dated=not undated)
    matched, host, framed = _blamed(outcome, blame, options.trust)
    # With `check_all`, a part of a session is a match too.
    hits, ignores = matcher.hits(outcome) if options.check_all else _deciding(outcome)
    return LineResult(
        number,
        line,
        matched,
        outcome.ignored >= 0,
        canonical(host) if matched else None,
        # Whole seconds, like most log dates.
        options.now if undated else outcome.at and float(int(outcome.at)),
        _told(outcome) if matched else {},
        outcome.regex,
        tuple(hits),
        tuple(ignores),
        None if undated else matcher.template,
        matcher.prefixed,
        framed,
        outcome.lines,
        canonical(outcome.host or next(filter(None, map(outcome.groups.get, HOST_GROUPS)), None)),
        matcher.slow,
    )


def _blamed(outcome: Outcome, blame: Grammar | None, trust: Trust) -> tuple[bool, str | None, str | None]:
    """Whether a line is a failure, its client, and the real client of a line that names another host.

    As in the service, the regex and the grammar must name the same client.
    """
    host = outcome.host
    if blame is None or not outcome.matched:
        return outcome.matched, host, None
    facts = blame(outcome.text, trust)
    if facts is None:
        return True, host, None
    matched = refused(facts, host) is None
    return matched, facts.client, None if matched else facts.client or "nobody"


def too_long(line: str) -> bool:
    """Whether the line is too long to be matched."""
    # A character has at most four bytes.
    return len(line) > LONGEST_LINE // 4 and len(line.encode()) > LONGEST_LINE


def _deciding(outcome: Outcome) -> tuple[list[int], list[int]]:
    return [outcome.regex] if outcome.matched else [], [outcome.ignored] if outcome.ignored >= 0 else []


def _told(outcome: Outcome) -> dict[str, Any]:
    """The groups of a failure, and the number of its lines if there are several."""
    return outcome.groups | ({"attempts": len(outcome.lines)} if outcome.lines else {})


def canonical(host: str | None) -> str | None:
    """An address or network as canonical text; a host name unchanged."""
    if host is None:
        return None
    try:
        network = Network.around(host)
    except ValueError:
        return host
    return network.address if network.single else str(network)
