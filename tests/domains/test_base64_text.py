"""A text is found in base64 wherever it stands, and only with an end of an address behind it."""

from __future__ import annotations

import base64
import re

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domains.rules.base64_text import pattern

WANTED = re.compile(pattern("@good.example"), re.IGNORECASE)


def word(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


@given(st.text(), st.sampled_from(["", *" \"'>)],;:"]), st.text())
def test_an_address_is_found_whatever_stands_around_it(before: str, behind: str, after: str) -> None:
    assert WANTED.search(word(f"{before}@good.example{behind}{after if behind else ''}"))


@given(st.text(), st.sampled_from(".-abcxyz019_é"), st.text())
def test_a_longer_domain_is_not_found(before: str, behind: str, after: str) -> None:
    text = f"{before}@good.example{behind}{after}"
    if not re.search(r"@good\.example(?:[ \"'>)\],;:]|$)", text):
        assert not WANTED.search(word(text))
