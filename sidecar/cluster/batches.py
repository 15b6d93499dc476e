"""Batches of decisions as they travel: signed, so that nobody but their host can have made them.

A batch is the length of the signature, the signature, and JSON: [version, group, host, id, sent, records].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sidecar.cluster.host_keys import Signer
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.model import LATEST, Instant

VERSION = 1
# Records in a batch, and the longest batch that is read.
MOST_RECORDS, MOST_BYTES = 500, 4 << 20


class SignedBatch(NamedTuple):
    """Decisions of a host. `stamp` orders its batches; `sent` is the time it had, that all hosts share."""

    host: str
    stamp: Stamp
    sent: Instant
    records: Sequence[Any]


class BatchError(Exception):
    """A batch is not believed; `reason` is a label of cluster_refused_total, `host` whom it claims to be
    from."""

    def __init__(self, reason: str, host: str = "") -> None:
        super().__init__(reason)
        self.reason, self.host = reason, host


class BatchFormat:
    """Writes and reads the batches of a group."""

    def __init__(self, group: str, host: str, signer: Signer) -> None:
        self._group, self._host, self._signer = group, host, signer

    def written(self, stamp: Stamp, sent: Instant, records: Sequence[Any]) -> bytes:
        """A batch of this host."""
        fields = [VERSION, self._group, self._host, stamp.entry, sent, records]
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        signature = self._signer.sign(text)
        return bytes((len(signature),)) + signature + text

    def read(self, raw: bytes) -> SignedBatch:
        """A batch of another host, or of this one. BatchError."""
        if not raw or len(raw) > MOST_BYTES or len(raw) < 1 + raw[0]:
            raise BatchError("malformed")
        signature, text = raw[1 : 1 + raw[0]], raw[1 + raw[0] :]
        try:
            version, group, host, entry, sent, records = json.loads(text)
            stamp = Stamp.of_entry(entry, host)
            right = isinstance(host, str) and isinstance(records, list) and 0 <= sent <= LATEST
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise BatchError("malformed") from None
        if not right or len(host) > 100 or not host.isprintable():
            raise BatchError("malformed")
        # Nothing that it says is believed before this.
        if len(signature) != self._signer.length or not self._signer.is_signed_by(host, text, signature):
            known = self._signer.knows
            raise BatchError("unknown-host" if known is not None and host not in known else "signature", host)
        if version != VERSION:
            raise BatchError("version", host)
        if group != self._group:
            raise BatchError("group", host)
        if len(records) > MOST_RECORDS:
            raise BatchError("malformed", host)
        return SignedBatch(host, stamp, float(sent), records)
