"""Refused failures that an administrator should see: framed lines, spared clients, proxies that hide
clients."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sidecar.model import Batch, Refused
from sidecar.serve.metrics import Metrics

_log = logging.getLogger("zmban")

_MOST_SHOWN = 10
# Maximum number of recorded proxies.
_MOST_PROXIES = 1000
# The client of these failures is one of our own addresses: the real client is hidden.
_MASKED = {"masked", "trusted-proxy", "gateway", "own-address"}
_PODS = Path("/var/run/secrets/kubernetes.io")


class RefusalLog:
    """Records the most recent refusals. A subscriber of the bus. Each proxy that hides clients is logged
    once, with the cure."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.framed: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        self.reported: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        # Phones with an old password, and known mail servers.
        self.spared: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        self._masked: Counter[tuple[str, str]] = Counter()

    def handle(self, batch: Batch) -> None:
        """Record the refusals to show."""
        for event in batch.of(Refused):
            if event.reason == "framed":
                self.framed.append(event)
            elif event.reason == "report-only":
                self.reported.append(event)
            elif event.reason == "known-good":
                self.spared.append(event)
            elif event.reason in _MASKED:
                self._mask(event)

    def _mask(self, event: Refused) -> None:
        proxy = event.client or event.host
        self._metrics.masked.inc()
        if not proxy or len(self._masked) > _MOST_PROXIES:
            return
        kind = proxy, cure(event.reason, proxy)
        if kind not in self._masked:
            _log.warning("failure from %s, which hides its client, so that nothing can be banned: %s", *kind)
        self._masked[kind] += 1

    def proxies(self) -> Collection[tuple[str, str]]:
        """Each proxy that hides clients, with the cure."""
        return self._masked.keys()

    def masked(self) -> list[dict[str, Any]]:
        """The proxies that hide clients, most lines first."""
        found = self._masked.most_common(_MOST_SHOWN)
        return [{"proxy": proxy, "lines": lines, "cure": told} for (proxy, told), lines in found]


def cure(reason: str, proxy: str) -> str:
    """How to make the client visible."""
    if reason == "masked":
        return f"mailboxd does not trust it: zmprov mcf +zimbraMailTrustedIP {proxy}, and restart mailboxd"
    if _PODS.exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        return (
            "set externalTrafficPolicy: Local at the service, or use hostPort or hostNetwork for Zimbra's pod"
        )
    if reason == "trusted-proxy":
        return "make it forward the client's address, or let clients connect to Zimbra directly"
    return (
        "Docker hides it: set userland-proxy: false in daemon.json, give the network of an IPv6 host an IPv6 "
        "subnet, or run Zimbra with network_mode: host"
    )
