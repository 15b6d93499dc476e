"""A webhook that accepts, refuses, hangs, redirects or is not who it says: what becomes of a message."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from sidecar.delivery import webhook_client
from sidecar.delivery.delivery_error import DeliveryError
from sidecar.settings.notify_urls import WebhookUrl
from tests.delivery.servers import Hook, answering, certificate, hook

BODY = {"text": "é\u202e"}


async def refused(url: str, ca_file: str = "") -> DeliveryError:
    with pytest.raises(DeliveryError) as found:
        await webhook_client.post(WebhookUrl.parse(url), BODY, ca_file)
    assert "SECRET" not in str(found.value)
    return found.value


async def test_what_is_accepted_arrives_once_as_it_was_sent() -> None:
    with hook(Hook(answering(204))) as one:
        await webhook_client.post(WebhookUrl.parse(one.url()), BODY)
    assert (one.bodies, one.paths) == ([BODY], ["/services/SECRET"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_a_refusal_is_for_ever(status: int) -> None:
    with hook(Hook(answering(status))) as one:
        error = await refused(one.url())
    assert error.permanent and f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599, 999])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    with hook(Hook(answering(status))) as one:
        error = await refused(one.url())
    assert not error.permanent and error.after is None


async def test_the_receiver_says_when_to_try_again() -> None:
    for wish, expected in [("120", 120), (formatdate(time.time() + 3600, usegmt=True), 3600), ("x", None)]:
        with hook(Hook(answering(429, Retry_After=wish))) as one:
            error = await refused(one.url())
        assert error.after == (expected and pytest.approx(expected, abs=60))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with hook() as other, hook(Hook(answering(status, Location=other.url()))) as one:
        error = await refused(one.url())
    assert other.bodies == [] and not error.permanent
    assert "redirects are not followed" in str(error)


async def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_client, "_TOTAL", 0.2)
    with hook(Hook(lambda _: None)) as one:
        assert "no answer within 0.2 s" in str(await refused(one.url()))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await refused(f"http://127.0.0.1:{silent.getsockname()[1]}/SECRET")


async def test_of_an_endless_response_only_the_beginning_is_read() -> None:
    with hook(Hook(lambda _: (200, {"Content-Length": str(1 << 40)}, b"x" * 100_000))) as one:
        await webhook_client.post(WebhookUrl.parse(one.url()), BODY)
    assert one.bodies == [BODY]


async def test_nobody_there_and_what_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "Connect" in str(await refused(f"http://127.0.0.1:{port}/SECRET"))

    def nonsense(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"SSH-2.0-SECRET\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=nonsense, args=(server,), daemon=True).start()
        assert "no valid response" in str(await refused(f"http://127.0.0.1:{server.getsockname()[1]}/SECRET"))


async def test_a_certificate_must_be_trusted_and_be_of_this_host(tmp_path: Path) -> None:
    right, wrong = certificate(tmp_path), certificate(tmp_path, "other.example", "192.0.2.1")
    with hook(pem=right) as one:
        url = one.url().replace("http:", "https:")
        assert "not trusted" in str(await refused(url))
        await webhook_client.post(WebhookUrl.parse(url), BODY, f"{right}.crt")
        assert one.bodies == [BODY]
        assert "ca_file" in str(await refused(url, str(tmp_path / "missing")))
    with hook(pem=wrong) as one:
        error = await refused(one.url().replace("http:", "https:"), f"{wrong}.crt")
        assert "certificate" in str(error) or "host" in str(error)
        assert one.bodies == []


async def test_a_dead_name_server_holds_up_no_thread_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answered.wait(30) and [])
    monkeypatch.setattr(webhook_client, "_TOTAL", 0.2)
    try:
        await asyncio.gather(*(refused(f"http://hook{n}.example/SECRET") for n in range(40)))
        # As a commit does it.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 20) == 7
    finally:
        answered.set()
