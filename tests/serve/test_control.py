"""The control socket with many, slow and silent clients, and with endless requests."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.model import ConfigError
from sidecar.serve import control
from sidecar.serve.control import Control, RefusedError, ask, claim, why_no_service
from sidecar.threads import run_detached


class Service:
    """Handles commands, and records how many ran at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.held = asyncio.Event()
        self.held.set()

    async def handle(self, command: str, arguments: dict[str, Any]) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if command not in ("flush", "free"):
                await self.held.wait()
            return {"did": command, **arguments}
        finally:
            self.now -= 1


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Path, Service]]:
    service = Service()
    path = tmp_path / "run" / "control.sock"
    one = Control(path, service.handle)
    yield path, service
    one.close()
    assert not path.exists()


def raw(path: Path, *parts: bytes, end: bool = False) -> dict[str, Any]:
    """The response to raw bytes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        with contextlib.suppress(BrokenPipeError):
            for part in parts:
                client.sendall(part)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer: dict[str, Any] = json.loads(client.makefile("rb").readline())
        return answer


async def test_a_thousand_clients_at_once_are_all_answered_and_few_are_worked_on(
    served: tuple[Path, Service],
) -> None:
    path, service = served
    clients = [run_detached(partial(ask, path, "ban", number=n)) for n in range(1000)]
    answers = await asyncio.gather(*clients)
    assert [one["number"] for one in answers] == list(range(1000))
    assert service.most <= 8


async def test_a_full_queue_is_waited_for_and_then_said_not_taken_for_a_lack_of_rights(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listening, contextlib.ExitStack() as clients:
        listening.bind(str(path))
        listening.listen(1)
        for _ in range(3):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(path))
        with pytest.raises(RefusedError, match="too many commands wait") as caught:
            await run_detached(lambda: ask(path, "status", patience=0.3))
        assert caught.value.exit_code == 69
        # A full queue means that a busy service listens there.
        with pytest.raises(ConfigError, match="another zmban answers"):
            claim(path)


def test_what_is_not_there_is_said_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    assert ask(path, "status") is None
    assert "no such socket" in why_no_service(path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert ask(path, "status") is None
    assert "was killed" in why_no_service(path)
    path.unlink()
    path.touch()
    assert ask(path, "status") is None
    assert "is not a socket" in why_no_service(path)


def test_who_may_not_is_told_with_77(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Forbidden(socket.socket):
        connect = refused

    monkeypatch.setattr("sidecar.serve.control.socket.socket", Forbidden)
    with pytest.raises(RefusedError, match="as the user of the service") as caught:
        ask(tmp_path / "sock", "status")
    assert caught.value.exit_code == 77


async def test_the_silent_cost_nobody_an_answer(
    served: tuple[Path, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = served
    with contextlib.ExitStack() as silent:
        for number in range(300):
            client = silent.enter_context(socket.socket(socket.AF_UNIX))
            await run_detached(partial(client.connect, str(path)))
            if number % 2:
                client.sendall(b'{"command": "ba')
        assert (await run_detached(lambda: ask(path, "status", patience=10)))["did"] == "status"


async def test_half_a_request_is_told_after_a_while(
    served: tuple[Path, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_PATIENCE", 0.2)
    monkeypatch.setattr(control, "_LINGER", 0.2)
    answer = await run_detached(lambda: raw(served[0], b'{"command": "ba'))
    assert answer["code"] == 64
    assert "no complete request" in answer["error"]


async def test_a_request_without_its_newline_is_one_when_the_client_has_no_more(
    served: tuple[Path, Service],
) -> None:
    answer = await run_detached(lambda: raw(served[0], b'{"command": "status"}', end=True))
    assert answer == {"result": {"did": "status"}}
    assert (await run_detached(lambda: raw(served[0], end=True)))["code"] in (64, 65)


async def test_a_request_of_any_length_is_refused_in_bounded_memory(served: tuple[Path, Service]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    endless = [b"[" * (1 << 20)] * 300
    answers = await asyncio.gather(*(run_detached(lambda: raw(served[0], *endless)) for _ in range(6)))
    assert all("the limit is 16 MiB" in one["error"] for one in answers)
    # Four requests at a time, each with one copy; in KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10
    assert (await run_detached(lambda: ask(served[0], "status")))["did"] == "status"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
REQUESTS = st.one_of(
    JSON.map(json.dumps),
    st.fixed_dictionaries({"command": JSON}, optional={"arguments": JSON, "more": JSON}).map(json.dumps),
    st.lists(st.sampled_from([*'{}[]":,', "command", '"command"', "arguments", "null", "NaN", "1e999", "\\udce9", "\0", "\r"]),
             max_size=12).map("".join),
    st.text(max_size=30),
).map(lambda text: text.encode("utf-8", "surrogatepass"))  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS | st.binary(max_size=40))
@example(request=b'{"command": "x", "arguments": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}")
@example(request=b"9" * 5000)
@example(request=b"[" * 200_000)
@example(request=b'{"command": "\\udce9"}')
async def test_any_request_has_one_answer_and_the_next_one_is_served(
    served: tuple[Path, Service], request: bytes
) -> None:
    path, service = served
    answers = await run_detached(partial(every, path, request.replace(b"\n", b" ") + b"\n"))
    assert answers.count(b"\n") == 1 and answers.endswith(b"\n")
    answer = json.loads(answers)
    assert answer.keys() in ({"result"}, {"error", "code"})
    if "error" in answer:
        assert answer["code"] in (64, 65)
        assert answer["error"] and "\n" not in answer["error"] and len(answer["error"]) < 1000
    else:
        # Only what names a command was handled.
        asked = json.loads(request)
        assert {"did": str(asked["command"])}.items() <= {
            **answer["result"],
            "did": str(asked["command"]),
        }.items()
        assert len(answer["result"]) >= 1
    assert service.now == 0
    assert await run_detached(lambda: ask(path, "status", number=7)) == {"did": "status", "number": 7}


def every(path: Path, data: bytes) -> bytes:
    """Everything that the service sends for one request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(data)
        return client.makefile("rb").read()


async def test_a_long_request_that_may_be_is_answered(served: tuple[Path, Service]) -> None:
    long = "x" * (8 << 20)
    assert (await run_detached(lambda: ask(served[0], "import", text=long)))["text"] == long


async def test_the_emergency_exit_waits_behind_nobody(served: tuple[Path, Service]) -> None:
    path, service = served
    service.held.clear()
    waiting = [asyncio.ensure_future(run_detached(lambda: ask(path, "ban"))) for _ in range(50)]
    while service.now < 8:
        await asyncio.sleep(0.01)
    assert (await run_detached(lambda: ask(path, "flush", patience=10)))["did"] == "flush"
    service.held.set()
    assert len(await asyncio.gather(*waiting)) == 50


@pytest.mark.parametrize("most", [1, 2, 4])
async def test_many_who_come_at_once_and_say_nothing_give_way_to_who_asks_however_few_places_there_are(
    served: tuple[Path, Service], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(control, "_MOST", most)
    with contextlib.ExitStack() as silent:
        for _ in range(40):
            client = silent.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(served[0]))
        assert (await run_detached(lambda: ask(served[0], "status", patience=10)))["did"] == "status"


async def test_who_does_not_read_his_answer_is_left_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control, "_PATIENCE", 0.3)

    async def much(command: str, _: dict[str, Any]) -> str:
        return "x" * (1 << 22) if command == "much" else "little"

    one = Control(tmp_path / "sock", much)
    with socket.socket(socket.AF_UNIX) as client, caplog.at_level(logging.INFO):
        client.connect(str(tmp_path / "sock"))
        client.sendall(b'{"command": "much"}\n')
        assert await run_detached(lambda: ask(tmp_path / "sock", "little")) == "little"
        end = time.monotonic() + 10
        while "did not read the response" not in caplog.text:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
    one.close()


async def test_without_descriptors_who_asks_waits_and_the_log_says_so_once(
    served: tuple[Path, Service], caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = served
    with contextlib.ExitStack() as taken:
        client = taken.enter_context(socket.socket(socket.AF_UNIX))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.callback(os.close, os.dup(client.fileno()))
        client.connect(str(path))
        client.sendall(b'{"command": "status"}\n')
        # CPU time of this thread only, which runs the event loop: other threads belong to other tests.
        spent = time.thread_time()
        await asyncio.sleep(1.5)
        assert time.thread_time() - spent < 0.5, "it spins"
        told = [r for r in caplog.records if "cannot accept connections" in r.getMessage()]
        assert len(told) == 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.settimeout(10)
        assert b"status" in await run_detached(lambda: client.recv(1000))
    assert "accepting connections again" in caplog.text


async def test_a_socket_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((ConfigError, OSError)):
        Control(tmp_path / "file", Service().handle)
