"""The daily review in containers: it counts the demonstration's mail, and is handed to its Postfix with TLS and AUTH."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.review.report_message import send_now
from sidecar.settings import NotifySettings
from sidecar.settings.notify_urls import SmtpServer
from tests.app.running import until
from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack
# As compose.yaml and demo/accounts.txt have them.
ADDRESS, NAME, USER, PASSWORD = "172.30.253.1", "mail.demo.example", "anna@demo.example", "correct-horse-01"


def report(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.zmban("report", "--json"))
    return found


def test_it_has_the_mail_the_bans_and_the_accounts_of_the_demonstration(stack: Stack) -> None:
    found = report(stack)
    assert found["totals"]["received"] > 0
    assert found["totals"]["rejected"] > 0
    assert found["decisions"]["jails"]["zimbra-smtp"]["bans"] > 0
    assert found["decisions"]["bans"][-1]["evidence"]
    assert {one["program"] for one in found["warnings"]} >= {"smtpd"}
    banned = {one["network"] for one in found["decisions"]["bans"]}
    assert not [one for one in found["decisions"]["good_users"] if one["banned"]], banned


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_the_mail_server_takes_it_by_tls_and_auth(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: Any
) -> None:
    postfix = stack.container("demo-postfix")
    (tmp_path / "ca.pem").write_text(
        stack.run("docker", "exec", postfix, "cat", "/etc/postfix/certificate.pem")
    )
    (tmp_path / "password").write_text(PASSWORD)
    found, port = report(stack), 465 if scheme == "smtps" else 587
    settings = NotifySettings(
        mail_to=("ben@demo.example",), mail_from=USER, smtp=SmtpServer(scheme, NAME, port), smtp_user=USER,
        smtp_password_file=str(tmp_path / "password"), ca_file=str(tmp_path / "ca.pem"),
    )  # fmt: skip
    look_up = socket.getaddrinfo

    def named(host: str, *more: Any, **other: Any) -> Any:
        return look_up(ADDRESS if host == NAME else host, *more, **other)

    monkeypatch.setattr(socket, "getaddrinfo", named)
    at = time.time()
    assert await send_now(settings, found, at) == (["mail"], [])

    def delivered() -> Any:
        log = stack.run("docker", "exec", postfix, "cat", "/var/log/zimbra/zimbra.log")
        queue = re.search(rf"(\w+): message-id=<zmban\.report-{at:.0f}@demo\.example>", log)
        sent = queue and re.search(rf"{queue[1]}: to=<ben@demo\.example>.* status=sent", log)
        return sent and queue and re.search(rf"{queue[1]}: client=.*sasl_username={re.escape(USER)}", log)

    until(delivered)
    (tmp_path / "password").write_text("wrong")
    sent, failed = await send_now(settings, found, time.time())
    assert (sent, "AUTH is refused" in failed[0]) == ([], True)
