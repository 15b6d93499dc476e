"""The proxies that Zimbra trusts are trusted, also while it restarts or does not answer."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from sidecar.app.protect import zimbra_trust
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.sources.docker import docker_engine
from sidecar.sources.docker.docker_engine import describe
from tests.app.running import in_process
from tests.netns import Namespace
from tests.sources.test_docker import NETWORKS, container

PROXY = "198.51.100.10"


@pytest.fixture(autouse=True)
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have no Docker: what it would say is set by the tests."""
    monkeypatch.setattr(docker_engine, "SOCKET", tmp_path)


@pytest.mark.kernel
async def test_what_zimbra_said_is_believed_over_its_restart_and_asked_again_until_it_answers(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers: list[tuple[Network, ...] | None] = [(Network.parse(PROXY),)]

    def answer(one: docker_engine.ZimbraContainer) -> tuple[Network, ...]:
        asked.append(one.started)
        if (found := answers[-1]) is None:
            raise SourceError("zmprov ended with 1")
        return found

    def running(started: str) -> None:
        one = describe({**container(), "State": {"StartedAt": started}}, NETWORKS)
        monkeypatch.setattr(docker_engine, "zimbra_containers", lambda: [one])

    monkeypatch.setattr(docker_engine, "trusted_ips", answer)
    running("first")
    async with in_process(tmp_path, dry_run=True) as service:
        trust, trusted = service.parts.zimbra_trust, service.suspects.trust
        await trust.look()
        await trust.look()
        assert (asked, trusted.is_proxy(PROXY)) == (["first"], True)
        # A restart: the directory is not up yet.
        running("second")
        answers.append(None)
        await trust.look()
        await trust.look()
        assert (asked, trusted.is_proxy(PROXY)) == (["first", "second", "second"], True)
        answers.append(())
        await trust.look()
        assert not trusted.is_proxy(PROXY)
        # Nothing else is queried within an hour.
        await trust.look()
        assert len(asked) == 4
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 3601)
        await trust.look()
        assert len(asked) == 5


@pytest.mark.kernel
async def test_a_zimbra_that_hangs_is_told_and_not_waited_for(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()

    def hang(_: docker_engine.ZimbraContainer) -> tuple[Network, ...]:
        over.wait(30)
        return ()

    monkeypatch.setattr(docker_engine, "zimbra_containers", lambda: [describe(container(), NETWORKS)])
    monkeypatch.setattr(docker_engine, "trusted_ips", hang)
    monkeypatch.setattr(zimbra_trust, "_PATIENCE_SECONDS", 0.1)
    async with in_process(tmp_path, dry_run=True) as service:
        with caplog.at_level(logging.INFO, "zmban"):
            await service.parts.zimbra_trust.look()
        assert "mail does not answer; write its proxies into [trust] proxies" in caplog.messages
        over.set()
