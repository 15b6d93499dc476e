"""What a host keeps of decisions over a restart, beside the bans and networks themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sidecar.app.persist.memos import Memos
from sidecar.cluster.claims import REMEMBERED, Claim, Key
from sidecar.cluster.decision_records import DOMAIN
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.model import Instant
from sidecar.network import Network

# The kinds of memo: what was lifted by whomever, and the claims of this host that nothing else tells.
_LIFTED, _DECIDED = "cluster-lifted", "cluster-decided"


class KeptDecisions:
    """The single owner of these memos."""

    def __init__(self, memos: Memos, host: str) -> None:
        self._memos, self._host = memos, host
        self._claimed = {key for key, _ in self.claims()}

    def lift(self, key: Key, stamp: Stamp, by: str) -> None:
        """Remember that something was lifted: an older decision must not bring it back."""
        self._memos.put(_LIFTED, _name(key), json.dumps([stamp.entry, stamp.host, by]))

    def lifted(self) -> Iterator[tuple[Key, Stamp, str]]:
        """What was lifted, when, and by whom."""
        for name, memo in self._memos.of(_LIFTED).items():
            entry, host, by = json.loads(memo.value or "[]")
            yield _key(name), Stamp.of_entry(entry, host), by

    def claim(self, key: Key, claim: Claim | None) -> None:
        """Keep a claim of this host; None: none is kept."""
        if claim is not None:
            self._claimed.add(key)
            self._memos.put(_DECIDED, _name(key), json.dumps([claim.stamp.entry, claim.until]))
        elif key in self._claimed:
            self._claimed.discard(key)
            self._memos.drop(_DECIDED, _name(key))

    def claims(self) -> Iterator[tuple[Key, Claim]]:
        """The claims that were kept."""
        for name, memo in self._memos.of(_DECIDED).items():
            entry, until = json.loads(memo.value or "[]")
            yield _key(name), Claim(Stamp.of_entry(entry, self._host), until)

    def prune(self, now: Instant) -> None:
        """Forget what was lifted long ago."""
        for name, memo in self._memos.of(_LIFTED).items():
            if memo.at < now - REMEMBERED:
                self._memos.drop(_LIFTED, name)


def _name(key: Key) -> str:
    return json.dumps([key[0], str(key[1]), *key[2:]])


def _key(name: str) -> Key:
    kind, subject, *jail = json.loads(name)
    return (kind, subject if kind == DOMAIN else Network.parse(subject), *jail)
