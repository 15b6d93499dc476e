"""Allowing a network suspends the bans inside it, and ends none."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.kernel.backend import Entry
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import InProcess, Running, in_process, service, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

WHO, NEXT, SIX = (Network.parse(text) for text in ("203.0.113.7", "198.51.100.9", "2001:db8:7::/64"))
EVERYBODY = ["0.0.0.0/0", "::/0"]


@pytest.fixture
async def running(host: Namespace, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path) as one:
        bans = [Ban(WHO, "smtp", 1.0, None, "log"), Ban(NEXT, "smtp", 1.0, 500.0, "log")]
        bans += [Ban(SIX, "manual", 1.0, None, "manual")]
        one.ban(*bans)
        yield one


def refused(one: InProcess) -> set[Network]:
    present = one.present().items()
    return {n for n, kind in present if kind is Entry.BAN} & {WHO, NEXT, SIX}


def counted(one: InProcess, name: str, jail: str = "smtp") -> float:
    return one.metric(name, jail=jail)


@pytest.mark.parametrize("network", [*EVERYBODY, "203.0.0.0/15", "2001:db8::/31"])
async def test_what_is_wider_than_may_be_is_allowed_only_by_force_and_both_say_what_it_suspends(
    running: InProcess, network: str
) -> None:
    wide = Network.parse(network)
    inside = len([n for n in (WHO, NEXT, SIX) if wide.covers(n)])
    covers = {"addresses": wide.addresses, "bans": inside}
    (answer,) = await running.tell("allow", networks=[network], reason="x")
    assert answer == {"network": str(wide), "result": "refused", "reason": "too-wide", "covers": covers}
    assert refused(running) == {WHO, NEXT, SIX} and not list(running.parts.allow_list)
    (answer,) = await running.tell("allow", networks=[network], reason="x", force=True)
    assert answer == {"network": str(wide), "result": "allowed", "suspended": inside, "covers": covers}
    assert refused(running) == {n for n in (WHO, NEXT, SIX) if not wide.covers(n)}


async def test_what_is_no_more_allowed_is_enforced_again_and_nothing_was_ended(running: InProcess) -> None:
    before = sorted(running.table)
    await running.tell("allow", networks=EVERYBODY, reason="x", force=True)
    assert refused(running) == set()
    assert sorted(running.table) == before
    assert (counted(running, "bans_active"), counted(running, "bans_suspended")) == (0, 2)
    assert not (await running.verifier.verify()).missing
    page = await running.tell("bans")
    assert {(r["enforced"], r["suspended"]) for r in page["bans"]} == {(False, "allowed: x")}
    assert (await running.tell("explain", subject=str(WHO)))["verdict"] == "protected"
    assert (await running.tell("status"))["bans_suspended"] == 3
    first, second = await running.tell("disallow", networks=[EVERYBODY[0], EVERYBODY[0]])
    assert first == {
        "network": EVERYBODY[0], "result": "disallowed", "still_covered_by": [], "enforced": 2,
    }  # fmt: skip
    assert second == {"network": EVERYBODY[0], "result": "not-allowed", "still_covered_by": []}
    assert refused(running) == {WHO, NEXT}
    await running.tell("disallow", networks=EVERYBODY)
    assert refused(running) == {WHO, NEXT, SIX}
    assert counted(running, "bans_active") == 2 and counted(running, "unbans_total") == 0
    await running.drift.check()
    assert running.metric("kernel_drift_total", kind="route") == 0


async def test_as_long_as_one_of_two_that_are_allowed_stands_the_bans_inside_are_suspended(
    running: InProcess,
) -> None:
    await running.tell("allow", networks=["203.0.113.0/24", str(WHO)], reason="x")
    (answer,) = await running.tell("disallow", networks=[str(WHO)])
    assert answer["still_covered_by"] == ["203.0.113.0/24"] and answer["enforced"] == 0
    assert WHO not in refused(running)
    (never,) = await running.tell("disallow", networks=["203.0.113.8"])
    assert (never["result"], never["still_covered_by"]) == ("not-allowed", ["203.0.113.0/24"])
    await running.tell("disallow", networks=["203.0.113.0/24"])
    assert WHO in refused(running)


async def test_a_ban_comes_back_when_the_time_of_the_allowed_is_over_and_not_when_its_own_is(
    running: InProcess,
) -> None:
    ends = running.parts.expiry
    await running.tell("allow", networks=[str(WHO), str(NEXT)], reason="x", until=600.0)
    await ends.end(599.0)
    await running.settled()
    # One ended in the meantime, as it would have anyway.
    assert running.table.of(NEXT, "smtp") is None
    assert refused(running) == {SIX}
    (record,) = [r for r in (await running.tell("bans"))["bans"] if r["network"] == str(WHO)]
    assert record["suspended"] == "allowed until 1970-01-01 00:10:00Z: x"
    await ends.end(600.0)
    assert refused(running) == {WHO, SIX}


async def test_an_address_in_a_wider_ban_is_let_in_and_that_ban_goes_on(running: InProcess) -> None:
    wide = Network.parse("203.0.112.0/22")
    running.ban(Ban(wide, "manual", 1.0, None, "manual"))
    (answer,) = await running.tell("allow", networks=["203.0.113.99"], reason="x")
    assert answer["suspended"] == 0
    present = running.present()
    assert present[wide] is Entry.BAN
    assert present[Network.parse("203.0.113.99")] is Entry.EXEMPT


async def test_the_reasons_of_jails_that_ignore_a_network_rest_and_those_of_others_refuse_it(
    running: InProcess,
) -> None:
    running.ban(Ban(WHO, "manual", 1.0, None, "manual"))
    running.engine.ignore("smtp", [Network.parse("203.0.113.0/24"), NEXT])
    running.protection.apply()
    await running.enforcer.reconcile()
    assert refused(running) == {WHO, SIX}
    told = {
        (r["network"], r["jail"]): (r["enforced"], r["suspended"])
        for r in (await running.tell("bans"))["bans"]
    }
    assert told[str(NEXT), "smtp"] == (False, "ignored by smtp")
    assert told[str(WHO), "smtp"] == (False, "ignored by smtp")
    assert told[str(WHO), "manual"] == (True, None)
    running.engine.ignore("smtp", [])
    running.protection.apply()
    await running.enforcer.reconcile()
    assert refused(running) == {WHO, NEXT, SIX}


GROWS = "[grows]\nenabled=true\nfilter=zimbra-smtp\nmaxretry=2\nbantime=900\nbantime.increment=true\nlogpath="


def bans(running: Running, *arguments: str) -> list[dict[str, Any]]:
    return running.ask("bans", *arguments)


def test_what_was_allowed_over_a_restart_makes_no_later_ban_longer_or_shorter(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "logs/grows.log"
    with service(tmp_path, f"{GROWS}{log}\n") as one:
        one.attack(EVIL, log=log)
        until(lambda: blackholes(host) == {EVIL})
        one.ask("ban", OTHER, "--reason", "x")
        before = bans(one)
        refused_ = zmban("allow", "0.0.0.0/0", "--reason", "x", "--socket", one.socket)
        assert refused_.returncode == 65
        assert (
            "0.0.0.0/0: refused (too-wide): 4,294,967,296 addresses, 2 active bans; --force"
            in refused_.stderr
        )
        told = zmban("allow", "0.0.0.0/0", "--reason", "x", "--for", "1h", "--force", "--socket", one.socket)
        assert told.stdout.endswith("2 bans inside are suspended\n")
        assert "\nsuspended: 2, allowed until 2" in zmban("bans", "--socket", one.socket).stdout
        one.stop()
        assert [r["suspended"][:13] for r in bans(one, "--state", str(one.state))] == ["allowed until"] * 2
        one.start()
        assert not blackholes(host)
        until(lambda: one.metric('zmban_bans_suspended{jail="manual"}') == 1)
        one.ask("disallow", "0.0.0.0/0")
        assert blackholes(host) == {EVIL, OTHER}
        same = ("network", "since", "until", "count", "enforced", "suspended")
        assert [[r[key] for key in same] for r in bans(one)] == [[r[key] for key in same] for r in before]
        database = sqlite3.connect(one.state / "zmban.sqlite3")
        assert database.execute("SELECT count(*) FROM history").fetchone() == (0,)
        database.close()
