"""The shipped filters against samples: found, not found, and lines that try to name somebody else.

A sample is one object a line: `kind`, `found`, `host` (whom it blames), `line`, and where needed
`options` of the filter or a `victim` whom the line tries to frame. Our own lines in the real formats.
"""

import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from sidecar.detect.grammar import Trust
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.model import Match, Refused, Slow
from sidecar.network import Network
from sidecar.offline.lines.regex_test import canonical

CONFIG = Path(__file__).parents[1] / "config"
FILES = ConfigFiles([CONFIG])
SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.jsonl"))
NOW = 1772366400.0


def samples(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def told(name: str, sample: dict[str, Any]) -> list[Match | Refused]:
    """The result of scan and decision for one sample, in its own log or in a log without a known name."""
    _, given = split_name(f"{name}[{sample.get('options', '')}]" if "options" in sample else name)
    spec, faults = filters.load(FILES, name, given, None)
    assert faults == []
    scanner = Scanner(
        f"/{sample.get('log', 'x.log')}", [JailSpec("j", spec, ())], UTC, Trust([Network.parse("10.0.0.0/8")])
    )
    told = scanner.scan(sample["line"].encode() + b"\n", NOW)
    return [one for one in told if not isinstance(one, Slow)]


def test_every_shipped_filter_has_samples_and_every_sample_a_filter() -> None:
    assert [name for name in FILES.filter_names() if not name.endswith("-common")] == NAMES


@pytest.mark.parametrize(
    ("name", "sample"),
    [pytest.param(name, s, id=f"{name}: {s['kind']}") for name in NAMES for s in samples(name)],
)
def test_a_shipped_filter_finds_what_it_should_and_blames_nobody_else(
    name: str, sample: dict[str, Any]
) -> None:
    matches = [t for t in told(name, sample) if isinstance(t, Match)]
    reports = [m for m in matches if m.host is None] + [t for t in told(name, sample) if t.host == ""]
    if sample["found"] and sample["host"] is None:
        assert len(reports) == 1
        return
    assert [canonical(m.host) for m in matches] == ([sample["host"]] if sample["found"] else [])
    assert sample.get("victim") not in [m.host for m in matches]
    assert all(m.at is not None for m in matches)


def dateless(line: str) -> str:
    """The line without its date, as a regex sees it: at the beginning, or in the brackets of an access log."""
    return re.sub(
        r"^(\w+ +\d+ [\d:]+|[\d-]+[ T][\d:,.+]+|[\d/]+ [\d:]+)|(?<=\[)\d\d/\w+/[^\]]*(?=\])", "", line
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_regex_of_a_shipped_filter_has_a_sample_that_only_it_finds(name: str) -> None:
    spec, _ = filters.load(FILES, name, {"aws_helo": r"verify\.example\.net"}, None)
    hit = {
        index
        for index, pattern in enumerate(spec.failregex)
        for sample in samples(name)
        if sample["found"] and pattern.regex.search(dateless(sample["line"]))
    }
    assert hit == set(range(len(spec.failregex)))


@pytest.mark.parametrize("name", NAMES)
def test_every_regex_of_a_shipped_filter_is_anchored_and_has_a_literal(name: str) -> None:
    from sidecar.detect.prefilter.literals import required

    spec, _ = filters.load(FILES, name, {}, None)
    for pattern in spec.failregex:
        assert pattern.regex.pattern.startswith("^")
        requirement = required(pattern.regex)
        assert requirement is not None
        # Literals for URLs may be short, since no URL of Zimbra contains them; no address contains a backtick.
        least = 1 if name == "zimbra-inject" else 4 if spec.grammar == "log" else 8
        assert min(len(literal.text) for literal in requirement) >= least


def test_the_shipped_jails_have_the_figures_of_the_practice() -> None:
    found = jails.load(FILES)
    assert found.faults == []
    practised = ("zimbra-smtp", "zimbra-mail", "zimbra-nginx")
    figures = {
        n: (found.jails[n].maxretry, found.jails[n].findtime, found.jails[n].bantime) for n in practised
    }
    assert figures == {
        "zimbra-smtp": (2, 86400, 360000000),
        # Three logins cause six lines; the practice counts five lines.
        "zimbra-mail": (3, 86400, 360000000),
        "zimbra-nginx": (1, 86400, 360000000),
    }
    assert {name for name, jail in found.jails.items() if jail.report_only} == {
        "zimbra-victim", "zimbra-throttle", "zimbra-outage",
    }  # fmt: skip
