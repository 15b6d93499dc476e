"""What Docker knows of Zimbra on this host: its containers, their log volumes, networks and gateways."""

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
# zmprov is Java, and asks the directory.
_ZMPROV_SECONDS = 60
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")
TRUSTED_IP = "zimbraMailTrustedIP"
_STAT = "X-Docker-Container-Path-Stat"


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
    verdict: Verdict


class Survey(NamedTuple):
    """All containers that run: those that are a Zimbra, and what could be taken for one: (name, why not)."""

    taken: list[ZimbraContainer]
    passed: list[tuple[str, str]]


def zimbra_containers() -> list[ZimbraContainer]:
    """Ask the Docker engine. SourceError where it does not answer or may not be asked."""
    return survey().taken


def survey() -> Survey:
    """Look at every container that runs. SourceError where Docker does not answer or may not be asked."""
    with _engine(_PATIENCE_SECONDS) as client:
        # One that ends meanwhile is no fault.
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
    """The Zimbra on this host itself, in no container: its `id` is empty."""
    verdict = layouts.installed()
    if verdict is None:
        return None
    logs = {place: place for place in (f"{verdict.home}/log", layouts.SYSLOG)}
    return ZimbraContainer("", "", "this-host", "", logs, (), (), (), True, (), verdict)


def _devices(client: Any) -> dict[str, str]:
    """The directories that volumes are bound to: the volume's own is empty while nobody uses it."""
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
    # Asking for processes starts one: not for what has nothing of Zimbra in it.
    if verdict.why and (processes := _processes(container)) is not None:
        facts = replace(facts, processes=processes)
        verdict = layouts.judge(facts)
    return facts, verdict


def _inside(client: Any, container: str) -> Look | None:
    """Tells where a path of a container is. None where Docker does not let us look."""
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
    """The command lines in it. None where there is no ps, or it has just ended."""
    from docker.errors import APIError

    try:
        told = container.top(ps_args="-eo pid,args")
    except APIError:
        return None
    return tuple(str(words[-1]) for words in told.get("Processes") or ())


def trusted_ips(container: ZimbraContainer) -> tuple[Network, ...]:
    """The proxies that mailboxd in this container believes: its server's zimbraMailTrustedIP, or the global
    one. Takes seconds. SourceError where it cannot be had."""
    with _engine(_ZMPROV_SECONDS) as client:
        inside = client.containers.get(container.id)
        host = _said(inside, container.verdict, "zmhostname").strip()
        if not _HOST.fullmatch(host):
            raise SourceError(f"{container.name} does not say what its server is called")
        told = _said(inside, container.verdict, "zmprov", "-l", "gs", host, TRUSTED_IP)
    values = [line.partition(": ")[2].strip() for line in told.splitlines() if line.startswith(TRUSTED_IP)]
    # mailboxd compares addresses letter by letter: it knows no networks.
    return tuple(network for network in _parsed(values) if network.single)


def _said(inside: Any, verdict: Verdict, program: str, *arguments: str) -> str:
    """What one of Zimbra's programs prints. SourceError where it is not there or fails."""
    user = verdict.user
    # The client itself waits for ever for the end of the output.
    command = ["timeout", str(_ZMPROV_SECONDS), f"{layouts.HOMES[verdict.product]}/bin/{program}", *arguments]
    if verdict.root:
        command = ["chroot", f"--userspec={user}", verdict.root, *command]
    code, output = inside.exec_run(command, user="root" if verdict.root else user, stderr=False)
    if code:
        raise SourceError(f"{program} in {inside.name} ended with {code}, so {TRUSTED_IP} is not known")
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
    """The container's attributes, as Docker's API gives them, in our words."""
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
    """Whether its packets go to the wire without the host's routing. An ipvlan in mode l3s is routed."""
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
