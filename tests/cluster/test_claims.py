"""Claims against a simple model, clocks that differ, quotas, and batches and records of any content."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster import decision_records as records
from sidecar.cluster.batches import BatchError, BatchFormat
from sidecar.cluster.claims import Claim, Claims
from sidecar.cluster.decision_records import SharedAllowed, SharedBan, SharedLifting, SharedLogin
from sidecar.cluster.host_keys import SharedSecret
from sidecar.cluster.hybrid_clock import MOST_AHEAD, MOST_NUMBER, NEVER, HybridClock, Stamp
from sidecar.cluster.peer_quota import PeerQuota, addresses
from sidecar.cluster.redis_place import Place
from sidecar.network import Network

KEY = ("ban", "somebody", "smtp")
NOW = 1_700_000_000.0
SIGNER = SharedSecret("a secret of more than thirty-two characters")
FORMAT = BatchFormat("zmban", "mx1", SIGNER)

hosts = st.sampled_from(["mx1", "mx2", "mx3"])
stamps = st.builds(Stamp, st.integers(0, 6), st.integers(0, 2), hosts)
ends = st.none() | st.integers(1, 5).map(float)
claimed = st.tuples(st.just("claim"), stamps, ends)
lifted = st.tuples(st.just("lift"), stamps, st.none())
decisions = st.lists(claimed | lifted, max_size=12)


def joined(found: Sequence[Any]) -> Claims:
    claims = Claims()
    for kind, stamp, until in found:
        claims.claim(KEY, Claim(stamp, until)) if kind == "claim" else claims.lift(KEY, stamp)
    return claims


def longest(ends_of: Sequence[float | None]) -> float | None:
    return None if None in ends_of else max(end for end in ends_of if end is not None)


@given(decisions)
def test_the_longest_claim_behind_the_last_lifting_counts(found: list[Any]) -> None:
    last = max([stamp for kind, stamp, _ in found if kind == "lift"], default=NEVER)
    rest = [until for kind, stamp, until in found if kind == "claim" and stamp > max(last, NEVER)]
    counts = joined(found).of(KEY)
    assert (counts is not None) == bool(rest)
    assert counts is None or counts.until == longest(rest)


@given(decisions, st.randoms(use_true_random=False))
def test_claims_in_any_order_and_with_repetitions_give_the_same_result(found: list[Any], chance: Any) -> None:
    other = found * 2
    chance.shuffle(other)
    one, two = joined(found), joined(other)
    assert one.lifted == two.lifted and len(one) == len(two)
    assert set(one.standing(KEY)) == set(two.standing(KEY))
    # What a later lifting leaves is the same, too.
    for claims in (one, two):
        claims.lift(KEY, Stamp(3, 1, "mx2"))
    assert set(one.standing(KEY)) == set(two.standing(KEY))


@given(decisions, hosts)
def test_the_claim_of_a_host_is_the_one_of_its_own_that_ends_last(found: list[Any], host: str) -> None:
    claims = joined(found)
    own = [one for one in claims.standing(KEY) if one.stamp.host == host]
    counts = claims.own(KEY, host)
    assert (counts is not None) == bool(own)
    assert counts is None or counts.until == longest([one.until for one in own])


def test_what_is_over_or_was_lifted_long_ago_is_forgotten() -> None:
    claims = joined([("claim", Stamp(5, 0, "mx1"), NOW), ("lift", Stamp(3, 0, "mx1"), None)])
    claims.prune(NOW + 1)
    assert len(claims) == 0 and claims.lifted == {}


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([-3600, 0, 3600]), st.booleans())))
def test_a_stamp_is_later_than_all_that_its_host_has_seen_though_clocks_are_an_hour_apart(
    steps: list[tuple[int, int, bool]],
) -> None:
    wall = [NOW - 3600, NOW, NOW + 3600]
    clocks = [HybridClock(f"mx{i}", lambda i=i: wall[i]) for i in range(3)]  # type: ignore[misc]
    seen: list[list[Stamp]] = [[], [], []]
    for who, jump, tells in steps:
        wall[who] += jump if abs(wall[who] + jump - NOW) <= 3600 else 0
        stamp = clocks[who].now()
        assert all(stamp[:2] > one[:2] for one in seen[who])
        seen[who].append(stamp)
        for other in range(3) if tells else ():
            assert clocks[other].see(stamp)
            seen[other].append(stamp)


@given(st.integers(0, 1 << 63), st.integers(0, MOST_NUMBER))
def test_no_clock_follows_a_stamp_more_than_a_day_ahead(ms: int, number: int) -> None:
    clock = HybridClock("mx1", lambda: NOW)
    believed = clock.see(Stamp(ms, number, "mx2"))
    assert believed == (ms <= (NOW + MOST_AHEAD) * 1000)
    stamp = clock.now()
    assert stamp.ms <= (NOW + MOST_AHEAD) * 1000 + 1
    assert Stamp.of_entry(stamp.entry, "mx1") == stamp


def test_behind_the_last_number_of_a_millisecond_the_next_one_begins() -> None:
    clock = HybridClock("mx1", lambda: NOW)
    ahead = int(NOW * 1000) + 5000
    clock.see(Stamp(ahead, MOST_NUMBER, "mx2"))
    assert clock.now() == Stamp(ahead + 1, 0, "mx1")


@pytest.mark.parametrize("text", ["", "1", "-1-0", "1--1", f"{1 << 64}-0", f"1-{1 << 64}", "1_0-0", "x-1"])
def test_what_is_no_id_of_an_entry_is_no_stamp(text: str) -> None:
    with pytest.raises(ValueError):
        Stamp.of_entry(text)


networks = st.sampled_from(["203.0.113.7", "198.51.100.0/24", "2001:db8::/48", "2001:db8::1"]).map(
    Network.parse
)
steps = st.lists(st.tuples(st.sampled_from(["ban", "earlier", "end", "wait"]), networks), max_size=40)


@given(steps, st.integers(1, 60), st.integers(1, 10), st.integers(1, 1 << 17))
def test_a_quota_never_admits_more_than_its_limits(
    found: list[tuple[str, Network]], a_minute: int, most: int, covered: int
) -> None:
    time, admitted = [0.0], 0
    quota = PeerQuota(a_minute, most, covered, lambda: time[0])
    standing: list[Network] = []
    for step, network in found:
        if step == "wait":
            time[0] += 1.0
        elif step == "end" and standing:
            quota.release(standing.pop())
        elif step in ("ban", "earlier") and quota.admit(network, at_once=step == "earlier"):
            standing.append(network)
            admitted += step == "ban"
        assert quota.bans == len(standing) <= most
        assert quota.addresses == sum(map(addresses, standing)) <= covered
        assert admitted <= a_minute + time[0] * a_minute / 60 + 1e-6


texts = st.text(max_size=20).filter(lambda text: text.isprintable())
names = texts.filter(bool)
times = st.floats(0, 4e9) | st.integers(0, 4_000_000_000).map(float)
sent_stamps = st.builds(Stamp, st.integers(0, 1 << 45), st.integers(0, 9), st.just("mx2"))
any_shared = st.one_of(
    st.builds(SharedBan, networks, names, sent_stamps, st.none() | times, times,
              st.sampled_from(records.ORIGINS), texts, st.integers(0, 1 << 31), texts),
    st.builds(SharedAllowed, networks, sent_stamps, st.none() | times, texts, texts),
    st.builds(SharedLifting, st.builds(records.ban_key, networks, names), sent_stamps, texts),
    st.builds(SharedLifting, st.builds(records.allowed_key, networks), sent_stamps, texts),
    st.builds(SharedLogin, networks, texts, times),
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["b", "u", "a", "d", "g", "h", "1-1", "203.0.113.7", 10**400]),
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)  # fmt: skip


@given(st.lists(any_shared, max_size=5), sent_stamps, times)
def test_what_a_host_writes_another_one_reads(found: list[Any], stamp: Stamp, sent: float) -> None:
    written = BatchFormat("zmban", "mx2", SIGNER).written(stamp, sent, [one.record() for one in found])
    batch = FORMAT.read(written)
    assert (batch.host, batch.stamp, batch.sent) == ("mx2", stamp, sent)
    assert [records.read(record, "mx2") for record in batch.records] == found


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_batch(raw: bytes) -> None:
    with pytest.raises(BatchError):
        FORMAT.read(raw)


signed_fields = st.tuples(
    st.just(1), st.just("zmban"), st.text(), st.sampled_from(["1-1", "-5-1", "9" * 50 + "-1"]),
    st.sampled_from([1.0, 7, 10**400, float("inf"), float("nan"), True]), st.lists(anything, max_size=3),
)  # fmt: skip


@given(anything | st.lists(anything, min_size=6, max_size=6))
def test_whatever_is_signed_is_read_or_refused(fields: Any) -> None:
    _read_or_refused(fields)


@given(signed_fields)
def test_whatever_a_trusted_host_signs_is_read_or_refused_field_by_field(fields: Any) -> None:
    _read_or_refused(fields)


def _read_or_refused(fields: Any) -> None:
    text = json.dumps(fields).encode()
    signature = SIGNER.sign(text)
    with contextlib.suppress(BatchError):
        batch = FORMAT.read(bytes((len(signature),)) + signature + text)
        assert batch.host.isprintable() and 0 <= batch.sent < 1e12
        records.sign_of_life(batch.records)


record_like = st.sampled_from("buadgh").flatmap(
    lambda kind: st.lists(anything, max_size=10).map(lambda rest: [kind, *rest])
)


@given(anything | record_like)
def test_a_damaged_record_raises_nothing_but_what_is_caught(record: Any) -> None:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        records.read(record, "mx2")


@given(any_shared, st.data())
def test_a_record_with_one_damaged_field_raises_nothing_but_what_is_caught(one: Any, data: Any) -> None:
    record = one.record()
    record[data.draw(st.integers(0, len(record) - 1))] = data.draw(anything)
    read: Any = ()
    with contextlib.suppress(ValueError, TypeError, KeyError):
        read = records.read(record, "mx2") or ()
    # A text that SQLite refuses would end the service when it is committed.
    for field in read:
        str(field).encode()


def test_a_text_that_no_database_can_keep_is_escaped() -> None:
    login = records.read(["g", "203.0.113.7", "\ud800", 1.0], "mx2")
    assert isinstance(login, records.SharedLogin)
    assert login.account == "\\ud800"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://h", Place("one", False, (("h", 6379),))),
        ("rediss://h:7000/3", Place("one", True, (("h", 7000),), "", 3)),
        ("redis://[2001:db8::1]:7000", Place("one", False, (("2001:db8::1", 7000),))),
        ("redis+sentinel://a,b:1/mail", Place("sentinel", False, (("a", 26379), ("b", 1)), "mail")),
        ("rediss+cluster://a,b:7", Place("cluster", True, (("a", 6379), ("b", 7)))),
    ],
)
def test_a_place_is_read_from_its_url(url: str, place: Place) -> None:
    assert Place.parse(url) == place


@given(st.text() | st.text("redis+clutn:/@,[]?#0123456789.h", max_size=40).map("redis://".__add__))
def test_no_url_is_read_but_refused_with_a_sentence(url: str) -> None:
    with contextlib.suppress(ValueError):
        place = Place.parse(url)
        assert place.nodes and all(host and 0 < port < 65536 for host, port in place.nodes)


@pytest.mark.parametrize("url", ["redis://u:secret@h", "redis://secret@h/1", "redis+sentinel://u:secret@h/m"])
def test_a_refusal_never_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        Place.parse(url)
    assert "secret" not in str(caught.value)
