"""A forgeable regex is shown by an example line; for other regexes none is found."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.detect.match.forged_example import ATTACKER, VICTIM, forged
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.fail2ban import filters
from tests.steps import steps


@pytest.mark.parametrize(
    "regex",
    [
        r"client\s+sent\s+invalid\s+method.*client:\s+<HOST>, server",
        r"^login failed for user .*? from <HOST>",
        r".*ip=<HOST>;.*authentication failed for .*$",
        r"Failed \S+ for .* from <HOST> port \d+",
        r"warning: (?:\w+)\[<HOST>\]: (?:a|b) failed",
    ],
)
def test_the_example_is_a_line_of_the_attacker_that_blames_the_victim(regex: str) -> None:
    spec, _ = filters.inline(regex)
    line = forged(spec.failregex[0].regex)
    assert line is not None
    found = spec.failregex[0].regex.search(line)
    assert found is not None
    assert VICTIM in found.groupdict().values() and ATTACKER in line


@pytest.mark.parametrize(
    "regex",
    [r"^login failed for user .* from <HOST>$", r"^login failed from <HOST>: user \S+$", r"^<HOST> - - "],
)
def test_no_example_is_found_for_a_regex_that_cannot_be_forged(regex: str) -> None:
    spec, _ = filters.inline(regex)
    assert forged(spec.failregex[0].regex) is None


class Counted:
    """A regex that counts its searches, each of which takes long if the regex has many wildcards."""

    def __init__(self, regex: re.Pattern[str]) -> None:
        self._regex, self.searches = regex, 0
        self.pattern, self.flags, self.groupindex = regex.pattern, regex.flags, regex.groupindex

    def search(self, line: str) -> re.Match[str] | None:
        self.searches += 1
        return self._regex.search(line)


@settings(deadline=None)
@given(st.text(alphabet=r"ab.*+?()[]|^$\d\s<>", max_size=20), st.sampled_from(["", "^", " from "]))
@example(".*", "")
@example(r"(?:(?:a{1000}){1000}){1000} ", "")
@example(".*" * 1000, "")
def test_every_example_is_a_line_of_the_attacker_that_blames_the_victim(middle: str, before: str) -> None:
    spec, _ = filters.inline(f"{before}{middle}<HOST>")
    for pattern in spec.failregex:
        counted = Counted(pattern.regex)
        with steps(200_000):
            line = forged(counted)  # type: ignore[arg-type]
        assert counted.searches <= 40
        if line is None:
            continue
        assert ATTACKER in line and len(line) <= 2 * LONGEST_LINE
        found = pattern.regex.search(line)
        assert found is not None and VICTIM in found.groupdict().values()
        # A regex that begins with the address, and nothing else, cannot be forged.
        assert (before, middle) != ("^", "")
