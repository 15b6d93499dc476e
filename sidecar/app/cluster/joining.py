"""The part of the composition root for a cluster, imported only if [cluster] url is set."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.app.bootstrap import Components
from sidecar.app.cluster.group_member import GroupMember
from sidecar.app.cluster.joint_counting import JointCounting
from sidecar.app.cluster.kept_decisions import KeptDecisions
from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.peers.peer import Peers
from sidecar.app.cluster.peers.peer_allowed import PeerAllowed
from sidecar.app.cluster.peers.peer_decisions import PeerDecisions
from sidecar.app.cluster.peers.shared_domains import SharedDomains
from sidecar.app.cluster.setup import host_name
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.cluster.claims import Claims


def join(parts: Components) -> GroupMember:
    """Build a member of a group, which connects by itself."""
    active, engine = parts.active, parts.memory.engine
    host, claims = host_name(active.settings.cluster), Claims()
    shares, is_dry = _rules(parts)
    shared_time, kept = SharedTime(parts.memos, host), KeptDecisions(parts.memos, host)
    own = OwnDecisions(
        host, shared_time, claims, kept, engine.register, parts.allow_list, engine.known_good, shares
    )
    allowing = PeerAllowed(
        host, shared_time, claims, own, parts.allow_list, parts.protection, lambda: shares("allowed")
    )
    domains = SharedDomains(
        host, shared_time, claims, own, parts.memos, parts.refused_domains, lambda: shares("domains")
    )
    decisions = PeerDecisions(
        host, shared_time, claims, own, kept, engine, parts.bus, allowing, domains, parts.protection,
        parts.enforcer, parts.commit_queue, parts.background, shares, is_dry,
    )  # fmt: skip

    refused = parts.metrics.cluster_refused
    peers = Peers(host, lambda reason: refused.labels(reason).inc())
    counting = JointCounting(
        host, shared_time, engine, parts.bus, peers.admit, refused.labels("signature").inc
    )
    member = GroupMember(
        lambda: active.settings.cluster, shared_time, claims, own, decisions, counting, peers,
        parts.peer_evidence, parts.background, parts.commit_queue.commit,
    )  # fmt: skip
    parts.bus.subscribe(own, decisions, counting)
    parts.periodic.every(1.0, "cluster", member.run, at_once=True)
    parts.periodic.every(600.0, "cluster prune", own.prune)
    parts.periodic.every(600.0, "cluster domains prune", domains.prune)
    parts.periodic.every(2.0, "cluster domains", domains.look, at_once=True)
    parts.periodic.every(60.0, "cluster quota", allowing.prune)
    _measure(parts, member, own, counting)
    return member


def _rules(parts: Components) -> tuple[Callable[..., bool], Callable[[str], bool]]:
    """What is shared, see OwnDecisions; and whether the bans of a jail are only recorded here."""
    active = parts.active

    def shares(what: str, jail: str = "") -> bool:
        spec = active.jails.get(jail)
        return what in active.settings.cluster.share and (spec is None or spec.shared != "no")

    def is_dry(jail: str) -> bool:
        spec = active.jails.get(jail)
        return parts.options.dry_run or (spec is not None and spec.dry_run)

    return shares, is_dry


def _measure(parts: Components, member: GroupMember, own: OwnDecisions, counting: JointCounting) -> None:
    metrics = parts.metrics
    metrics.cluster_up.set_function(lambda: float(member.up))
    now = time.time
    metrics.cluster_peers.set_function(lambda: sum(peer.is_here(now()) for peer in member.peers))
    metrics.cluster_lag.set_function(lambda: max((peer.lag for peer in member.peers), default=0.0))
    metrics.cluster_waiting.set_function(lambda: sum(len(peer.waiting) for peer in member.peers))
    metrics.queues.labels("cluster").set_function(lambda: len(own) + len(counting))
