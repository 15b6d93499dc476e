"""Records that no host writes: each is read or refused, and nothing else happens."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.cluster.batches import BatchError, BatchFormat
from sidecar.cluster.claims import Claim, Claims
from sidecar.cluster.decision_records import BAN, ban_key, read, sign_of_life
from sidecar.cluster.host_keys import SharedSecret
from sidecar.cluster.hybrid_clock import MOST_AHEAD, HybridClock, Stamp
from sidecar.model import LATEST
from sidecar.network import Network

SECRET = SharedSecret("x" * 40)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.sampled_from(list("buadgh")),
    st.sampled_from([
        "192.0.2.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "smtp", "log", "manual", "1-1", "-1-1", "1--1",
        f"{2**64}-0", "9" * 5000, "\ud800", "\x1b[2J", 1e308, 10**400, -1, 1795830000.0,
    ]),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
RECORDS = st.one_of(ANYTHING, st.lists(ANYTHING, min_size=1, max_size=11))
WHOLE: dict[str, list[Any]] = {
    "b": ["b", "192.0.2.1", "smtp", "1-1", None, 1.0, "log", "told", 1, ""],
    "u": ["u", "192.0.2.1", "smtp", "1-1", ""],
    "a": ["a", "192.0.2.0/24", "1-1", None, "told", ""],
    "d": ["d", "192.0.2.0/24", "1-1", ""],
    "g": ["g", "192.0.2.1", "bob", 1.0],
}


@st.composite
def damaged(draw: st.DrawFn) -> list[Any]:
    record = list(draw(st.sampled_from(list(WHOLE.values()))))
    for _ in range(draw(st.integers(1, 2))):
        record[draw(st.integers(0, len(record) - 1))] = draw(ANYTHING)
    return record


def check(record: Any) -> None:
    try:
        one: Any = read(record, "mx1")
    except (ValueError, TypeError, KeyError):
        return
    if one is None:
        return
    json.dumps(one.record()).encode()
    again = read(one.record(), "mx1")
    assert again is not None and again.record() == one.record()
    for name in ("reason", "by", "account", "jail"):
        assert getattr(one, name, "").isprintable()
    for name in ("at", "until"):
        assert 0 <= (getattr(one, name, None) or 0) <= LATEST


@settings(max_examples=800, deadline=None)
@given(RECORDS | damaged())
@example([])
@example([["b"]])
@example([*WHOLE["b"], 1])
@example([*WHOLE["b"][:7], "x" * 501, 1, "y" * 1000])
@example([*WHOLE["b"][:7], "\ud800" * 500, 1, ""])
def test_a_record_is_read_or_refused(record: Any) -> None:
    check(record)
    sign_of_life([record])


@settings(max_examples=300, deadline=None)
@given(st.lists(ANYTHING, max_size=8))
@example([1, "zmban", "mx1", "1-1", 10**400, []])
@example([1, "zmban", "mx1", f"1-{2**64}", 1.0, []])
def test_a_batch_is_read_or_refused(fields: list[Any]) -> None:
    text = json.dumps(fields).encode()
    form = BatchFormat("zmban", "mx1", SECRET)
    try:
        batch = form.read(b"\x20" + SECRET.sign(text) + text)
    except BatchError:
        return
    assert batch.host.isprintable() and 0 <= batch.sent <= LATEST


@given(st.binary(max_size=200))
def test_bytes_that_nobody_signed_are_refused(raw: bytes) -> None:
    with pytest.raises(BatchError, match=r"malformed|signature"):
        BatchFormat("zmban", "mx1", SECRET).read(raw)


def test_a_stamp_that_was_believed_always_has_a_successor_that_others_believe() -> None:
    now = 1_800_000_000.0
    clock, other = HybridClock("mx1", lambda: now), HybridClock("mx2", lambda: now)
    for number in (2**32 - 1, 2**32, 2**32 + 1, 2**64 - 1):
        ms = int((now + MOST_AHEAD - 60) * 1000)
        clock.see(Stamp(ms, number, "rogue"))
        before = clock.highest
        for _ in range(3):
            stamp = clock.now()
            assert stamp > before and stamp.number < 2**63 and other.see(stamp), number
            before = stamp


def test_one_subject_has_no_more_claims_than_a_group_has_hosts() -> None:
    claims, key, now = Claims(), ban_key(Network.parse("192.0.2.1"), "smtp"), time.time()
    made = [claims.claim(key, Claim(Stamp(n, 0, "rogue"), now + 9000 - n)) for n in range(5000)]
    assert sum(made) == 100 and claims.of(key) == Claim(Stamp(0, 0, "rogue"), now + 9000)
    assert key[0] == BAN
