"""Targets that hang, refuse or come back: each fails for itself, and is told."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from sidecar.app.notify import courier as module
from sidecar.app.notify.message import Message
from sidecar.delivery import webhook_client
from tests.app.notify.telling import Telling, telling
from tests.delivery.servers import Hook, Post, answering, hook, post


def wait(one: Telling, *titles: str) -> None:
    """Messages that are due now, for the targets that exist."""
    for number, title in enumerate(titles):
        one.queue.add(Message("brake", 1000.0 * (1 + number), title, to=one.queue.targets or ()))


@pytest.fixture(autouse=True)
def _kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of these tests are of 1970."""
    from sidecar.app.notify import message_queue

    monkeypatch.setattr(message_queue, "_EXPIRES", 1e12)


async def test_a_message_goes_to_each_target_in_its_format_once(tmp_path: Path) -> None:
    with hook() as one, hook() as slack, hook() as matrix, post() as server:
        urls = f'"{one.url()}", "{slack.url("slack")}", "{matrix.url("matrix")}"'
        settings = (
            f'webhooks = [{urls}]\nmail_to = ["a@example.com"]\nsmtp = "smtp://127.0.0.1:{server.port}"\n'
        )
        async with telling(tmp_path, settings) as found:
            await found.told()
            assert found.queue.targets == (
                "webhook 127.0.0.1", "webhook 127.0.0.1 2", "webhook 127.0.0.1 3", "mail",
            )  # fmt: skip
            wait(found, "first", "second")
            await found.told()
            await found.told()
            assert [body["text"].partition(": ")[2] for body in one.bodies] == ["first", "second"]
            assert "items" in one.bodies[0] and slack.bodies[0]["link_names"] is False
            assert set(matrix.bodies[0]) == {"text", "html"}
            assert [str(mail["Subject"]).rpartition(" ")[2] for _, mail in server.mails] == [
                "first",
                "second",
            ]
            assert (found.count("sent"), found.count("sent", "mail"), len(found.queue)) == (6, 2, 0)


async def test_one_that_fails_is_tried_again_later_and_holds_up_no_other(tmp_path: Path) -> None:
    with hook(Hook(answering(500, 200))) as bad, hook() as good:
        async with telling(tmp_path, f'webhooks = ["{bad.url()}", "{good.url()}"]\n') as found:
            await found.told()
            wait(found, "first", "second")
            await found.told()
            assert (len(bad.bodies), len(good.bodies)) == (1, 2)
            assert list(found.queue.doubts()) == [
                "notifications: webhook 127.0.0.1: HTTP 500 Internal Server Error; trying again (2 messages waiting)"
            ]
            await found.told()
            assert len(bad.bodies) == 1, "not before its pause is over"
            found.at_once()
            await found.told()
            assert len(bad.bodies) == 3 and len(found.queue) == 0
            assert list(found.queue.doubts()) == []
            assert (found.count("failed"), found.count("sent")) == (1, 4)


async def test_pauses_grow_up_to_an_hour_and_obey_the_receiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    with hook(Hook(answering(503))) as bad:
        async with telling(tmp_path, f'webhooks = ["{bad.url()}"]\n') as found:
            await found.told()
            wait(found, "first")
            pauses = []
            for _ in range(13):
                await found.told()
                (target,) = found.courier._targets.values()
                pauses.append(round(target.next_try - time.monotonic()))
                found.at_once()
            assert pauses == sorted(pauses) and pauses[:3] == [5, 10, 20] and pauses[-2:] == [3600, 3600]
            for wish, pause in (("7000", 7000), ("99999999", 86400), ("1", 3600)):
                bad.answer = answering(429, Retry_After=wish)
                await found.told()
                assert round(target.next_try - time.monotonic()) == pause
                found.at_once()


async def test_a_refused_message_is_dropped_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hook(Hook(answering(404, 404, 200))) as bad:
        async with telling(tmp_path, f'webhooks = ["{bad.url()}"]\n') as found:
            await found.told()
            wait(found, "first", "second")
            await found.told()
            assert (found.count("refused"), len(found.queue)) == (2, 0)
            assert "HTTP 404 Not Found" in next(iter(found.queue.doubts()))
            assert caplog.text.count("refuses messages") == 1 and "SECRET" not in caplog.text
            wait(found, "third")
            await found.told()
            assert list(found.queue.doubts()) == [] and "works again" in caplog.text


async def test_an_error_of_our_own_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(webhook_client, "post", broken)
    async with telling(tmp_path, 'webhooks = ["http://127.0.0.1:9/"]\n') as found:
        await found.told()
        wait(found, "first")
        await found.told()
        assert len(found.queue) == 1 and "a bug" in caplog.text


async def test_a_file_with_webhooks_is_read_again_and_its_mistakes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_AGAIN", 0.0)
    file = tmp_path / "webhooks"
    with hook() as one, hook() as other:
        async with telling(tmp_path, f'webhooks_file = "{file}"\n') as found:
            await found.told()
            assert found.queue.targets == ()
            assert f"{file}: No such file or directory" in next(iter(found.queue.doubts()))
            os.mkfifo(file)
            await found.told()
            assert f"{file} is not a regular file" in next(iter(found.queue.doubts()))
            file.unlink()
            file.write_text(
                f"# ours\n\n{one.url()}\nftp://x/SECRET\n{other.url('slack')}\n", encoding="utf-8"
            )
            await found.told()
            assert list(found.courier._targets) == ["webhook 127.0.0.1", "webhook 127.0.0.1 2"]
            (doubt,) = found.queue.doubts()
            assert f"{file}:4: is not the URL" in doubt and "SECRET" not in doubt
            wait(found, "first")
            await found.told()
            assert len(one.bodies) == len(other.bodies) == 1
            # A secret that cannot be read for a moment loses nothing.
            wait(found, "second")
            file.unlink()
            await found.told()
            assert len(found.queue) == 1
            file.write_text(f"{one.url()}\n", encoding="utf-8")
            await found.told()
            assert len(one.bodies) == 2 and len(found.queue) == 0 and found.count("dropped") == 1


async def test_a_reload_changes_targets_and_a_mended_url_is_tried_at_once(tmp_path: Path) -> None:
    with hook(Hook(answering(500))) as bad, hook() as good:
        async with telling(tmp_path, f'webhooks = ["{bad.url()}"]\n') as found:
            await found.told()
            wait(found, "first")
            await found.told()
            await found.reload(f'webhooks = ["{good.url(path="/other")}"]\n')
            await found.told()
            assert good.paths == ["/other"] and list(found.queue.doubts()) == []
            wait(found, "second")
            await found.reload("")
            await found.told()
            assert (len(found.queue), len(good.bodies), found.queue.targets) == (0, 1, ())


async def test_the_command_tries_each_target_and_says_why_one_fails(tmp_path: Path) -> None:
    with hook() as good, hook(Hook(answering(403))) as bad, post(Post({"RCPT": "550 no"})) as server:
        settings = f'webhooks = ["{good.url()}", "{bad.url()}"]\nmail_to = ["a@example.com"]\n'
        settings += f'smtp = "smtp://127.0.0.1:{server.port}"\nwebhooks_file = "/no/such"\n'
        async with telling(tmp_path, settings) as found:
            assert await found.one.tell("notify") == [
                {"target": "webhook 127.0.0.1", "result": "sent", "reason": None},
                {"target": "webhook 127.0.0.1 2", "result": "failed", "reason": "HTTP 403 Forbidden"},
                {"target": "mail", "result": "failed", "reason": "all recipients are refused with 550"},
                {"target": "[notify] webhooks_file", "result": "failed", "reason": "/no/such: No such file or directory"},
            ]  # fmt: skip
            assert good.bodies[0]["event"] == "test" and "test message" in good.bodies[0]["text"]


async def test_a_stop_waits_for_no_delivery(tmp_path: Path) -> None:
    with hook(Hook(lambda _: None)) as hangs:
        async with telling(tmp_path, f'webhooks = ["{hangs.url()}"]\n') as found:
            await found.told()
            wait(found, "first")
            await found.courier.look()
            (target,) = found.courier._targets.values()
            assert target.busy
            found.courier.stop()
            await found.one.settled()
            assert not hangs.release.is_set() and len(found.queue) == 1
