"""The header map, asked by Postfix itself: spoofed names are found, honest mail is not."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.domains.domain_maps import DomainMaps
from sidecar.model import ConfigError
from tests.domains.postfix_maps import found, found_all, postmap

NOW = 1_790_000_000.0


def encoded(text: str) -> str:
    """A name as an encoded word in base64."""
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="


# bad.example and bücher.example are refused, good.example and own.example are protected.
REFUSED = [
    "From: x@bad.example",
    "FROM: <x@BAD.Example>",
    "From : x@bad.example",
    "From: Boss <x@mail.bad.example>",
    "From: Boss\n <x@bad.example>",
    'From:\n\t"Boss"\n\t<x@bad.example>',
    "From: x@bad.example (Boss)",
    "From: x@bad.example.",
    "From: <x@ bad.example>",
    "From: x@(comment)bad.example",
    "From: <@relay.example:x@bad.example>",
    "From: ok@ok.example, x@bad.example",
    "From: x@bad.example, ok@ok.example",
    'From: "x@bad.example" <y@ok.example>',
    'From: "Boss <x@bad.example>" <y@ok.example>',
    "From: =?utf-8?q?x=40bad.example?= <y@ok.example>",
    "From: =?utf-8?q?x=40bad.example_Boss?= <y@ok.example>",
    "From: x@xn--bcher-kva.example",
    "From: x@bücher.example",
    "From: x@BÜCHER.example",
]
PROTECTED = [
    'From: "ceo@good.example" <x@evil.example>',
    "From: ceo@good.example <x@evil.example>",
    'From: "CEO <ceo@good.example>" <x@evil.example>',
    'From: "Doe, ceo@GOOD.example" <x@evil.example>',
    'From: "ceo@good.example"\n <x@evil.example>',
    'From: "ceo@mail.good.example" <x@evil.example>',
    'From: "The \\"CEO\\" ceo@good.example" <x@evil.example>',
    "From: =?utf-8?q?ceo=40good=2Eexample?= <x@evil.example>",
    "From: =?UTF-8?Q?Doe,_ceo=40good.example?= <x@evil.example>",
    "From: x@evil.example (ceo@good.example)",
    'From: "a" <b@own.example>, "ceo@good.example" <x@evil.example>',
    'From: "ceo@good.example" <x@good.example.evil.example>',
    'From: "ceo@good.example" <x@notgood.example>',
    'From: "ceo@good.example" <good.example@evil.example>',
    'From: "ceo@good.example <x@evil.example>',
]
PROTECTED += [f"From: {encoded(text)} <x@evil.example>" for text in (
    "ceo@good.example", "ceo@own.example", "The CEO ceo@good.example", "é ceo@good.example é", '"ceo@good.example"',
    "CEO <ceo@good.example>", "ceo@good.example, CEO", "é (ceo@good.example)", "a ceo@good.example: b",
)]  # fmt: skip
NESTED = [
    'From: "a@b.example" <x@c.example>',
    "From: a@b.example <x@c.example>",
    "From: 'a@b.example' <x@c.example>",
    'From: "<a@b.example>" <x@c.example>',
    'From: "a@b.example"\n\t<x@c.example>',
    'From: "ceo@notgood.example" <x@c.example>',
    'From: "ceo@good.example.org" <x@c.example>',
    "From: Bob <b@d.example>, a@b.example <x@c.example>",
    'From: "a@b.example" <x@bb.example>',
]
HONEST = [
    "From: x@notbad.example",
    "From: x@bad.example.org",
    "From: x@badxexample",
    "From: x@bad.example-mail.org",
    "From: x@bad.exampleé.org",
    "From: bad.example <x@ok.example>",
    "From: x@ok.example (bad.example)",
    "From: bad.example@ok.example",
    "From: bounce+x=bad.example@ok.example",
    "From: x=40bad.example@ok.example",
    'From: "x@bad.example"@ok.example',
    "Subject: x@bad.example",
    "To: x@bad.example",
    "X-From: x@bad.example",
    "From: x@bucher.example",
    'From: "ceo@good.example" <ceo@good.example>',
    'From: "CEO@Good.Example" <ceo@good.example>',
    'From: "ceo@good.example" <ceo@mail.good.example>',
    'From: "ceo@mail.good.example" <ceo@good.example>',
    'From: "The CEO, ceo@good.example" <ceo@own.example>',
    "From: ceo@good.example",
    "From: ceo@good.example (the CEO)",
    "From: ceo@good.example (ceo@good.example)",
    "From: ceo@good.example, Bob <bob@partner.example>",
    "From: Bob <bob@partner.example>, ceo@good.example",
    'From: "a\\"b" <x@partner.example>, ceo@good.example (CEO)',
    'From: "news of good.example" <news@partner.example>',
    'From: "a@b.example" <a@b.example>',
    'From: "A@B.Example" <a@b.example>',
    'From: "a@b.example" <a@mail.b.example>',
    'From: "a@mail.b.example" <a@b.example>',
    'From: "Bob (b.example)" <x@c.example>',
    'From: "Ask info@b.example today" <x@c.example>',
    "From: a@b.example, x@c.example",
    'From: "Bob" <x@c.example>',
    f"From: {encoded('ceo@good.example')} <ceo@good.example>",
    f"From: {encoded('ceo@good.example.org')} <x@partner.example>",
    f"From: {encoded('ceo@good.examples')} <x@partner.example>",
    f"From: {encoded('ceo@notgood.example')} <x@partner.example>",
    f"From: {encoded('news of good.example')} <x@partner.example>",
    f"From: {encoded('Bob')} <bob@partner.example>, ceo@good.example",
    "From: Bob <>",
    "From: undisclosed",
    "From:",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("maps")
    maps = DomainMaps(directory, ["good.example", "own.example"])
    maps.add(["bad.example", "bücher.example"], reason="spam", until=None, now=NOW)
    return directory


@pytest.fixture
def maps(place: Path) -> DomainMaps:
    return DomainMaps(place, ["good.example", "own.example"])


@pytest.mark.parametrize("header", REFUSED)
def test_an_address_in_a_refused_domain_is_rejected(place: Path, maps: DomainMaps, header: str) -> None:
    assert found(place / "header_checks.pcre", header).startswith("REJECT 5.7.1 From shows an address in ")
    verdict = maps.judge(header)
    assert (verdict.action, verdict.rule) == ("reject", "refused")
    assert maps.lookup(header) is not None


@pytest.mark.parametrize("header", PROTECTED)
def test_a_name_with_an_address_of_ours_is_rejected_from_elsewhere(
    place: Path, maps: DomainMaps, header: str
) -> None:
    assert found(place / "header_checks.pcre", header) == (
        "REJECT 5.7.1 From shows an address of this site, and comes from elsewhere"
    )
    assert (maps.judge(header).action, maps.judge(header).rule) == ("reject", "protected")


@pytest.mark.parametrize("header", NESTED)
def test_a_name_that_is_an_address_of_another_domain_is_warned_of(
    place: Path, maps: DomainMaps, header: str
) -> None:
    assert found(place / "header_checks.pcre", header) == "WARN From shows an address of another domain"
    assert (maps.judge(header).action, maps.judge(header).rule) == ("warn", "nested")


@pytest.mark.parametrize("header", HONEST)
def test_an_honest_header_is_accepted(place: Path, maps: DomainMaps, header: str) -> None:
    assert found(place / "header_checks.pcre", header) == ""
    assert maps.judge(header).action == "accept"


@pytest.mark.parametrize(("nested", "action"), [("reject", "REJECT 5.7.1 From shows"), ("off", "")])
def test_the_setting_says_what_happens_to_other_nested_names(
    tmp_path: Path, nested: str, action: str
) -> None:
    maps = DomainMaps(tmp_path, [], nested)
    maps.expire(NOW)
    assert found(tmp_path / "header_checks.pcre", NESTED[0])[: len("REJECT 5.7.1 From shows")] == action
    assert maps.judge(NESTED[0]).action == {"reject": "reject", "off": "accept"}[nested]


@pytest.mark.parametrize("length", [7, 60])
def test_many_protected_domains_fit_into_the_rules(tmp_path: Path, length: int) -> None:
    ours = [f"{n:0{length}}x.example" for n in range(15_000 // (length + 9))]
    DomainMaps(tmp_path, ours).expire(NOW)
    headers = tmp_path / "header_checks.pcre"
    assert found(headers, f'From: "ceo@{ours[-1]}" <x@evil.example>').startswith("REJECT")
    assert found(headers, f'From: "ceo@{ours[-1]}" <x@{ours[0]}>').startswith("WARN")
    with pytest.raises(ConfigError, match="characters in all"):
        DomainMaps(tmp_path, [*ours, "another.example", f"{'x' * 60}.example"])


@pytest.mark.parametrize(
    "header",
    [
        "From: " + "@" * 50_000,
        "From: " + "," * 50_000 + "<x@y.example>",
        "From: " + '"' * 50_001 + "<x@y.example>",
        "From: " + "ceo@good.example " * 3000,
        "From: " + "(" * 50_000 + "@good.example <x@y.example>",
        "From: " + "<" * 50_000 + "@good.example>",
    ],
    ids=["at", "comma", "quote", "protected", "comment", "bracket"],
)
def test_a_header_made_to_take_long_does_not(place: Path, header: str) -> None:
    begun = time.monotonic()
    postmap("-q", "-", f"pcre:{place / 'header_checks.pcre'}", keys=header.encode() + b"\n")
    assert time.monotonic() - begun < 5


WORDS = """a@bad.example ceo@good.example b@own.example x@c.example x@mail.c.example c.example <x@c.example> <ceo@good.example>
<x@bad.example.org> < > " ( ) , @ \\ =?utf-8?q?ceo=40good.example?= =?utf-8?q? ?= Bob ' ; =40bad.example . a@bücher.example"""
PARTS = st.sampled_from([" ", *WORDS.split()])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(PARTS, min_size=1, max_size=8), min_size=50, max_size=50))
def test_a_test_without_postfix_says_what_postfix_does(
    place: Path, maps: DomainMaps, made: list[list[str]]
) -> None:
    headers = {f"From: {''.join(parts)}".rstrip() for parts in made}
    answers = found_all(place / "header_checks.pcre", headers)
    wrong = {}
    for header in headers:
        action = answers.get(header, "accept").split()[0].lower()
        if maps.judge(header).action != action:
            wrong[header] = action
    assert wrong == {}
