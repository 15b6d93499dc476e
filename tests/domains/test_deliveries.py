"""Real mail to a real Postfix with both maps: refused, accepted, and accepted again at once after `remove`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sidecar.domains.domain_maps import DomainMaps
from tests.domains.mail_server import MailServer, mail_server

pytestmark = pytest.mark.kernel
HONEST = "From: Alice <alice@good.example>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    directory = tmp_path_factory.mktemp("maps")
    DomainMaps(directory, ["example.com"]).expire(time.time())
    with mail_server(directory) as running:
        yield running


@pytest.fixture
def maps(server: MailServer) -> Iterator[DomainMaps]:
    found = DomainMaps(server.maps, ["example.com"])
    found.add(["bad.example", "bücher.example"], reason="spam, $1", until=None, now=time.time())
    yield found
    found.remove([one.domain for one in found.refusals()])


@pytest.mark.parametrize(
    "sender",
    [
        "x@bad.example",
        "X@Mail.BAD.Example",
        '"a b"@bad.example',
        '"a@b"@bad.example',
        "@relay.example:x@bad.example",
        "x@bad.example.",
        "bad.example!x",
        "x%bad.example",
        "x@xn--bcher-kva.example",
    ],
)
def test_mail_from_a_refused_domain_is_refused_before_its_text(
    server: MailServer, maps: DomainMaps, sender: str
) -> None:
    command, code, text = server.deliver(sender, HONEST)
    assert (command, code) == ("RCPT", 554)
    assert text.endswith("is refused here: spam, $1")


@pytest.mark.parametrize(
    "sender",
    [
        "x@notbad.example",
        "x@bad.example.org",
        "x@badxexample.org",
        '"x@bad.example"@good.example',
        "x@[192.0.2.1]",
        "",
    ],
)
def test_mail_from_a_look_alike_is_accepted(server: MailServer, maps: DomainMaps, sender: str) -> None:
    assert server.deliver(sender, HONEST)[:2] == ("END", 250)


@pytest.mark.parametrize(
    "header",
    [
        "From: x@bad.example",
        'From: "ceo@example.com" <x@evil.example>',
        'From: "CEO\r\n\t<ceo@example.com>"\r\n <x@evil.example>',
        "From: =?utf-8?q?ceo=40example.com?= <x@evil.example>",
    ],
)
def test_a_spoofed_from_is_refused_after_its_text(server: MailServer, maps: DomainMaps, header: str) -> None:
    command, code, text = server.deliver("x@good.example", header)
    assert (command, code) == ("END", 550)
    assert "From shows an address" in text


@pytest.mark.parametrize(
    "header", [HONEST, 'From: "ceo@example.com"\r\n <CEO@Example.com>', "From: a@good.example, b@example.org"]
)
def test_an_honest_from_is_accepted(server: MailServer, maps: DomainMaps, header: str) -> None:
    assert server.deliver("x@good.example", header)[:2] == ("END", 250)


def test_a_forwarded_spam_mail_is_accepted(server: MailServer, maps: DomainMaps) -> None:
    """By default, Postfix applies header_checks to the headers of attached messages too."""
    spam = "From: x@bad.example\r\nSubject: spam\r\n\r\nBuy."
    text = f"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n{spam}"
    assert server.deliver("x@good.example", HONEST, text)[:2] == ("END", 250)
    assert server.deliver("x@good.example", HONEST, f"Subject: look\r\n\r\n> {spam}")[:2] == ("END", 250)


def test_a_nested_from_of_strangers_is_accepted_and_logged(server: MailServer, maps: DomainMaps) -> None:
    assert server.deliver("x@good.example", 'From: "a@b.example" <x@c.example>')[:2] == ("END", 250)
    assert 'warning: header From: "a@b.example" <x@c.example>' in server.log
    assert "From shows an address of another domain" in server.log


def test_each_change_counts_from_the_next_mail_on_without_a_reload(
    server: MailServer, maps: DomainMaps
) -> None:
    for _ in range(3):
        assert server.deliver("x@bad.example", HONEST)[:2] == ("RCPT", 554)
        assert server.deliver("x@good.example", "From: x@bad.example")[:2] == ("END", 550)
        maps.remove(["bad.example"])
        assert server.deliver("x@bad.example", HONEST)[:2] == ("END", 250)
        assert server.deliver("x@good.example", "From: x@bad.example")[:2] == ("END", 250)
        maps.add(["bad.example"], reason="again", until=None, now=time.time())


def test_without_the_signal_postfix_keeps_the_map_that_it_has_read(
    server: MailServer, maps: DomainMaps
) -> None:
    """The reason of changed.lmdb. If this fails, Postfix has learnt to look at PCRE maps, and it can go."""
    assert server.deliver("x@bad.example", HONEST)[:2] == ("RCPT", 554)
    file = server.maps / "sender_access.pcre"
    new = server.maps / "new"
    new.write_text(file.read_text().replace("bad", "worse"))
    new.replace(file)
    assert server.deliver("x@bad.example", HONEST)[:2] == ("RCPT", 554)
    DomainMaps(server.maps, ["example.com"]).add(["a.example"], reason="", until=None, now=time.time())
    assert server.deliver("x@bad.example", HONEST)[:2] == ("END", 250)
    assert server.deliver("x@worse.example", HONEST)[:2] == ("RCPT", 554)


def test_postfix_warns_of_neither_map(server: MailServer, maps: DomainMaps) -> None:
    server.deliver("x@good.example", HONEST)
    warnings = [line for line in server.log.splitlines() if "warning: pcre map" in line or "lmdb" in line]
    assert [line for line in warnings if "has changed -- restarting" not in line] == []
    assert any("changed" in line and "restarting" in line for line in warnings)
