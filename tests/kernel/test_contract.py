"""Every ban backend keeps the same contract: what was wanted stands, nothing else, and nothing twice."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import pytest

from sidecar.kernel.dryrun import DryRunTable
from sidecar.kernel.plan import Applied, BanBackend, Count, count
from sidecar.kernel.routes import RouteKind, RoutingTable
from sidecar.network import Network

pytestmark = pytest.mark.kernel

BLACKHOLE, THROW = RouteKind.BLACKHOLE, RouteKind.THROW
FOUR, SIX = Network.parse("203.0.113.7"), Network.parse("2001:db8:1::/64")
WIDE, KEPT = Network.parse("198.51.100.0/24"), Network.parse("198.51.100.9")
WANTED = {FOUR: BLACKHOLE, SIX: BLACKHOLE, WIDE: BLACKHOLE, KEPT: THROW}


@pytest.fixture(params=["routes", "dryrun"])
def backend(request: pytest.FixtureRequest) -> Iterator[BanBackend]:
    made: BanBackend
    if request.param == "routes":
        request.getfixturevalue("host")
        made = RoutingTable()
    else:
        made = DryRunTable()
    with contextlib.closing(made):
        yield made


def test_an_empty_backend_has_nothing(backend: BanBackend) -> None:
    assert backend.present() == {}
    assert backend.rules_present() == ()
    assert count(backend.present()) == {4: Count(), 6: Count()}
    assert backend.versions == (4, 6) and backend.knows_throw and backend.can_write()


def test_reconcile_makes_present_what_is_wanted_and_says_what_it_did(backend: BanBackend) -> None:
    assert backend.reconcile(WANTED) == Applied(added=4, removed=0)
    assert backend.present() == WANTED
    assert backend.reconcile(WANTED) == Applied()
    assert backend.reconcile({FOUR: BLACKHOLE}) == Applied(added=0, removed=3)
    assert backend.present() == {FOUR: BLACKHOLE}


def test_a_prefix_that_changes_its_kind_has_one_route_afterwards(backend: BanBackend) -> None:
    backend.reconcile({WIDE: BLACKHOLE, SIX: THROW})
    assert backend.reconcile({WIDE: THROW, SIX: BLACKHOLE}) == Applied(added=2, removed=2)
    assert backend.present() == {WIDE: THROW, SIX: BLACKHOLE}


def test_a_single_ban_and_unban_may_be_repeated(backend: BanBackend) -> None:
    for network in (FOUR, SIX):
        for kind in (BLACKHOLE, BLACKHOLE, THROW, THROW, BLACKHOLE):
            backend.add(network, kind)
            assert backend.present().get(network) is kind
        backend.remove(network)
        backend.remove(network)
        assert backend.present().get(network) is None
    assert backend.present() == {}


def test_a_write_asks_and_does_in_one(backend: BanBackend) -> None:
    assert backend.write(BLACKHOLE, [FOUR, SIX]) == {}
    assert backend.write(BLACKHOLE, [FOUR, SIX, WIDE]) == {FOUR: errno.EEXIST, SIX: errno.EEXIST}
    assert backend.erase(BLACKHOLE, [FOUR, KEPT, SIX]) == {KEPT: errno.ESRCH}
    assert backend.erase(THROW, [WIDE]) == {WIDE: errno.ESRCH}
    assert backend.present() == {WIDE: BLACKHOLE}


def test_standing_asks_for_exactly_this_prefix(backend: BanBackend) -> None:
    backend.add(WIDE)
    assert backend.present().get(WIDE) is BLACKHOLE
    assert backend.present().get(KEPT) is None


def test_rules_are_added_where_they_are_missing(backend: BanBackend) -> None:
    assert backend.ensure_rules() == (4, 6)
    assert backend.ensure_rules() == ()
    assert backend.rules_present() == (4, 6)


def test_flush_leaves_no_route_and_no_rule(backend: BanBackend) -> None:
    backend.ensure_rules()
    backend.reconcile(WANTED)
    assert backend.flush() == Applied(added=0, removed=4)
    assert backend.present() == {}
    assert backend.rules_present() == ()
    assert backend.flush() == Applied()


def test_counts_say_routes_and_refused_addresses(backend: BanBackend) -> None:
    backend.reconcile(WANTED)
    assert count(backend.present()) == {4: Count(3, 1, 1 + 255), 6: Count(1, 0, 2**64)}


def test_a_default_route_can_be_banned_and_flushed(backend: BanBackend) -> None:
    everything = {Network(4, 0, 0): BLACKHOLE, Network(6, 0, 0): BLACKHOLE}
    backend.reconcile(everything)
    assert backend.present() == everything
    assert backend.flush().removed == 2
    assert backend.present() == {}
