"""Mail to a server that accepts, refuses, hangs, or offers no TLS."""

from __future__ import annotations

import asyncio
import threading
from email.message import EmailMessage
from pathlib import Path

import pytest

from sidecar.delivery import smtp_client
from sidecar.delivery.delivery_error import DeliveryError
from sidecar.delivery.smtp_client import SmtpAccess
from sidecar.settings.notify_urls import SmtpServer
from tests.delivery.servers import Post, certificate, post

ONE, OTHER = "one@example.com", "other@example.com"


def mail(*to: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "zmban@example.net", ", ".join(to or (ONE,)), "é"
    made.set_content(".\n..\nFrom here\n")
    return made


def access(server: Post, scheme: str = "smtp", host: str = "127.0.0.1", **more: str) -> SmtpAccess:
    return SmtpAccess(SmtpServer.parse(f"{scheme}://{host}:{server.port}"), **more)


async def refused(where: SmtpAccess, *to: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as found:
        await smtp_client.send(where, mail(*to))
    return found.value


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path)


@pytest.fixture
def password(tmp_path: Path) -> str:
    (tmp_path / "password").write_text("SECRET\n")
    return str(tmp_path / "password")


async def test_mail_arrives_at_all_recipients() -> None:
    with post() as server:
        assert await smtp_client.send(access(server), mail(ONE, OTHER)) == ""
    ((to, found),) = server.mails
    assert to == [ONE, OTHER] and found["Subject"] == "=?utf-8?q?=C3=A9?="


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_password_is_sent_under_tls(pem: Path, password: str, scheme: str) -> None:
    with post(Post(pem=pem, tls=scheme.removeprefix("smtp+"))) as server:
        await smtp_client.send(
            access(server, scheme, user="bob", password_file=password, ca_file=f"{pem}.crt"), mail()
        )
    assert len(server.mails) == 1
    commands = [text.split()[0] for text in server.heard]
    assert "AUTH" in commands and (scheme == "smtps" or commands.index("STARTTLS") < commands.index("AUTH"))


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_nothing_is_sent_to_a_server_that_cannot_prove_who_it_is(
    pem: Path, password: str, scheme: str
) -> None:
    with post(Post(pem=pem, tls=scheme.removeprefix("smtp+"))) as server:
        error = await refused(access(server, scheme, user="bob", password_file=password))
        assert "not trusted" in str(error) and not error.permanent
        named = access(
            server, scheme, host="127.0.0.2", user="bob", ca_file=f"{pem}.crt", password_file=password
        )
        # Not listening there, or the certificate is of another address.
        await refused(named)
    assert server.mails == [] and not any("AUTH" in text for text in server.heard)


async def test_where_starttls_is_not_offered_nothing_is_sent(password: str) -> None:
    with post() as server:
        await refused(access(server, "smtp+starttls", user="bob", password_file=password))
    assert [text.split()[0].upper() for text in server.heard] == ["EHLO"]


async def test_a_password_is_not_sent_without_tls_but_on_loopback(password: str) -> None:
    with post() as server:
        await smtp_client.send(access(server, user="bob", password_file=password), mail())
        assert len(server.mails) == 1
        error = await refused(access(server, host="192.0.2.1", user="bob", password_file=password))
    assert "not sent without TLS" in str(error)


@pytest.mark.parametrize(
    ("replies", "permanent", "words"),
    [
        ({"220": "554 no service"}, False, "SMTP 554"),
        ({"MAIL": "550 who"}, True, "SMTP 550"),
        ({"MAIL": "451 later"}, False, "SMTP 451"),
        ({"RCPT": "550 SECRET unknown"}, True, "refused with 550"),
        ({"RCPT": "450 greylisted"}, False, "refused with 450"),
        ({"DATA": "452 full"}, False, "SMTP 452"),
        ({".": "554 spam"}, True, "SMTP 554"),
        ({"AUTH": "535 wrong"}, False, "AUTH is refused with 535: see smtp_user"),
    ],
)
async def test_a_reply_decides_whether_to_try_again(
    replies: dict[str, str], permanent: bool, words: str, password: str
) -> None:
    with post(Post(replies)) as server:
        error = await refused(access(server, user="bob", password_file=password))
    assert (error.permanent, words in str(error), "SECRET" in str(error)) == (permanent, True, False)
    assert server.mails == []


async def test_if_one_of_two_recipients_is_refused_the_other_has_it() -> None:
    with post(Post({f"RCPT {ONE}": "550 no"})) as server:
        assert await smtp_client.send(access(server), mail(ONE, OTHER)) == "1 recipient refused"
    assert server.mails[0][0] == [OTHER]


@pytest.mark.parametrize("reply", ["", "drip"])
@pytest.mark.parametrize("command", ["220", "EHLO", "DATA"])
async def test_a_server_that_hangs_holds_no_thread(
    monkeypatch: pytest.MonkeyPatch, command: str, reply: str
) -> None:
    monkeypatch.setattr(smtp_client, "_TOTAL", 0.3)
    with post(Post({command: reply})) as server:
        before = set(threading.enumerate())
        assert "no answer" in str(await refused(access(server)))
        ours = [t for t in set(threading.enumerate()) - before if "process_request" not in t.name]
        async with asyncio.timeout(10):
            while any(thread.is_alive() for thread in ours):
                await asyncio.sleep(0.01)
    assert server.mails == []


async def test_a_missing_password_is_named(tmp_path: Path) -> None:
    with post() as server:
        error = await refused(access(server, user="bob", password_file=str(tmp_path / "gone")))
    assert "smtp_password_file" in str(error) and "No such file" in str(error)
