"""An engine that hangs keeps nobody from being protected."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from sidecar.app.surroundings import look
from sidecar.settings import read
from sidecar.sources import docker


async def test_docker_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(place))
        engine.listen()
        monkeypatch.setattr(docker, "SOCKET", place)
        monkeypatch.setattr(docker, "_PATIENCE_SECONDS", 4)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
        begun = time.monotonic()
        found = await look(read([]).settings, [])
        assert time.monotonic() - begun < 3.5
    assert found.protected["own-address"]
