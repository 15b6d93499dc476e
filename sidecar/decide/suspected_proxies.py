"""Suspected proxies: peers on our networks that forward for other clients but are not configured as
proxies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.detect.grammar import Trust
from sidecar.detect.grammar.addresses import address
from sidecar.detect.login_notes import Note
from sidecar.model import Batch, Instant, Refused, Seconds
from sidecar.network import Network, PrefixSet
from sidecar.settings import TrustSettings

REASON = "untrusted-proxy"
_MOST, _MOST_REMEMBERED, _MOST_SHOWN = 1000, 100, 3
# A peer that names this many clients in successful logins is no phone that reports its own location.
_CLIENTS = 2
# A peer from which this many accounts log in within so many seconds is a proxy, although no line names a
# client: mailboxd logs none for a proxy that it does not trust.
_ACCOUNTS, _TOGETHER = 5, 3600.0
# How often a suspect that is still seen is saved again.
_NOTE_AGAIN: Seconds = 6 * 3600.0
_VARIABLE = "ZMBAN_TRUST_PROXIES"


@dataclass(slots=True)
class _Seen:
    """What was seen of one peer."""

    lines: int = 0
    logins: int = 0
    # Clients in the order in which they were first seen; for accounts, the time of the last login.
    clients: dict[str, None] = field(default_factory=dict)
    accounts: dict[str, Instant] = field(default_factory=dict)
    # When the suspicion was last saved, None if the peer is not suspected.
    noted: Instant | None = None

    def suspected(self, at: Instant) -> bool:
        """Whether the lines and logins seen until `at` show that it is a proxy."""
        together = sum(abs(at - one) <= _TOGETHER for one in self.accounts.values())
        return self.lines > 0 or len(self.clients) >= _CLIENTS or together >= _ACCOUNTS


class SuspectedProxies:
    """Finds suspected proxies in refused lines and logins. No suspect is banned because of a log."""

    def __init__(self, trust: Trust, named: TrustSettings) -> None:
        self.trust, self._named = trust, named
        self._gateways: Collection[Network] = named.gateways
        self._seen: dict[Network, _Seen] = {}
        self._found: Callable[[Network, bool], None] = lambda _network, _new: None

    def on_found(self, found: Callable[[Network, bool], None]) -> None:
        """Set the function to call with each suspect, and whether it is new; repeated while it is seen."""
        self._found = found

    def know(
        self,
        named: TrustSettings,
        proxies: Iterable[Network],
        inside: Iterable[Network],
        gateways: Collection[Network],
    ) -> None:
        """Set the configured proxies, the other trusted ones, our networks, and the gateways of container
        networks. A proxy that is trusted now is no longer suspected."""
        self._named, self._gateways = named, gateways
        self.trust.named = named.proxies
        self.trust.trust_also(proxies, inside)

    def handle(self, batch: Batch) -> None:
        """Record lines that were refused because a suspected proxy wrote them. A subscriber of the bus."""
        for refused in batch.of(Refused):
            self.see(refused)

    def see(self, refused: Refused) -> None:
        """Record a line that was refused."""
        if refused.reason == REASON:
            self.relayed(refused.host, refused.client or "", refused.at)

    def relayed(self, proxy: str, client: str, at: Instant | None) -> None:
        """Record a line of a peer that names a client, "" if it names none."""
        network = address(proxy)
        if network is not None and (seen := self._of(network)) is not None:
            seen.lines += 1
            if client and address(client) != network:
                _remember(seen.clients, client, None)
            self._judge(network, seen, at or 0.0)

    def login(self, note: Note) -> None:
        """Record a note from a log: a login, or a client named by a suspect."""
        if note.through and not note.account:
            self.relayed(note.through, note.client, note.at)
            return
        network = address(note.through or note.client)
        if network is None or not note.account or not self.trust.inside(network):
            return
        if not self.trust.trusts(network) and (seen := self._of(network)) is not None:
            seen.logins += 1
            _remember(seen.accounts, note.account.casefold(), note.at)
            if note.through and note.client:
                _remember(seen.clients, note.client, None)
            self._judge(network, seen, note.at)

    def restore(self, network: Network, at: Instant) -> None:
        """Restore a suspect from the database."""
        if (seen := self._of(network)) is not None:
            seen.noted = at

    def noted(self) -> Iterator[tuple[Network, Instant]]:
        """All suspects, and when each was last saved."""
        for network, seen in self._seen.items():
            if seen.noted is not None and not self.trust.trusts(network):
                yield network, seen.noted

    def networks(self) -> PrefixSet:
        """The suspects: no log leads to a ban of them."""
        return PrefixSet(network for network, _ in self.noted())

    def told(self) -> list[dict[str, Any]]:
        """Each suspect with its figures and the cure, those that hide most clients first."""
        found = [(network, self._seen[network]) for network, _ in self.noted()]
        found.sort(key=lambda one: (-one[1].lines, -one[1].logins, one[0]))
        return [
            {
                "proxy": network.address,
                "lines": seen.lines,
                "clients": list(seen.clients)[:_MOST_SHOWN],
                "logins": seen.logins,
                "accounts": len(seen.accounts),
                "proxies": self.line(),
                "zimbra": _zmprov(network),
                "told": self.sentence(network),
            }
            for network, seen in found
        ]

    def line(self) -> str:
        """The line for `[trust]` in zmban.toml, with all configured and all suspected proxies."""
        proxies = dict.fromkeys((*self._named.proxies, *(network for network, _ in self.noted())))
        texts = [network.address if network.single else str(network) for network in proxies]
        if os.environ.get(_VARIABLE):
            # The environment variable overrides the file.
            return f"{_VARIABLE}={','.join(texts)}"
        return f"proxies = {json.dumps(texts)}"

    def sentence(self, network: Network) -> str:
        """The problem and the cure, for the administrator."""
        seen = self._seen[network]
        some = ", ".join(list(seen.clients)[:_MOST_SHOWN])
        many = len(seen.accounts) >= _ACCOUNTS and not seen.clients
        if many:
            what = f"{len(seen.accounts)} accounts logged in from {network.address}, which names no client"
        else:
            what = f"{network.address} forwards for other clients{f' ({some})' if some else ''}"
        place = "in the environment" if os.environ.get(_VARIABLE) else "under [trust] in zmban.toml"
        sentences = [
            f"{what} and is not a trusted proxy: its lines lead to no bans",
            f"If it is your proxy, set {place}: {self.line()}; and run as zimbra: {_zmprov(network)}, "
            "then zmmailboxdctl restart",
        ]
        if network in self._gateways:
            sentences.append(
                "It is the gateway of a container network: first set userland-proxy: false in Docker's "
                "daemon.json, or clients behind it can claim any address"
            )
        if many:
            sentences.append(f"If it is an office or a webmail: ignoreip = {network.address}")
        return ". ".join(sentences)

    def _of(self, network: Network) -> _Seen | None:
        """The record of a peer; None if there are too many."""
        seen = self._seen.get(network)
        if seen is None:
            if len(self._seen) >= _MOST:
                least = next((n for n, other in self._seen.items() if other.noted is None), None)
                if least is None:
                    return None
                del self._seen[least]
            seen = self._seen[network] = _Seen()
        return seen

    def _judge(self, network: Network, seen: _Seen, at: Instant) -> None:
        new = seen.noted is None
        if (new and seen.suspected(at)) or (seen.noted is not None and at - seen.noted > _NOTE_AGAIN):
            seen.noted = at
            self._found(network, new)


def _remember(among: dict[str, Any], one: str, value: Instant | None) -> None:
    if one in among or len(among) < _MOST_REMEMBERED:
        among[one] = value


def _zmprov(network: Network) -> str:
    return f"zmprov mcf +zimbraMailTrustedIP {network.address}"
