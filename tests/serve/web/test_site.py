"""The HTTP server with hostile, slow and many clients."""

import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from sidecar.model import ConfigError
from sidecar.serve.web import http_connection
from sidecar.serve.web.health_routes import HealthRoutes
from sidecar.serve.web.sign_in.gate import Gate
from sidecar.serve.web.site import Site
from sidecar.threads import run_detached

METRICS = b"zmban_enforced 1\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def health(metrics: bytes = b"", names: Sequence[str] = ()) -> Site:
    """A server of metrics and health."""
    return Site(
        HealthRoutes(lambda accept: lambda: (metrics, accept or "text/plain"), list).routes(),
        Gate(names, None),
    )


@pytest.fixture
async def port() -> AsyncIterator[int]:
    number = free_port()
    site = health(METRICS, ["zmban.example.com", "METRICS."])
    await site.open(f"127.0.0.1:{number}")
    yield number
    site.close()


def sent(port: int, data: bytes, *, end: bool = False) -> bytes:
    """The response to raw bytes, until the connection ends or nothing arrives for a while."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(3)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while got := client.recv(65536):
                answer += got
        return answer


async def asked(port: int, path: str = "/metrics", host: str = "127.0.0.1", method: str = "GET") -> bytes:
    request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer: bytes = await run_detached(partial(sent, port, request.encode("latin-1")))
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_the_three_pages_are_answered_and_nothing_else(port: int) -> None:
    for path in ("/metrics", "/healthz", "/readyz"):
        assert status(await asked(port, path)) == 200
        head = await asked(port, path, method="HEAD")
        assert status(head) == 200
        assert head.endswith(b"\r\n\r\n")
    assert (await asked(port)).endswith(METRICS)
    for path in ("/", "/metrics/", "/../metrics", "//metrics", "/metrics%00", "/<script>alert(1)</script>"):
        answer = await asked(port, path)
        assert status(answer) == 404, path
        assert b"<script" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW"])
async def test_no_other_method_does_anything(port: int, method: str) -> None:
    answer = await asked(port, method=method)
    assert status(answer) in (400, 404, 405)
    assert METRICS not in answer


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9177", "[::1]", "[::1]:9177", "10.1.2.3:9177", "[2001:db8::7]:1", "[fe80::1%25eth0]",
     "localhost", "LOCALHOST:9177", "localhost.", "ip6-localhost", "zmban.example.com", "metrics:80", socket.gethostname()],
)  # fmt: skip
async def test_who_asks_by_address_or_a_known_name_is_answered(port: int, host: str) -> None:
    assert status(await asked(port, host=host)) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9177", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:9177.evil",
     "[::1].evil.example", "xlocalhost", "a:b:c.evil", "0x7f.1", "127.1"],
)  # fmt: skip
async def test_a_page_whose_name_leads_here_is_refused(port: int, host: str) -> None:
    answer = await asked(port, host=host)
    assert status(answer) in (400, 403)
    assert METRICS not in answer
    assert b"evil" not in answer


async def test_who_names_no_host_is_no_browser(port: int) -> None:
    assert status(await run_detached(partial(sent, port, b"GET /healthz HTTP/1.0\r\n\r\n"))) == 200


GARBAGE = [
    b"\x00" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"GET\r\n\r\n", b"\r\n" * 5000,
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"GET /metrics HTTP/1.1\r\n" + b"X" * 100_000,
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHo\x1b[2Jst: a\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n" + b"z" * 300_000,
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nExpect: <script>\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + b"q" * 99_999,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_refused_in_our_words_and_leaves_nothing_in_the_log(
    port: int, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await run_detached(partial(sent, port, garbage, end=True))
    # At most one response; a request to upgrade is answered as one without it.
    assert answer.count(b"HTTP/1.") <= 1
    assert METRICS not in answer or b"Upgrade" in garbage
    assert not answer or status(answer) in range(400, 506) or b"Upgrade" in garbage
    assert b"<script" not in answer
    assert b"\x1b" not in answer
    assert not caplog.records
    assert status(await asked(port)) == 200


async def test_a_request_that_does_not_come_whole_is_waited_for_a_while_only(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "_PATIENCE", 0.3)

    def slow() -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(10)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: loc")
            return client.recv(100)

    assert await run_detached(slow) == b""


async def test_more_connections_than_may_be_cost_the_oldest_not_the_next(port: int) -> None:
    with contextlib.ExitStack() as idle:
        clients = [
            idle.enter_context(await run_detached(partial(socket.create_connection, ("127.0.0.1", port))))
            for _ in range(400)
        ]
        assert status(await asked(port)) == 200
        clients[0].settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert await run_detached(partial(clients[0].recv, 10)) == b""


async def test_a_reader_that_stops_holds_up_nobody(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    large = b"x" * (8 << 20)
    number = free_port()
    site = health(large)
    await site.open(f"localhost:{number}")
    with contextlib.ExitStack() as stalled:
        for _ in range(5):
            client = stalled.enter_context(
                await run_detached(partial(socket.create_connection, ("localhost", number)))
            )
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(await asked(number, "/healthz")) == 200
        site.close()


async def test_an_address_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"\[serve\] cannot listen on 127.0.0.1:"):
            await health().open(f"127.0.0.1:{taken.getsockname()[1]}")
    with pytest.raises(ConfigError, match="cannot listen on"):
        await health().open("no.such.host.invalid:1")
