"""Asks Docker for the Zimbra containers of this host: log volumes, networks, gateways, trusted proxies."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.sources.docker import layouts
from sidecar.sources.docker.containers import Facts, Look, facts_of
from sidecar.sources.docker.layouts import Verdict

SOCKET = Path("/var/run/docker.sock")
_PATIENCE_SECONDS = 5
# zmprov starts a Java process and queries LDAP.
_ZMPROV_SECONDS = 60
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")
TRUSTED_IP = "zimbraMailTrustedIP"
_STAT = "X-Docker-Container-Path-Stat"


@dataclass(frozen=True, slots=True)
class ZimbraContainer:
    """One Zimbra container. `logs` maps each log directory to its directory on the host, None if it is not in
    a volume. `addresses` are its own, in `networks`; `gateways` are addresses of this host in them.
    `past_the_host`: networks, each with its driver, whose packets the host does not route."""

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
    verdict: Verdict


class Survey(NamedTuple):
    """Running containers: the Zimbra containers, and similar ones that were passed over as (name, reason)."""

    taken: list[ZimbraContainer]
    passed: list[tuple[str, str]]


def zimbra_containers() -> list[ZimbraContainer]:
    """The Zimbra containers. SourceError if Docker does not respond or denies access."""
    return survey().taken


def survey() -> Survey:
    """Inspect all running containers. SourceError if Docker does not respond or denies access."""
    with _engine(_PATIENCE_SECONDS) as client:
        # A container may end meanwhile.
        containers = client.containers.list(ignore_removed=True)
        networks = {str(n.id): n.attrs for n in client.networks.list()}
        devices = _devices(client)
        judged = [_judged(client, one, devices) for one in containers]
    verdicts = layouts.settle(judged)
    seen = [
        (c.attrs, facts, verdict) for c, (facts, _), verdict in zip(containers, judged, verdicts, strict=True)
    ]
    return Survey(
        [
            describe(attributes, networks, facts, verdict)
            for attributes, facts, verdict in seen
            if verdict.taken
        ],
        [(facts.name, verdict.why) for _, facts, verdict in seen if verdict.why and not verdict.taken],
    )


def installed() -> ZimbraContainer | None:
    """A Zimbra installed on the host itself, with an empty `id`; None if there is none."""
    verdict = layouts.installed()
    if verdict is None:
        return None
    logs = {place: place for place in (f"{verdict.home}/log", layouts.SYSLOG)}
    return ZimbraContainer("", "", "this-host", "", logs, (), (), (), True, (), verdict)


def _devices(client: Any) -> dict[str, str]:
    """The directory of each volume that is bound to one: its own mountpoint is empty while it is unused."""
    found = {}
    for volume in client.volumes.list():
        options = volume.attrs.get("Options") or {}
        if "bind" in str(options.get("o", "")).split(",") and str(options.get("device", "")).startswith("/"):
            found[str(volume.name)] = str(options["device"])
    return found


def _judged(client: Any, container: Any, devices: Mapping[str, str]) -> tuple[Facts, Verdict]:
    look = _inside(client, container.id)
    facts = facts_of(container.attrs, devices, look)
    verdict = layouts.judge(facts)
    # Listing processes starts one, so it is limited to containers with some sign of Zimbra.
    if verdict.why and (processes := _processes(container)) is not None:
        facts = replace(facts, processes=processes)
        verdict = layouts.judge(facts)
    return facts, verdict


def _inside(client: Any, container: str) -> Look | None:
    """A function that resolves paths inside a container. None if Docker does not allow it."""
    url = f"{client.api.base_url}/containers/{container}/archive"

    @cache
    def look(path: str) -> str | None:
        answer = client.api.head(url, params={"path": path}, timeout=_PATIENCE_SECONDS)
        if not answer.ok:
            return None
        stat = json.loads(base64.b64decode(answer.headers.get(_STAT, "e30=")))
        return str(stat.get("linkTarget") or path)

    return look if look("/") else None


def _processes(container: Any) -> tuple[str, ...] | None:
    """The command lines in a container. None without ps, or if the container has just ended."""
    from docker.errors import APIError

    try:
        listing = container.top(ps_args="-eo pid,args")
    except APIError:
        return None
    return tuple(str(words[-1]) for words in listing.get("Processes") or ())


def trusted_ips(container: ZimbraContainer) -> tuple[Network, ...]:
    """The proxies that mailboxd in this container trusts: zimbraMailTrustedIP of its server, or the global
    one. Takes seconds. SourceError on failure."""
    with _engine(_ZMPROV_SECONDS) as client:
        inside = client.containers.get(container.id)
        host = _output_of(inside, container.verdict, "zmhostname").strip()
        if not _HOST.fullmatch(host):
            raise SourceError(f"cannot determine the server name of {container.name}")
        listing = _output_of(inside, container.verdict, "zmprov", "-l", "gs", host, TRUSTED_IP)
    values = [line.partition(": ")[2].strip() for line in listing.splitlines() if line.startswith(TRUSTED_IP)]
    # mailboxd compares addresses as text, so networks in the list have no effect.
    return tuple(network for network in _parsed(values) if network.single)


def _output_of(inside: Any, verdict: Verdict, program: str, *arguments: str) -> str:
    """The output of a program of Zimbra. SourceError if it does not exist or fails."""
    user = verdict.user
    # The Docker client has no timeout for the output.
    command = ["timeout", str(_ZMPROV_SECONDS), f"{layouts.HOMES[verdict.product]}/bin/{program}", *arguments]
    if verdict.root:
        command = ["chroot", f"--userspec={user}", verdict.root, *command]
    code, output = inside.exec_run(command, user="root" if verdict.root else user, stderr=False)
    if code:
        raise SourceError(f"{program} in {inside.name} failed with exit code {code}, {TRUSTED_IP} is unknown")
    return str(output.decode("utf-8", "replace"))


@contextlib.contextmanager
def _engine(patience: int) -> Iterator[Any]:
    """A Docker client. SourceError if Docker does not respond or denies access."""
    try:
        _check_socket()
    except OSError as error:
        raise SourceError(f"cannot connect to Docker: {error}") from error
    # Slow to import, and only needed if Docker is there.
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
        raise SourceError(f"cannot connect to Docker: {error}") from error


def _check_socket() -> None:
    """OSError if the socket exists and no process listens: the Docker client would leak its socket."""
    scheme, _, place = (os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}").partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(place)


def describe(
    attributes: Mapping[str, Any],
    networks: Mapping[str, Mapping[str, Any]],
    facts: Facts | None = None,
    verdict: Verdict | None = None,
) -> ZimbraContainer:
    """The Zimbra container for the attributes of a container, as returned by the Docker API."""
    facts = facts or facts_of(attributes)
    verdict = verdict or layouts.judge(facts)
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
    return ZimbraContainer(
        id=str(attributes["Id"]),
        started=str(attributes.get("State", {}).get("StartedAt")),
        name=facts.name,
        image=str(attributes["Config"]["Image"]),
        logs={
            f"{layouts.HOMES[verdict.product]}/log": facts.on_host(f"{verdict.home}/log"),
            layouts.SYSLOG: facts.on_host(f"{verdict.root}{layouts.SYSLOG}"),
        },
        networks=tuple(dict.fromkeys(subnets)),
        gateways=tuple(dict.fromkeys(gateways)),
        addresses=tuple(dict.fromkeys(addresses)),
        host_network="host" in attributes["NetworkSettings"]["Networks"],
        past_the_host=tuple(past),
        verdict=verdict,
    )


def _past_the_host(network: Mapping[str, Any]) -> bool:
    """Whether packets of this network bypass the routing of the host. ipvlan in mode l3s is routed."""
    driver, options = network.get("Driver"), network.get("Options") or {}
    return driver == "macvlan" or (driver == "ipvlan" and options.get("ipvlan_mode") != "l3s")


def _parsed(texts: Iterable[object]) -> list[Network]:
    networks = []
    for text in texts:
        if text:
            try:
                networks.append(Network.parse(str(text)))
            except ValueError:
                continue
    return networks
