"""A host without IPv6, or a container without NET_ADMIN, is told apart and never half written."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.kernel.backend import Entry, NoNetAdmin
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.model import KernelError
from sidecar.network import Network
from tests.kernel.conftest import notifications
from tests.kernel.entries import put, reconcile, standing
from tests.netns import program

if TYPE_CHECKING:
    from tests.netns import Namespace

pytestmark = pytest.mark.kernel

BAN = Entry.BAN
FOUR, SIX = Network.parse("203.0.113.7"), Network.parse("2001:db8:1::/64")


@pytest.fixture
def table(host: Namespace) -> Iterator[RoutingTable]:
    with contextlib.closing(RoutingTable()) as made:
        yield made


def test_a_host_without_ipv6_enforces_ipv4_and_says_so(host: Namespace, tmp_path: Path) -> None:
    with contextlib.closing(RoutingTable(ipv6=tmp_path / "missing")) as table:
        assert table.versions == (4,)
        assert table.ensure_rules() == (4,)
        assert table.rules_missing() == ()
        assert (made := reconcile(table, {FOUR: BAN, SIX: BAN})).faults == () and made.written == 2
        table.add(SIX)
        table.remove(SIX)
        assert SIX not in table.present()
        assert standing(table) == {FOUR: BAN}
        assert table.flush() == 2
    assert host.ip("-6", "route", "show", "table", "all", "proto", "222") == ""


def test_interfaces_with_ipv6_switched_off_are_no_fault(host: Namespace, table: RoutingTable) -> None:
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    assert table.ensure_rules() == (4, 6)
    assert put(table, {SIX: BAN}) == {}
    assert table.flush() == 1


WITHOUT_NET_ADMIN = """
from sidecar.kernel.backend import NoNetAdmin
from sidecar.kernel.backend import Entry
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
table, network = RoutingTable(), Network.parse("203.0.113.8")
assert not table.can_write()
assert table.present() == {Network.parse("203.0.113.7"): Entry.BAN}
assert table.rules_missing() == ()
for write in (
    lambda: table.add(network),
    lambda: table.remove(network),
    lambda: table.write(Entry.BAN, [network]),
    lambda: table.erase(Entry.BAN, [network]),
    lambda: table.flush(),
):
    try:
        write()
    except NoNetAdmin as fault:
        assert "cap_add: [NET_ADMIN]" in str(fault)
    else:
        raise AssertionError("written without NET_ADMIN")
"""


def test_without_net_admin_the_compose_line_is_named_and_reading_works(
    host: Namespace, table: RoutingTable
) -> None:
    table.add(FOUR)
    table.ensure_rules()
    setpriv = program("setpriv", "util-linux")
    bare = [setpriv, "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c"]
    done = subprocess.run([*bare, WITHOUT_NET_ADMIN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert table.present() == {FOUR: BAN}
    assert issubclass(NoNetAdmin, KernelError)


def test_the_probe_for_net_admin_changes_nothing(host: Namespace, table: RoutingTable) -> None:
    put(table, {FOUR: BAN})
    with notifications() as changes:
        assert table.can_write()
        assert changes() == 0
