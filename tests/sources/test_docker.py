"""Zimbra containers, from the attributes of the Docker API."""

import socket
from pathlib import Path
from typing import Any

import docker
import pytest

from sidecar.model import SourceError
from sidecar.sources.docker import docker_engine as asking
from sidecar.sources.docker.docker_engine import describe, zimbra_containers

NETWORKS = {"n1": {"IPAM": {"Config": [{"Subnet": "10.28.0.0/24", "Gateway": "10.28.0.1"}]}}}


def container(image: str = "example/zimbra-aio:10.1", **mounts: str) -> dict[str, Any]:
    return {
        "Id": "c1",
        "State": {"StartedAt": "2026-01-05T10:00:00Z"},
        "Name": "/mail",
        "Config": {"Image": image, "Volumes": None},
        "Mounts": [{"Destination": f"/{d.replace('_', '/')}", "Source": s} for d, s in mounts.items()],
        "NetworkSettings": {
            "Networks": {
                "mail_default": {
                    "NetworkID": "n1",
                    "Gateway": "10.28.0.1",
                    "IPAddress": "10.28.0.2",
                    "GlobalIPv6Address": "",
                    "IPv6Gateway": "",
                }
            }
        },
    }


def test_logs_networks_and_gateways_of_a_zimbra_with_named_volumes() -> None:
    found = describe(
        container(opt_zimbra_log="/var/lib/docker/volumes/log/_data", var_log="/srv/syslog"), NETWORKS
    )
    assert found.name == "mail"
    assert found.logs == {"/opt/zimbra/log": "/var/lib/docker/volumes/log/_data", "/var/log": "/srv/syslog"}
    assert [str(n) for n in found.networks] == ["10.28.0.0/24"]
    assert [n.address for n in found.gateways] == ["10.28.0.1"]
    assert [n.address for n in found.addresses] == ["10.28.0.2"]
    assert not found.host_network


def test_a_volume_around_the_log_directory_serves_and_a_missing_one_is_told() -> None:
    found = describe(container(opt_zimbra="/data/zimbra"), NETWORKS)
    assert found.logs == {"/opt/zimbra/log": "/data/zimbra/log", "/var/log": None}


def test_an_engine_that_is_gone_is_told_and_its_client_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(left))
    monkeypatch.setattr(asking, "SOCKET", left)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    # The Docker client would leak a socket at each attempt.
    monkeypatch.setattr(docker, "from_env", lambda **_: pytest.fail("asked in vain"))
    with pytest.raises(SourceError, match=r"cannot connect to Docker: .*refused"):
        zimbra_containers()
