"""Checks that the packets of the mail server pass the routing table that zmban writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sidecar.kernel.facts.host_facts import in_user_namespace, same_network_namespace_as_host
from sidecar.settings import Settings
from sidecar.sources.docker.docker_engine import ZimbraContainer

_INTERFACES = Path("/sys/class/net")
_CILIUM = "cilium_host"
_SHARED = 'if the mail server shares this network, set [kernel] namespace = "own"'
_ELSEWHERE = (
    "zmban is not in the network of the host, so its bans have no effect there: set network_mode: host "
    f"(a pod: hostNetwork); {_SHARED}"
)
_ROOTLESS = (
    "a rootless container engine gives zmban a network of its own, where bans have no effect: "
    f"run zmban with the system's container engine; {_SHARED}"
)
_UNSURE = (
    "cannot determine whether this is the network of the host, as on a host that is a container itself: "
    'if network_mode: host (a pod: hostNetwork) is set, set [kernel] namespace = "own"'
)
_PAST_NETFILTER = (
    "Cilium is on this host: where it forwards by eBPF, packets of banned networks reach the pods, "
    "and only the replies are dropped"
)


@dataclass(frozen=True)
class NamespaceCheck:
    """`missing`: why bans have no effect here. `doubts`: possible problems."""

    missing: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def check_namespace(
    settings: Settings, containers: Iterable[ZimbraContainer], interfaces: Path = _INTERFACES
) -> NamespaceCheck:
    """Check the namespaces of this process, the Zimbra containers and the network interfaces."""
    missing = [_past(one) for one in containers if one.past_the_host]
    doubts = [_PAST_NETFILTER] if (interfaces / _CILIUM).exists() else []
    if settings.kernel.namespace == "host":
        same = same_network_namespace_as_host()
        if in_user_namespace():
            missing.append(_ROOTLESS)
        elif same is False:
            missing.append(_ELSEWHERE)
        elif same is None:
            doubts.append(_UNSURE)
    return NamespaceCheck(tuple(missing), tuple(doubts))


def _past(container: ZimbraContainer) -> str:
    return (
        f"{container.name} is on {', '.join(container.past_the_host)}: its packets bypass the routing of the "
        "host, so bans have no effect; use a bridge network or the network of the host"
    )
