"""Changes of other programs to our routes and rules are reverted; foreign routes are left alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from tests.app.running import Running, in_process, service, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace, program, run

pytestmark = pytest.mark.kernel


@contextlib.contextmanager
def settled(host: Namespace, root: Path) -> Iterator[Running]:
    """A service after its first full reconcile, which removes unknown routes without counting drift."""
    with service(root) as running:
        # With a new database, it would adopt the routes that it finds.
        running.stop()
        host.ip("route", "add", "blackhole", "198.51.100.66", "table", "2520", "proto", "222")
        running.start()
        until(lambda: "198.51.100.66" not in blackholes(host))
        yield running


def test_a_route_that_somebody_removes_is_back_and_counted(host: Namespace, tmp_path: Path) -> None:
    with settled(host, tmp_path) as running:
        running.attack(EVIL)
        running.attack("2001:db8:7::7")
        until(lambda: blackholes(host) == {EVIL, "2001:db8:7::/64"})
        assert running.metric('zmban_kernel_drift_total{kind="route"}') == 0
        host.ip("route", "del", "blackhole", EVIL, "table", "2520")
        host.ip("-6", "route", "del", "blackhole", "2001:db8:7::/64", "table", "2520")
        host.ip("route", "del", "blackhole", CANARY.address, "table", "2520")
        until(lambda: blackholes(host) == {EVIL, "2001:db8:7::/64"})
        until(lambda: f"blackhole {CANARY.address} proto 222" in host.routes("2520"))
        until(lambda: running.metric('zmban_kernel_drift_total{kind="route"}') == 3)


def test_a_rule_that_somebody_removes_is_back_and_counted(host: Namespace, tmp_path: Path) -> None:
    with settled(host, tmp_path) as running:
        for family in ("-4", "-6"):
            host.ip(family, "rule", "del", "pref", "252")
            until(lambda family=family: "lookup 2520" in host.ip(family, "rule"))  # type: ignore[misc]
        until(lambda: running.metric('zmban_kernel_drift_total{kind="rule"}') == 2)


def test_a_table_that_somebody_flushes_is_whole_again(host: Namespace, tmp_path: Path) -> None:
    with settled(host, tmp_path) as running:
        many = {f"198.51.{n // 250}.{n % 250}" for n in range(3000)}
        lines = tmp_path / "list"
        lines.write_text("\n".join(sorted(many)))
        running.ask("import", str(lines))
        until(lambda: blackholes(host) == many)
        host.ip("route", "flush", "table", "2520")
        until(lambda: blackholes(host) == many)
        until(lambda: (running.metric('zmban_kernel_drift_total{kind="route"}') or 0) >= 3000)


def test_a_protected_network_that_somebody_unprotects_is_protected_again(
    host: Namespace, tmp_path: Path
) -> None:
    with settled(host, tmp_path) as running:
        running.ask("allow", "203.0.113.50", "--reason", "x")
        throw = "throw 203.0.113.50 proto 222"
        until(lambda: throw in host.routes("2520"))
        host.ip("route", "del", "throw", "203.0.113.50", "table", "2520")
        until(lambda: throw in host.routes("2520"))
        # Another program replaces it by its opposite, faster than it is restored.
        turned = tmp_path / "turned"
        where = "203.0.113.50 table 2520 proto 222\n"
        turned.write_text(f"route del throw {where}route add blackhole {where}", encoding="utf-8")
        host.ip("-batch", str(turned))
        until(lambda: throw in host.routes("2520"))
        assert "203.0.113.50" not in blackholes(host)


def test_our_own_unbans_are_no_drift_and_what_others_put_beside_ours_stays(
    host: Namespace, tmp_path: Path
) -> None:
    with settled(host, tmp_path) as running:
        running.attack(EVIL)
        running.attack(OTHER)
        until(lambda: blackholes(host) == {EVIL, OTHER})
        host.ip("route", "add", "unreachable", "198.51.100.99", "table", "2520", "proto", "201")
        running.ask("unban", EVIL)
        until(lambda: blackholes(host) == {OTHER})
        # A route of our protocol without a ban is no ban.
        host.ip("route", "add", "blackhole", "198.51.100.98", "table", "2520", "proto", "222")
        until(lambda: running.metric('zmban_kernel_drift_total{kind="route"}') == 1)
        assert blackholes(host) == {OTHER}
        assert "unreachable 198.51.100.99 proto 201" in host.routes("2520")


def test_after_a_flush_nothing_comes_back_by_itself(host: Namespace, tmp_path: Path) -> None:
    with settled(host, tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        assert zmban("flush", "--socket", running.socket).returncode == 0
        assert not host.routes("2520")
        host.ip("route", "add", "blackhole", "198.51.100.98", "table", "2520", "proto", "222")
        host.ip("route", "del", "blackhole", "198.51.100.98", "table", "2520", "proto", "222")
        assert zmban("resume", "--socket", running.socket).returncode == 0
        until(lambda: blackholes(host) == {EVIL})
        assert running.metric('zmban_kernel_drift_total{kind="route"}') == 0


def test_a_network_that_comes_up_is_kept_reachable(host: Namespace, tmp_path: Path) -> None:
    with settled(host, tmp_path):
        host.wire("mail0", "10.77.0.5/24")
        until(lambda: "throw 10.77.0.0/24 proto 222" in host.routes("2520"))
        host.ip("route", "add", "default", "via", "10.77.0.1")
        until(lambda: "throw 10.77.0.1 proto 222" in host.routes("2520"))


async def test_only_what_was_ours_is_drift_when_all_is_looked_at(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:

        def counted(kind: str) -> float:
            return float(one.metrics.drift.labels(kind)._value.get())

        # A foreign rule lets banned clients in, and the host has one more network: nothing of ours was
        # removed.
        host.wire("mail0", "192.0.2.1/24")
        host.ip("route", "add", "default", "via", "192.0.2.2")
        host.ip("rule", "add", "pref", "99", "table", "main")
        assert any("rule" in reason for reason in (await one.verifier.verify()).missing)
        await one.drift.check()
        assert (counted("rule"), counted("route")) == (0, 0)
        host.ip("rule", "del", "pref", "252")
        host.ip("route", "del", "blackhole", CANARY.address, "table", "2520")
        await one.drift.check()
        assert (counted("rule"), counted("route")) == (1, 1)


def test_an_ingress_rule_that_somebody_removes_is_back_and_counted(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "192.0.2.1/24", "2001:db8:f::1/64")
    host.ip("-6", "route", "add", "default", "via", "2001:db8:f::2")
    nft = program("nft", "nftables")

    def stands() -> bool:
        return 'iif "mail0" ip6 saddr' in run(nft, "list", "ruleset")

    with settled(host, tmp_path) as running:
        until(stands)
        run(nft, "flush", "ruleset")
        until(stands)
        until(lambda: running.metric('zmban_kernel_drift_total{kind="ingress"}') == 1)
        assert running.ask("status")[0]["ingress"] == [{"interface": "mail0", "version": 6, "how": "rule"}]
        assert zmban("flush", "--socket", running.socket).returncode == 0
        assert not stands()
        assert zmban("resume", "--socket", running.socket).returncode == 0
        assert stands()
        host.ip("-6", "route", "del", "default")
        until(lambda: not stands())
        assert running.metric('zmban_kernel_drift_total{kind="ingress"}') == 1


def test_an_interface_that_goes_down_and_comes_back_costs_no_ban(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "192.0.2.1/24")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: f"{EVIL}/32" in running.banned())
        host.ip("link", "set", "mail0", "down")
        until(lambda: running.ask("status")[0]["ingress"] == [])
        assert f"{EVIL}/32" in running.banned()
        host.ip("link", "set", "mail0", "up")
        host.ip("route", "add", "default", "via", "192.0.2.2")
        until(lambda: [way["interface"] for way in running.ask("status")[0]["ingress"]] == ["mail0"])
        until(lambda: running.metric("zmban_enforced") == 1)
        assert f"{EVIL}/32" in running.banned()
        assert running.metric('zmban_kernel_drift_total{kind="route"}') == 0
