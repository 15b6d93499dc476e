"""Tries a failregex or explains lines for the page, in a process of its own: JSON on standard input and
output.

A regex that somebody types may run for ever, and no thread can be stopped. The process has little time and
memory, and its caller ends it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any

from sidecar.configuration import loading
from sidecar.detect.grammar import LOGS
from sidecar.detect.match.secrets import without_secrets
from sidecar.fail2ban import filters
from sidecar.host import regex_budget
from sidecar.model import ConfigError, ZmbanError
from sidecar.network import Network
from sidecar.offline.lines import regex_test
from sidecar.offline.lines.explain_line import LineExplainer
from sidecar.offline.lines.regex_test import ReadOptions

_CPU_SECONDS = 20
_MEMORY = 1 << 30
_MOST_SHOWN = 100
# The end of a log that is read, and the time after which a trial ends.
_MOST_BYTES = 64 << 20
_SECONDS = 8.0


def last_lines(path: Path, most: int) -> list[bytes]:
    """The last whole lines of a file, at most `most` of them."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin, data = size, b""
        while begin > 0 and data.count(b"\n") <= most and size - begin < _MOST_BYTES:
            step = min(1 << 20, begin)
            begin -= step
            file.seek(begin)
            data = file.read(step) + data
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return lines[1:][-most:] if begin > 0 else lines[-most:]


def tried(log: str, failregex: str, lines: int, config: list[str], zone: str | None) -> dict[str, Any]:
    """What a failregex finds in the last lines of a log. ConfigError if it does not compile."""
    loaded = loading.load_or_empty(config)
    spec, faults = filters.inline(failregex)
    if wrong := [fault.message for fault in faults if not fault.warning]:
        raise ConfigError("; ".join(wrong))
    begun = time.time()
    options = ReadOptions(_zone(zone), begun, loading.trust(loaded.settings))
    text = (raw.rstrip(b"\r").decode("utf-8", "replace") for raw in last_lines(Path(log), lines))
    found, hits, hosts = Counter(lines=0, matched=0, framed=0), list[dict[str, Any]](), Counter[str]()
    aborted: str | None = None
    for result in regex_test.read(text, spec, options, log):
        found["lines"] += 1
        if time.time() > begun + _SECONDS:
            aborted = f"stopped after {_SECONDS:g} s"
            break
        if result.slow:
            aborted = "the regex exceeded its time budget on a line; make it more specific"
            break
        if not (result.matched or result.framed):
            continue
        found.update(matched=1, framed=bool(result.framed))
        if result.matched and result.host:
            hosts[result.host] += 1
        if len(hits) < _MOST_SHOWN:
            line, host = without_secrets(result.line), result.host or result.named
            hits.append({"line": line, "host": host, "framed": bool(result.framed)})
    return {
        "log": log, **found, "hits": hits, "hosts": _networks(hosts), "aborted": aborted,
        "seconds": round(time.time() - begun, 3),
    }  # fmt: skip


def _zone(name: str | None) -> tzinfo:
    return loading.zone(name) if name else loading.host_zone()


def _networks(hosts: Counter[str]) -> list[tuple[str, int]]:
    """Each network with its failures, the worst first. A host name stays a name."""
    found: Counter[str] = Counter()
    for host, count in hosts.items():
        try:
            found[str(Network.around(host).unit())] += count
        except ValueError:
            found[host] += count
    return found.most_common()


def explained(line: str, log: str, config: list[str], zone: str | None) -> dict[str, Any]:
    """What a line does: one record per kind of log."""
    loaded = loading.load_or_empty(config)
    kinds = [log] if log else list(LOGS)
    records = []
    for kind in kinds:
        explainer = LineExplainer(loaded, kind, everything=False, zone=_zone(zone))
        records += [{"log": kind, **record} for record in explainer.explain([line], time.time())]
    if not log:
        records = [r for r in records if r["client"] or r["matches"]] or records[:1]
    return {"kinds": list(LOGS), "lines": records}


def main() -> None:
    """Answer one request."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(10)
    asked = json.load(sys.stdin)
    works: dict[str, Callable[..., dict[str, Any]]] = {"try": tried, "explain": explained}
    work = works[asked.pop("do")]
    try:
        with regex_budget.limited():
            answer = work(**asked)
    except (ZmbanError, ValueError) as error:
        answer = {"error": str(error)}
    except OSError as error:
        answer = {"error": f"{asked.get('log')}: {error.strerror or error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
