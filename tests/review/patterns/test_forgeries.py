"""No field that a client controls can make a proposed failregex blame another client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

import pytest

from sidecar.detect.match.matcher import Matcher
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Match
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.soundness import spec
from tests.blame.forge import FIELDS, VICTIM, samples
from tests.review.patterns.logs import ATTACKS, NOW, TRUST, attacked, patterns

_ADDRESS = r"203\.0\.113\.\d+"
_AROUND = (("", ""), ("> ", ""), ('"', '"'), ("]", " "), ("; ", ";"))


def forgeries(pattern: MinedPattern) -> Iterator[str]:
    """Samples of the pattern, each with the line of an attack by a victim in one of its fields."""
    line = next(one.line for one in pattern.samples if "203.0.113." in one.client)
    texts = [re.sub(_ADDRESS, VICTIM, one.line) for one in pattern.samples]
    texts += [re.sub(_ADDRESS, VICTIM, one.line) for one in samples() if one.log == pattern.log]
    texts += [text[text.find(VICTIM) - 40 :] for text in texts]
    for field, escape in FIELDS[pattern.log]:
        if found := re.search(field, line):
            for text in texts:
                for before, behind in _AROUND:
                    yield (
                        line[: found.start(1)]
                        + escape(f"{before}{text}{behind}")[:3000]
                        + line[found.end(1) :]
                    )


@pytest.mark.parametrize("name", ATTACKS)
def test_no_forged_field_blames_the_victim(name: str) -> None:
    attack = ATTACKS[name]
    (pattern,) = [one for one in patterns(attack.log, attacked(attack)[0]) if one.failregex]
    filtered = spec(pattern.failregex, pattern.kind)
    scanner = Scanner(attack.log, [JailSpec("j", filtered, ())], UTC, TRUST)
    matcher = Matcher(filtered, UTC)
    forged = found = 0
    for line in forgeries(pattern):
        forged += 1
        assert matcher.match(line, NOW).host != VICTIM, line
        matches = [one for one in scanner.scan(line.encode() + b"\n", NOW) if isinstance(one, Match)]
        assert VICTIM not in [one.host for one in matches], line
        found += bool(matches)
    assert forged > 100 and found > 0
