"""Every ban backend keeps the same contract: what is wanted is present, nothing else, and nothing twice."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.proof import CANARY
from sidecar.bans.table import BanTable
from sidecar.kernel import registry
from sidecar.kernel.backend import BanBackend, Count, Difference, Entries, Entry, EntryFault
from sidecar.kernel.plan import count, difference
from sidecar.model import Ban, Batch
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.settings import KernelSettings
from sidecar.settings.schema import Backend
from tests.kernel.entries import put, reconcile, standing
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT
FOUR, SIX = Network.parse("203.0.113.7"), Network.parse("2001:db8:1::/64")
WIDE, KEPT = Network.parse("198.51.100.0/24"), Network.parse("198.51.100.9")
WANTED = {FOUR: BAN, SIX: BAN, WIDE: BAN, KEPT: EXEMPT}


class Firewall(BanBackend):
    """A third backend, made up: packets are held against a dictionary."""

    versions = (4, 6)
    can_exempt = True

    def __init__(self, _: KernelSettings) -> None:
        self.entries: dict[Network, Entry] = {}
        self.hooked = False

    def can_write(self) -> bool:
        return True

    def present(self) -> dict[Network, Entry]:
        return dict(self.entries)

    def differs(self, wanted: Entries) -> Difference:
        return difference(wanted, self.entries)

    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        taken = [network for network in networks if network in self.entries]
        self.entries |= {network: entry for network in networks if network not in taken}
        return dict.fromkeys(taken, errno.EEXIST)

    def erase(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        absent = [network for network in networks if self.entries.get(network) is not entry]
        for network in set(networks).difference(absent):
            del self.entries[network]
        return dict.fromkeys(absent, errno.ESRCH)

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        self.entries[network] = entry

    def remove(self, network: Network) -> None:
        self.entries.pop(network, None)

    def fault(self, network: Network, entry: Entry, code: int) -> EntryFault:
        return EntryFault(network, entry, code, f"drop from {network}: errno {code}")

    def attach(self) -> tuple[int, ...]:
        before, self.hooked = self.hooked, True
        return () if before else self.versions

    def detached(self) -> Mapping[int, str]:
        return {} if self.hooked else dict.fromkeys(self.versions, "the hook is missing")

    def lets_through(self, network: Network) -> str | None:
        return None if self.refuses(network) else ""

    def refuses(self, network: Network) -> bool:
        around = [one for one in self.entries if one.covers(network)] if self.hooked else []
        return bool(around) and self.entries[max(around, key=lambda one: one.length)] is BAN

    def flush(self, bans: Sequence[Network] = (), *, everywhere: bool = True) -> int:
        removed, self.entries, self.hooked = len(self.entries), {}, False
        return removed

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKENDS, "firewall", Firewall)


@pytest.fixture(params=[*registry.BACKENDS, "firewall"])
def backend(request: pytest.FixtureRequest, host: Namespace) -> Iterator[BanBackend]:
    """Each of the table, on a host with a way out."""
    host.wire("mail0", "192.0.2.1/24", "2001:db8:f::1/64")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    host.ip("-6", "route", "add", "default", "via", "2001:db8:f::2")
    with contextlib.closing(registry.make(KernelSettings(), request.param)) as made:
        yield made


def test_the_settings_know_the_names_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry.BACKENDS, "firewall")
    assert set(get_args(Backend)) == registry.BACKENDS.keys()


def test_an_empty_backend_has_nothing(backend: BanBackend) -> None:
    assert backend.present() == {}
    assert backend.detached().keys() == {4, 6}
    assert count(backend.present()) == {4: Count(), 6: Count()}
    assert backend.versions == (4, 6) and backend.can_exempt and backend.can_write()


def test_a_difference_says_what_is_missing_and_what_is_too_much(backend: BanBackend) -> None:
    assert backend.differs(WANTED) == Difference(WANTED, {})
    assert put(backend, WANTED) == {}
    assert backend.present() == WANTED
    assert not backend.differs(WANTED)
    assert backend.differs({FOUR: BAN}) == Difference({}, {SIX: BAN, WIDE: BAN, KEPT: EXEMPT})
    assert put(backend, {FOUR: BAN}) == {}
    assert backend.present() == {FOUR: BAN}


def test_a_network_whose_entry_changes_has_one_afterwards(backend: BanBackend) -> None:
    put(backend, {WIDE: BAN, SIX: EXEMPT})
    turned = Difference({WIDE: EXEMPT, SIX: BAN}, {WIDE: BAN, SIX: EXEMPT})
    assert backend.differs({WIDE: EXEMPT, SIX: BAN}) == turned
    assert put(backend, {WIDE: EXEMPT, SIX: BAN}) == {}
    assert backend.present() == {WIDE: EXEMPT, SIX: BAN}


def test_a_reconcile_of_the_service_brings_what_is_wanted_and_the_canary(backend: BanBackend) -> None:
    assert reconcile(backend, WANTED).written == 5
    assert (standing(backend), backend.present().get(CANARY)) == (WANTED, BAN)
    assert reconcile(backend, {FOUR: BAN}).faults == ()
    assert standing(backend) == {FOUR: BAN}


def test_a_single_ban_and_unban_may_be_repeated(backend: BanBackend) -> None:
    for network in (FOUR, SIX):
        for entry in (BAN, BAN, EXEMPT, EXEMPT, BAN):
            backend.add(network, entry)
            assert backend.present().get(network) is entry
        backend.remove(network)
        backend.remove(network)
        assert backend.present().get(network) is None
    assert backend.present() == {}


def test_a_write_says_what_was_there_already(backend: BanBackend) -> None:
    assert backend.write(BAN, [FOUR, SIX]) == {}
    assert backend.write(BAN, [FOUR, SIX, WIDE]) == {FOUR: errno.EEXIST, SIX: errno.EEXIST}
    assert backend.write(EXEMPT, [FOUR, SIX]) == {FOUR: errno.EEXIST, SIX: errno.EEXIST}
    assert backend.erase(BAN, [FOUR, KEPT, SIX]) == {KEPT: errno.ESRCH}
    assert backend.erase(EXEMPT, [WIDE]) == {WIDE: errno.ESRCH}
    assert backend.present() == {WIDE: BAN}


def test_an_entry_is_for_exactly_its_network(backend: BanBackend) -> None:
    backend.add(WIDE)
    assert backend.present().get(WIDE) is BAN
    assert backend.present().get(KEPT) is None


def test_a_fault_names_the_network(backend: BanBackend) -> None:
    for code in (0, errno.EEXIST, errno.ENOMEM):
        fault = backend.fault(FOUR, BAN, code)
        assert (fault.network, fault.entry, fault.code) == (FOUR, BAN, code)
        assert str(FOUR) in str(fault)


def test_packets_are_made_to_consult_the_list_once(backend: BanBackend) -> None:
    assert backend.attach() == (4, 6)
    assert backend.attach() == ()
    assert backend.detached() == {}


def test_banned_networks_are_refused_and_no_others(backend: BanBackend) -> None:
    if not backend.enforces:
        pytest.skip("nothing is refused in a dry run")
    put(backend, WANTED)
    inside = Network.parse("198.51.100.10"), Network.parse("2001:db8:1::1")
    assert [backend.lets_through(network) for network in inside] == ["", ""]
    backend.attach()
    assert [backend.lets_through(network) for network in (FOUR, *inside)] == [None, None, None]
    assert all(map(backend.refuses, (FOUR, *inside)))
    assert backend.lets_through(KEPT) == ""
    assert not backend.refuses(KEPT)


def test_what_drops_incoming_packets_can_be_asked_for_twice(backend: BanBackend) -> None:
    assert backend.ensure_ingress() == 0
    assert backend.ensure_ingress() == 0
    assert backend.dropped() == 0
    assert {way.interface for way in backend.ways()} <= {"mail0"}


def test_changes_of_our_own_are_not_announced(backend: BanBackend) -> None:
    changes = backend.changes()
    if changes is None:
        pytest.skip("no announcements")
    with contextlib.closing(changes):
        assert changes.filenos()
        backend.attach()
        put(backend, WANTED)
        backend.remove(FOUR)
        heard = changes.read()
        assert (heard.entries, heard.attachment, heard.lost) == ({}, False, False)


@pytest.mark.parametrize("everywhere", [True, False])
def test_flush_leaves_nothing(backend: BanBackend, everywhere: bool) -> None:
    backend.attach()
    backend.ensure_ingress()
    put(backend, WANTED)
    assert backend.flush(everywhere=everywhere) == (len(WANTED) if backend.enforces else 0)
    assert backend.present() == {}
    assert backend.detached().keys() == {4, 6}
    assert backend.flush(everywhere=everywhere) == 0


def test_counts_say_entries_and_refused_addresses(backend: BanBackend) -> None:
    put(backend, WANTED)
    assert count(backend.present()) == {4: Count(3, 1, 1 + 255), 6: Count(1, 0, 2**64)}


def test_everything_can_be_banned_and_flushed(backend: BanBackend) -> None:
    everything = {Network(4, 0, 0): BAN, Network(6, 0, 0): BAN}
    put(backend, everything)
    assert backend.present() == everything
    backend.flush()
    assert backend.present() == {}


async def test_a_backend_of_ones_own_in_the_table_carries_the_bans_of_the_service(tmp_path: Path) -> None:
    settings = KernelSettings().model_copy(update={"backend": "firewall"})
    backend, table = registry.make(settings), BanTable()
    background = BackgroundTasks()
    enforcer = Enforcer(backend, table, tmp_path, lambda hook: hook(), background, Metrics())
    assert not enforcer.dry
    await enforcer.reconcile()
    ban = Ban(FOUR, "smtp", 1.0, None, "log")
    table.ban(ban)
    enforcer.handle(Batch((ban,)))
    assert backend.refuses(FOUR)
    status = await enforcer.check()
    assert (status.missing, status.counts[4]) == ((), Count(1, 0, 1))
    backend.flush()
    assert backend.lets_through(FOUR) == ""
    await enforcer.check()
    assert backend.present() == {FOUR: BAN, CANARY: BAN}
    assert enforcer.suspend() == 2
    assert backend.present() == {}
    enforcer.close(flush=False)
