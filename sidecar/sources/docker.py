"""What Docker knows of Zimbra on this host: its containers, their log volumes, networks and gateways."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.model import SourceError
from sidecar.network import Network

SOCKET = Path("/var/run/docker.sock")
_PATIENCE_SECONDS = 5
# zmprov is Java, and asks the directory.
_ZMPROV_SECONDS = 60
_BIN = "/opt/zimbra/bin"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")
_TRUSTED_IP = "zimbraMailTrustedIP"
# Where Zimbra's logs lie inside its containers.
LOG_DIRECTORIES = ("/opt/zimbra/log", "/var/log")


@dataclass(frozen=True, slots=True)
class ZimbraContainer:
    """One container of Zimbra. `logs` maps a log directory to its place on the host, None if it is in no
    volume; `addresses` are its own, in `networks`, whose `gateways` lie on this host. `past_the_host` names
    the networks, each with its driver, whose packets the host does not route."""

    id: str
    started: str
    name: str
    image: str
    logs: Mapping[str, str | None]
    networks: tuple[Network, ...]
    gateways: tuple[Network, ...]
    addresses: tuple[Network, ...]
    host_network: bool
    past_the_host: tuple[str, ...]


def zimbra_containers() -> list[ZimbraContainer]:
    """Ask the Docker engine. SourceError where it does not answer or may not be asked."""
    with _engine(_PATIENCE_SECONDS) as client:
        containers = [c.attrs for c in client.containers.list()]
        networks = {str(n.id): n.attrs for n in client.networks.list()}
    return [describe(attributes, networks) for attributes in containers if is_zimbra(attributes)]


def trusted_ips(container: ZimbraContainer) -> tuple[Network, ...]:
    """The proxies that mailboxd in this container believes: its server's zimbraMailTrustedIP, or the global
    one. Takes seconds. SourceError where it cannot be had."""
    with _engine(_ZMPROV_SECONDS) as client:
        inside = client.containers.get(container.id)
        host = _said(inside, "zmhostname").strip()
        if not _HOST.fullmatch(host):
            raise SourceError(f"{container.name} does not say what its server is called")
        told = _said(inside, "zmprov", "-l", "gs", host, _TRUSTED_IP)
    values = [line.partition(": ")[2].strip() for line in told.splitlines() if line.startswith(_TRUSTED_IP)]
    # mailboxd compares addresses letter by letter: it knows no networks.
    return tuple(network for network in _parsed(values) if network.single)


def _said(inside: Any, program: str, *arguments: str) -> str:
    """What one of Zimbra's programs prints. SourceError where it is not there or fails."""
    # The client itself waits for ever for the end of the output.
    command = ["timeout", str(_ZMPROV_SECONDS), f"{_BIN}/{program}", *arguments]
    code, output = inside.exec_run(command, user="zimbra", stderr=False)
    if code:
        raise SourceError(f"{program} in {inside.name} ended with {code}, so {_TRUSTED_IP} is not known")
    return str(output.decode("utf-8", "replace"))


@contextlib.contextmanager
def _engine(patience: int) -> Iterator[Any]:
    """A client of the Docker engine. SourceError where it does not answer or may not be asked."""
    try:
        _knock()
    except OSError as error:
        raise SourceError(f"Docker cannot be asked: {error}") from error
    # Heavy, and needed only where somebody answers.
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.from_env(timeout=patience)
        try:
            yield client
        finally:
            client.close()
    except (DockerException, RequestException, OSError) as error:
        raise SourceError(f"Docker cannot be asked: {error}") from error


def _knock() -> None:
    """OSError where the socket is there and nobody listens: the client would leave its own end open."""
    if not os.environ.get("DOCKER_HOST"):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(SOCKET))


def is_zimbra(attributes: Mapping[str, Any]) -> bool:
    """Whether a container looks like Zimbra: by its image, or by a volume on /opt/zimbra."""
    image = str(attributes["Config"]["Image"]).lower()
    if "zmban" in image:
        return False
    mounts = [str(m.get("Destination", "")) for m in attributes.get("Mounts", [])]
    volumes = [*mounts, *(attributes["Config"].get("Volumes") or {})]
    return "zimbra" in image or any(v == "/opt/zimbra" or v.startswith("/opt/zimbra/") for v in volumes)


def describe(attributes: Mapping[str, Any], networks: Mapping[str, Mapping[str, Any]]) -> ZimbraContainer:
    """The container's attributes, as Docker's API gives them, in our words."""
    subnets: list[Network] = []
    past: list[str] = []
    gateways: list[Network] = []
    addresses: list[Network] = []
    for name, joined in attributes["NetworkSettings"]["Networks"].items():
        network = networks.get(joined.get("NetworkID", ""), {})
        if _past_the_host(network):
            past.append(f"{name} ({network['Driver']})")
        for pool in network.get("IPAM", {}).get("Config") or []:
            subnets += _parsed([pool.get("Subnet")])
            gateways += _parsed([pool.get("Gateway")])
        addresses += _parsed([joined.get("IPAddress"), joined.get("GlobalIPv6Address")])
        gateways += _parsed([joined.get("Gateway"), joined.get("IPv6Gateway")])
    mounts = {str(m["Destination"]).rstrip("/"): str(m["Source"]) for m in attributes.get("Mounts", [])}
    return ZimbraContainer(
        id=str(attributes["Id"]),
        started=str(attributes.get("State", {}).get("StartedAt")),
        name=str(attributes["Name"]).lstrip("/"),
        image=str(attributes["Config"]["Image"]),
        logs={directory: _on_host(directory, mounts) for directory in LOG_DIRECTORIES},
        networks=tuple(dict.fromkeys(subnets)),
        gateways=tuple(dict.fromkeys(gateways)),
        addresses=tuple(dict.fromkeys(addresses)),
        host_network="host" in attributes["NetworkSettings"]["Networks"],
        past_the_host=tuple(past),
    )


def _past_the_host(network: Mapping[str, Any]) -> bool:
    """Whether its packets go to the wire without the host's routing. An ipvlan in mode l3s is routed."""
    driver, options = network.get("Driver"), network.get("Options") or {}
    return driver == "macvlan" or (driver == "ipvlan" and options.get("ipvlan_mode") != "l3s")


def _on_host(directory: str, mounts: Mapping[str, str]) -> str | None:
    """Where a directory of the container lies on the host: by the mount that holds it, the nearest first."""
    for place in sorted(mounts, key=len, reverse=True):
        if directory == place or directory.startswith(f"{place}/"):
            return mounts[place] + directory[len(place) :]
    return None


def _parsed(texts: Iterable[object]) -> list[Network]:
    networks = []
    for text in texts:
        if text:
            try:
                networks.append(Network.parse(str(text)))
            except ValueError:
                continue
    return networks
