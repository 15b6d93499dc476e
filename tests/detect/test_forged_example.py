"""A regex that a client's text can imitate is proved to be one, by a line; of the others no proof is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.match.forged_example import ATTACKER, VICTIM, forged
from sidecar.fail2ban import filters


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
def test_the_proof_is_a_line_of_the_attacker_s_that_blames_the_victim(regex: str) -> None:
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
def test_of_a_regex_that_nobody_can_imitate_no_line_is_found(regex: str) -> None:
    spec, _ = filters.inline(regex)
    assert forged(spec.failregex[0].regex) is None


@given(st.text(alphabet=r"ab.*+?()[]|^$\d\s<>", max_size=20))
def test_no_regex_breaks_it(middle: str) -> None:
    spec, _ = filters.inline(f"{middle}<HOST>")
    for pattern in spec.failregex:
        forged(pattern.regex)
