"""Refused sender domains in containers: zmban writes the maps, the demonstration's Postfix obeys them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.app.running import until
from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack

# Delivers one mail to port 25 from a legitimate mail server, and prints the code of the last answer.
DELIVER = r"""
import os, smtplib, sys
sender, header = sys.argv[1:]
place = os.environ["DEMO_ADDRESS"], int(os.environ["DEMO_SMTP_PORT"])
with smtplib.SMTP(*place, local_hostname="mx.partner.example.com", timeout=20, source_address=("203.0.113.40", 0)) as client:
    client.ehlo()
    for command, argument in (("MAIL", f"FROM:<{sender}>"), ("RCPT", "TO:<anna@demo.example>"), ("DATA", "")):
        code, text = client.docmd(command, argument)
        if code >= 400:
            break
    else:
        client.send(f"{header}\r\nSubject: test\r\n\r\nHello.\r\n.\r\n".encode())
        command = "END"
        code, text = client.getreply()
print(command, code)
"""
HONEST = "From: Bob <bob@partner.example.com>"


def deliver(stack: Stack, sender: str, header: str = HONEST) -> str:
    return stack.run("docker", "exec", stack.container("demo"), "python3", "-c", DELIVER, sender, header)


@pytest.fixture
def refused(stack: Stack) -> Iterator[Stack]:
    stack.zmban("domain", "add", "bad.example", "--reason", "spam")
    # The maps are wired in a second after they appear for the first time.
    until(lambda: deliver(stack, "x@bad.example") == "RCPT 554", 60)
    yield stack
    stack.zmban("domain", "remove", "bad.example")


def test_mail_from_a_refused_domain_is_refused_until_it_is_removed(refused: Stack) -> None:
    assert deliver(refused, "x@mail.BAD.example") == "RCPT 554"
    assert deliver(refused, "x@notbad.example") == "END 250"
    assert deliver(refused, "x@partner.example.com", "From: x@bad.example") == "END 550"
    refused.zmban("domain", "remove", "bad.example")
    assert deliver(refused, "x@bad.example") == "END 250"
    assert deliver(refused, "x@partner.example.com", "From: x@bad.example") == "END 250"


def test_a_name_with_an_address_of_the_demonstration_is_refused_from_elsewhere(refused: Stack) -> None:
    assert (
        deliver(refused, "x@partner.example.com", 'From: "anna@demo.example" <x@evil.example>') == "END 550"
    )
    assert (
        deliver(refused, "x@partner.example.com", 'From: "anna@demo.example" <anna@demo.example>')
        == "END 250"
    )
    assert deliver(refused, "x@partner.example.com") == "END 250"


def test_the_mail_server_reads_the_maps_and_cannot_write_them(refused: Stack) -> None:
    inside = ("docker", "exec", refused.container("demo-postfix"))
    assert refused.run(
        *inside, "postmap", "-q", "x@bad.example", "pcre:/etc/postfix/zmban/sender_access.pcre"
    )
    (one,) = [json.loads(line) for line in refused.zmban("domain", "list", "--jsonl").splitlines()]
    assert (one["domain"], one["reason"]) == ("bad.example", "spam")
    with pytest.raises(AssertionError, match="Read-only file system"):
        refused.run(*inside, "touch", "/etc/postfix/zmban/x")
