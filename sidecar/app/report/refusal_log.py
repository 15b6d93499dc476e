"""What lines say that ban nobody, for a person to look at: framed ones, and clients that a proxy hides."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sidecar.model import Event, Match, Refused
from sidecar.serve.metrics import Metrics

_log = logging.getLogger("zmban")

_MOST_SHOWN = 10
# More proxies than these are no proxies.
_MOST_PROXIES = 1000
# A failure whose client is one of ours: somebody stands behind it whom nobody can name.
_MASKED = {"masked", "trusted-proxy", "gateway", "own-address"}
_PODS = Path("/var/run/secrets/kubernetes.io")


class RefusalLog:
    """Listens to refusals. Each proxy that hides clients is told once in the log, with the cure."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.framed: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        self.reported: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        # Phones with an old password, and mail servers that we deal with.
        self.spared: deque[Refused] = deque(maxlen=_MOST_SHOWN)
        self._masked: Counter[tuple[str, str]] = Counter()

    def hear(self, events: Iterable[Event | Match]) -> None:
        """Remember what a person may want to see."""
        for event in events:
            if not isinstance(event, Refused):
                continue
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
            _log.warning("a failed login or attack came by way of %s, which hides its client: %s", *kind)
        self._masked[kind] += 1

    def masked(self) -> list[dict[str, Any]]:
        """The proxies that hide clients, those that hide most first."""
        found = self._masked.most_common(_MOST_SHOWN)
        return [{"proxy": proxy, "lines": lines, "cure": told} for (proxy, told), lines in found]


def cure(reason: str, proxy: str) -> str:
    """What to change so that the client is seen."""
    if reason == "masked":
        return f"mailboxd does not believe it: zmprov mcf +zimbraMailTrustedIP {proxy}, and restart mailboxd"
    if _PODS.exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        return (
            "set externalTrafficPolicy: Local at the service, or use hostPort or hostNetwork for Zimbra's pod"
        )
    if reason == "trusted-proxy":
        return "let it pass the client's address on, or let clients reach Zimbra without it"
    return (
        "Docker hides it: set userland-proxy: false in daemon.json, give the network of an IPv6 host an IPv6 "
        "subnet, or run Zimbra with network_mode: host"
    )
