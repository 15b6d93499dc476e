"""Domain names: one spelling each, and what is no domain to refuse, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domains.domain_maps import DomainMaps
from sidecar.domains.domain_name import and_parents, normalised, unicode_form
from sidecar.model import ConfigError

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("bad.example", "bad.example"),
        (" BAD.Example. ", "bad.example"),
        ("*.bad.example", "bad.example"),
        (".bad.example", "bad.example"),
        ("@bad.example", "bad.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("bad\u3002example", "bad.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("mail_out.bad.example", "mail_out.bad.example"),
        ("1-800.example", "1-800.example"),
    ],
)
def test_each_spelling_of_a_domain_is_the_same_domain(text: str, domain: str) -> None:
    assert normalised(text) == domain
    assert normalised(unicode_form(domain)) == domain


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (".", "empty"),
        ("*", "empty"),
        ("com", "top-level"),
        ("localhost", "top-level"),
        ("a..example", "empty label"),
        ("x@bad.example", "give its domain, bad.example"),
        ("192.0.2.1", "IP address"),
        ("[192.0.2.1]", "IP address"),
        ("2001:db8::1", "IP address"),
        ("192.0.2.999", "number"),
        (f"{'x' * 64}.example", "longer than 63"),
        (".".join(["x" * 60] * 5), "longer than 253"),
        ("-bad.example", "not a label"),
        ("bad domain.example", "not a label"),
        ("bad.example/x", "not a label"),
        ("*.*.example", "not a label"),
        ("a$1.example", "not a label"),
        ("☃.example", "not a domain"),
        ("xn--a.example", "not a domain"),
    ],
)
def test_what_is_no_domain_is_said_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        normalised(text)


@given(st.text())
def test_any_text_is_a_domain_or_an_error(text: str) -> None:
    try:
        domain = normalised(text)
    except ValueError:
        return
    assert normalised(domain) == domain
    assert domain.isascii()
    assert list(and_parents(domain))[-1].count(".") == 0


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("co.uk", "public suffix"),
        ("com.au", "public suffix"),
        ("own.example", "is protected"),
        ("mail.own.example", "belongs to the protected domain own.example"),
        ("parent.example", "contains the protected domain our.parent.example"),
    ],
)
def test_a_domain_of_all_or_of_ours_is_never_refused(tmp_path: Path, domain: str, why: str) -> None:
    maps = DomainMaps(tmp_path, ["Own.Example", "our.parent.example"])
    (answer,) = maps.add([domain], reason="x", until=None, now=NOW, yes=True)
    assert (answer.result, answer.confirmable) == ("rejected", False)
    assert why in answer.reason
    assert maps.refusals() == []


@pytest.mark.parametrize("domain", ["gmail.com", "Outlook.com", "github.io"])
def test_a_domain_of_very_many_must_be_confirmed(tmp_path: Path, domain: str) -> None:
    maps = DomainMaps(tmp_path)
    (answer,) = maps.add([domain], reason="x", until=None, now=NOW)
    assert (answer.result, answer.confirmable) == ("rejected", True)
    (answer,) = maps.add([domain], reason="x", until=None, now=NOW, yes=True)
    assert answer.result == "refused-now"


def test_a_rejected_domain_does_not_keep_the_others_back(tmp_path: Path) -> None:
    maps = DomainMaps(tmp_path)
    answers = maps.add(["com", "bad.example", "x@y.example"], reason="x", until=None, now=NOW)
    assert [one.result for one in answers] == ["rejected", "refused-now", "rejected"]
    assert [one.domain for one in maps.refusals()] == ["bad.example"]


def test_a_protected_text_that_is_no_domain_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[domains\] protect: 'com' is a single label"):
        DomainMaps(tmp_path, ["com"])
