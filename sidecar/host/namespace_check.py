"""Whether the packets of mail servers pass the routing table that is written here at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sidecar.kernel.host import in_user_namespace, same_network_namespace_as_host
from sidecar.settings import Settings
from sidecar.sources.docker.engine import ZimbraContainer

_INTERFACES = Path("/sys/class/net")
_CILIUM = "cilium_host"
_SHARED = 'if the mail server shares this network, say [kernel] namespace = "own"'
_ELSEWHERE = (
    "zmban is not in the host's network, and bans nobody there: give its service network_mode: host "
    f"(a pod: hostNetwork); {_SHARED}"
)
_ROOTLESS = (
    "a rootless container engine gives zmban a network of its own, and bans in it reach nobody: "
    f"run zmban with the system's engine; {_SHARED}"
)
_UNSURE = (
    "it cannot be told whether this is the host's network, as on a host that is a container itself: "
    'if network_mode: host (a pod: hostNetwork) is set, say [kernel] namespace = "own"'
)
_PAST_NETFILTER = (
    "Cilium is on this host: where it forwards packets by eBPF, what the banned send to pods arrives, "
    "and only the answers are refused"
)


@dataclass(frozen=True)
class NamespaceCheck:
    """`missing`: why bans here reach nobody. `doubts`: what may be wrong all the same."""

    missing: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def whereabouts(
    settings: Settings, containers: Iterable[ZimbraContainer], interfaces: Path = _INTERFACES
) -> NamespaceCheck:
    """Look at the namespaces of this process, at Zimbra's containers and at the interfaces."""
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
        f"{container.name} is on {', '.join(container.past_the_host)}: its packets pass the host's routing "
        "by, and no ban reaches them; give it a bridge network or the host's"
    )
