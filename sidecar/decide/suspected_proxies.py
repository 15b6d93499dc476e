"""Suspected proxies: peers on networks of ours that speak for others though nobody named them as proxies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.decide.known_good import Note
from sidecar.detect.grammar import Trust
from sidecar.detect.grammar.addresses import address
from sidecar.host.environment import HostEnvironment
from sidecar.model import Event, Instant, Match, Refused, Seconds
from sidecar.network import Network, PrefixSet
from sidecar.settings import TrustSettings

REASON = "untrusted-proxy"
_MOST, _MOST_REMEMBERED, _MOST_SHOWN = 1000, 100, 3
# So many clients named in logins that succeeded are no telephone that says of itself where it is.
_CLIENTS = 2
# So many accounts that log in from one address within so long are behind it, though no line names a client:
# mailboxd writes none for a proxy that it does not believe.
_ACCOUNTS, _TOGETHER = 5, 3600.0
# How often it is noted again that one is still a proxy.
_NOTE_AGAIN: Seconds = 6 * 3600.0
_VARIABLE = "ZMBAN_TRUST_PROXIES"


@dataclass(slots=True)
class _Seen:
    """What was seen of one peer."""

    lines: int = 0
    logins: int = 0
    # In order of their first times; of accounts, when each logged in last.
    clients: dict[str, None] = field(default_factory=dict)
    accounts: dict[str, Instant] = field(default_factory=dict)
    # When it was noted last, None while it is not suspected.
    noted: Instant | None = None

    def suspected(self, at: Instant) -> bool:
        """Whether it is a proxy by what was seen until `at`."""
        together = sum(abs(at - one) <= _TOGETHER for one in self.accounts.values())
        return self.lines > 0 or len(self.clients) >= _CLIENTS or together >= _ACCOUNTS


class SuspectedProxies:
    """Hears of refused lines and of logins. No log bans a suspect."""

    def __init__(self, trust: Trust, named: TrustSettings) -> None:
        self.trust, self._named = trust, named
        self._gateways: Collection[Network] = named.gateways
        self._seen: dict[Network, _Seen] = {}
        self._found: Callable[[Network, bool], None] = lambda _network, _new: None

    def on_found(self, found: Callable[[Network, bool], None]) -> None:
        """Call this with each suspect and whether it is a new one, from time to time while it is seen."""
        self._found = found

    def know(self, named: TrustSettings, around: HostEnvironment, believed: Iterable[Network]) -> None:
        """Who is named and who else is believed, and which networks are ours; who is trusted now is suspected
        no more."""
        self._named, self._gateways = named, around.gateways
        self.trust.named = named.proxies
        self.trust.believe([*around.near, *believed], around.inside)

    def hear(self, events: Iterable[Event | Match]) -> None:
        """Lines that count against nobody since a suspect wrote them."""
        for event in events:
            if isinstance(event, Refused) and event.reason == REASON:
                self.relayed(event.host, event.client or "", event.at)

    def relayed(self, proxy: str, client: str, at: Instant | None) -> None:
        """A line came from this peer, of a client that it names, or of nobody knows whom ("")."""
        network = address(proxy)
        if network is not None and (seen := self._of(network)) is not None:
            seen.lines += 1
            if client and address(client) != network:
                _remember(seen.clients, client, None)
            self._judge(network, seen, at or 0.0)

    def login(self, note: Note) -> None:
        """Somebody logged in, or a suspect told of a client."""
        if note.through and not note.account:
            self.relayed(note.through, note.client, note.at)
            return
        network = address(note.through or note.client)
        if network is None or not note.account or not self.trust.inside(network):
            return
        if not self.trust.believes(network) and (seen := self._of(network)) is not None:
            seen.logins += 1
            _remember(seen.accounts, note.account.casefold(), note.at)
            if note.through and note.client:
                _remember(seen.clients, note.client, None)
            self._judge(network, seen, note.at)

    def restore(self, network: Network, at: Instant) -> None:
        """An earlier run found this one."""
        if (seen := self._of(network)) is not None:
            seen.noted = at

    def noted(self) -> Iterator[tuple[Network, Instant]]:
        """All suspects, and when each was noted last."""
        for network, seen in self._seen.items():
            if seen.noted is not None and not self.trust.believes(network):
                yield network, seen.noted

    def networks(self) -> PrefixSet:
        """Whom no log bans."""
        return PrefixSet(network for network, _ in self.noted())

    def told(self) -> list[dict[str, Any]]:
        """Each suspect with what was seen of it and the cure, those that hide most first."""
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
        """The line for `[trust]` in zmban.toml, of all that are named and all that are suspected."""
        everybody = dict.fromkeys((*self._named.proxies, *(network for network, _ in self.noted())))
        texts = [network.address if network.single else str(network) for network in everybody]
        if os.environ.get(_VARIABLE):
            # It wins over the file.
            return f"{_VARIABLE}={','.join(texts)}"
        return f"proxies = {json.dumps(texts)}"

    def sentence(self, network: Network) -> str:
        """What a person should know of a suspect, and do."""
        seen = self._seen[network]
        some = ", ".join(list(seen.clients)[:_MOST_SHOWN])
        many = len(seen.accounts) >= _ACCOUNTS and not seen.clients
        if many:
            what = f"{len(seen.accounts)} accounts logged in from {network.address}, which names no client"
        else:
            what = f"{network.address} speaks for other clients{f' ({some})' if some else ''}"
        place = "in the environment" if os.environ.get(_VARIABLE) else "under [trust] in zmban.toml"
        told = [
            f"{what} and is not a trusted proxy: nobody is banned for its lines",
            f"If it is a proxy of yours, set {place}: {self.line()}; and run as zimbra: {_zmprov(network)}, "
            "then zmmailboxdctl restart",
        ]
        if network in self._gateways:
            told.append(
                "It is the gateway of a container network: first set userland-proxy: false in Docker's "
                "daemon.json, or clients that it hides are believed in what they say of themselves"
            )
        if many:
            told.append(f"If it is an office or a webmail: ignoreip = {network.address}")
        return ". ".join(told)

    def _of(self, network: Network) -> _Seen | None:
        """What was seen of a peer until now; None for one too many."""
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
