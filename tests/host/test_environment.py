"""Discovery of the networks to protect, with and without Docker."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from sidecar.host import environment
from sidecar.host.environment import look
from sidecar.kernel.facts import host_facts as kernel
from sidecar.kernel.facts.host_facts import HostFacts
from sidecar.network import Network
from sidecar.settings import read
from sidecar.sources.docker import docker_engine
from tests.sources.test_docker import NETWORKS, container


async def test_docker_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(place))
        engine.listen()
        monkeypatch.setattr(docker_engine, "SOCKET", place)
        monkeypatch.setattr(docker_engine, "_PATIENCE_SECONDS", 4)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
        begun = time.monotonic()
        found = await look(read([]).settings, [])
        assert time.monotonic() - begun < 3.5
    assert found.protected["own-address"]


async def test_the_host_s_own_address_on_a_container_network_is_no_proxy_and_its_neighbours_are_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def networks(*texts: str) -> tuple[Network, ...]:
        return tuple(map(Network.parse, texts))

    facts = HostFacts(
        own=networks("198.51.100.5", "10.28.0.1"),
        gateways=(),
        resolvers=(),
        connected=networks("198.51.100.0/24"),
    )
    one = docker_engine.describe(container(), NETWORKS)
    monkeypatch.setattr(kernel, "host_facts", lambda: facts)
    monkeypatch.setattr(environment, "_zimbra_containers", lambda: [one])
    found = await look(read([]).settings, [])
    # Clients behind the userland proxy of Docker have the address 10.28.0.1.
    assert found.near == networks("198.51.100.5", "10.28.0.2")
    assert found.gateways == networks("10.28.0.1")
    assert set(found.inside) == {*networks("198.51.100.5", "10.28.0.1", "198.51.100.0/24", "10.28.0.0/24")}
