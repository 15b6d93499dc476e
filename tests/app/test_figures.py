"""Metrics: enforced bans, dry-run bans apart from them, and the state of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY, without_canary
from sidecar.kernel.backend import Count, Entry
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import InProcess, Running, in_process, service, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
AROUND = CANARY.supernet(24)


async def figure(one: InProcess, name: str, **labels: str) -> float:
    await one.verifier.verify()
    return one.metric(name, **labels)


@pytest.mark.parametrize(
    ("banned", "routes", "addresses"),
    [
        ((), 0, 0),
        ((Network.parse(EVIL),), 1, 1),
        ((AROUND,), 1, 256),
        ((AROUND, AROUND.supernet(16)), 2, 1 << 16),
        ((CANARY,), 1, 1),
    ],
    ids=["nobody", "one", "a network with the canary in it", "two of them", "the canary itself"],
)
async def test_the_canary_is_no_ban_in_the_figures_of_the_table(
    host: Namespace, tmp_path: Path, banned: tuple[Network, ...], routes: int, addresses: int
) -> None:
    async with in_process(tmp_path) as one:
        one.ban(*(Ban(network, "manual", 1.0, None, "manual") for network in banned))
        await one.enforcer.reconcile()
        assert await figure(one, "table_routes", family="ipv4") == routes
        assert await figure(one, "table_addresses", family="ipv4") == addresses
        assert await figure(one, "table_routes", family="ipv6") == 0


def test_under_a_throw_the_canary_refuses_one_address_more_than_the_bans() -> None:
    blackhole, throw = Entry.BAN, Entry.EXEMPT
    present = {AROUND: blackhole, CANARY.supernet(25): throw, CANARY: blackhole}
    counted = without_canary({4: Count(3, 1, 129), 6: Count()}, present)
    assert counted == {4: Count(2, 1, 128), 6: Count()}


def test_where_the_canary_is_missing_nothing_is_taken_off() -> None:
    counted = {4: Count(1, 0, 256), 6: Count()}
    assert without_canary(counted, {AROUND: Entry.BAN}) == counted


def dry_and_real(running: Running, jail: str) -> dict[str, float]:
    names = [f'bans_total{{jail="{jail}",origin="log"}}', f'bans_active{{jail="{jail}"}}']
    return {name: running.metric(f"zmban_{name}") for one in names for name in (one, f"dry_{one}")}


def test_bans_of_a_dry_run_are_in_no_figure_of_bans(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path, "", "--dry-run") as running:
        running.attack(EVIL)
        until(lambda: running.metric('zmban_dry_bans_active{jail="smtp"}') == 1)
        assert running.metric('zmban_dry_bans_total{jail="smtp",origin="log"}') == 1
        running.ask("ban", OTHER, "--reason", "x")
        running.ask("allow", EVIL, "--reason", "x")
        running.ask("unban", OTHER)
        text = running.get("/metrics")[1].splitlines()
        bans = [x for x in text if x.startswith(("zmban_bans_", "zmban_unbans_"))]
        assert len(bans) > 4 and [x for x in bans if not x.endswith(" 0.0")] == []
        assert running.metric('zmban_dry_bans_total{jail="manual",origin="manual"}') == 1
        told = running.ask("status")[0]
        assert (told["networks_banned"], told["dry_bans"]) == (0, 1)
        assert (
            "dry-run bans, recorded but not enforced: 1" in zmban("status", "--socket", running.socket).stdout
        )


def test_a_jail_on_trial_and_one_that_bans_are_counted_apart(host: Namespace, tmp_path: Path) -> None:
    trial = "[trial]\nenabled=true\nfilter=zimbra-smtp\nmaxretry=1\nzmban.dry_run=true\n"
    with service(tmp_path, f"{trial}logpath={tmp_path}/logs/trial.log\n") as running:
        running.attack(EVIL, log=tmp_path / "logs/trial.log")
        running.attack(OTHER)
        until(lambda: blackholes(host) == {OTHER})
        until(lambda: running.metric('zmban_dry_bans_active{jail="trial"}') == 1)
        assert list(dry_and_real(running, "trial").values()) == [0, 1, 0, 1]
        assert list(dry_and_real(running, "smtp").values()) == [1, 0, 1, 0]
        jails = {
            jail["jail"]: (jail["banned"], jail["dry_bans"]) for jail in running.ask("status")[0]["jails"]
        }
        assert jails == {"smtp": (1, 0), "trial": (0, 1)}


async def test_a_dry_ban_that_becomes_a_real_one_is_counted_as_one(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        who = Network.parse(EVIL)
        for dry in (True, False):
            one.ban(Ban(who, "smtp", 1.0, None, "log", dry=dry))
        assert await figure(one, "bans_active", jail="smtp") == 1
        assert await figure(one, "dry_bans_active", jail="smtp") == 0
        one.bus.publish(one.register.lift(who, 2.0, "manual"))
        assert await figure(one, "unbans_total", jail="smtp") == 1
        assert (await one.tell("status"))["networks_banned"] == 0


def test_ready_is_what_readyz_answers_and_a_flush_is_told_as_suspended(
    host: Namespace, tmp_path: Path
) -> None:
    def stands(running: Running) -> tuple[float, ...]:
        status = running.get("/readyz")[0]
        assert running.metric("zmban_ready") == (status == 200)
        return tuple(
            running.metric(f"zmban_{name}") for name in ("ready", "suspended", "dry_run", "enforced")
        )

    with service(tmp_path) as running:
        assert stands(running) == (1, 0, 0, 1)
        places = ["--socket", str(running.socket), "--state", str(running.state)]
        assert zmban("flush", *places).returncode == 0
        assert stands(running) == (0, 1, 0, 0)
        assert zmban("resume", "--socket", running.socket).returncode == 0
        assert stands(running) == (1, 0, 0, 1)
        running.stop()
        running.start("--dry-run")
        assert stands(running) == (1, 0, 1, 0)
