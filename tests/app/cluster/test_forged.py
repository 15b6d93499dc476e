"""What somebody who may write to Redis can do to the hosts without the key of one: nothing, and it shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.cluster.batches import MOST_BYTES, VERSION, BatchFormat
from sidecar.cluster.decision_records import HERE
from sidecar.cluster.host_keys import HostKeys, SharedSecret, new_key
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.cluster.shared_windows import SharedFailure
from sidecar.network import Network
from tests.app.cluster.scene import Scene, again, two_hosts
from tests.app.cluster.stranger import Stranger
from tests.app.running import until

pytestmark = pytest.mark.kernel
NO_TIMES: list[Any] = [None, "now", -1, 10**400, float("nan"), float("inf"), [], {}]
NO_STAMPS: list[Any] = [
    None, "", "1", "1-1-1", " 1-1", "1_0-0", "-1-1", "\u0661-1", f"{2**70}-0", 1, [], {},
]  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with two_hosts(tmp_path_factory.mktemp("forged")) as found:
        yield found


def test_batches_of_another_version_group_or_shape_have_no_effect(scene: Scene) -> None:
    rogue, now = scene.rogue(), time.time()
    records = rogue.bans("192.0.2.10")
    entry, name = rogue.clock.now().entry, rogue.name
    for sent in NO_TIMES:
        scene.say(rogue, rogue.signed(VERSION, "zmban", name, entry, sent, records))
    for stamp in NO_STAMPS:
        scene.say(rogue, rogue.signed(VERSION, "zmban", name, stamp, now, records))
    scene.say(rogue, rogue.signed(VERSION, "zmban", name, entry, now, records * 1001), b"", b"\0", b"\xff")
    scene.say(rogue, rogue.signed(VERSION, "zmban", name, entry, now, "x" * MOST_BYTES), rogue.signed(1, 2))
    scene.write(
        rogue,
        *(
            (stamp, rogue.signed(VERSION + 1, "zmban", name, stamp.entry, now, records))
            for stamp in stamps(rogue)
        ),
        *((stamp, rogue.form("other").written(stamp, now, records)) for stamp in stamps(rogue)),
    )
    scene.refused(rogue, version=1, group=1)
    for host in scene.hosts:
        until(lambda host=host: host.cluster()["refused"].get("malformed", 0) >= 20)  # type: ignore[misc]
    scene.goes_on()
    assert "192.0.2.10" not in scene.routes()


def stamps(rogue: Stranger) -> list[Stamp]:
    return [rogue.clock.now() for _ in range(2)]


def test_damaged_signs_of_life_have_no_effect(scene: Scene) -> None:
    rogue, now = scene.rogue(), time.time()
    for number, last in enumerate([*NO_STAMPS, f"{2**64 - 1}-{2**64 - 1}"]):
        scene.say(
            rogue,
            rogue.signed(VERSION, "zmban", rogue.name, "0-0", now + number, [[HERE, last, "\x1b\ud800"]]),
        )
    scene.say(rogue, rogue.signed(VERSION, "zmban", rogue.name, "0-0", now + 90, [[HERE, "", 7]]))
    for host in scene.hosts:
        until(lambda host=host: scene.peer(rogue, host).get("here"))  # type: ignore[misc]
    scene.goes_on()
    for host in scene.hosts:
        assert scene.peer(rogue, host)["version"].isprintable()


def test_nobody_bans_in_the_name_of_a_host_without_its_key(scene: Scene) -> None:
    forger = Stranger("mx1")
    scene.say(forger, *(batch for _, batch in forger.batches(forger.bans("192.0.2.20"))), b"\0[]")
    for host in scene.hosts:
        until(lambda host=host: host.cluster()["refused"].get("signature", 0) >= 1)  # type: ignore[misc]
        assert host.metric('zmban_cluster_refused_total{reason="signature"}') >= 1
    assert "192.0.2.20" not in scene.routes()
    scene.goes_on()


def test_a_host_that_is_not_trusted_bans_nothing(scene: Scene) -> None:
    stranger = Stranger("stranger")
    scene.tell(stranger, "192.0.2.30")
    for host in scene.hosts:
        until(lambda host=host: host.cluster()["refused"].get("unknown-host", 0) >= 1)  # type: ignore[misc]
    again(scene)
    scene.goes_on()
    assert "192.0.2.30" not in scene.routes()
    assert "stranger" not in {peer["host"] for peer in scene.hosts[0].cluster("peers")}


def test_a_batch_that_is_sent_again_bans_nothing_again(scene: Scene) -> None:
    rogue, (first, second) = scene.rogue(), scene.hosts
    told = list(rogue.batches(rogue.bans("192.0.2.40")))
    scene.write(rogue, *told)
    until(lambda: scene.banned("192.0.2.40"))
    first.ask("unban", "192.0.2.40")
    until(lambda: "192.0.2.40" not in scene.routes())
    scene.say(rogue, *(batch for _, batch in told))
    ((_, batch),) = told
    later = [rogue.clock.now() for _ in range(3)]
    scene.write(rogue, *((stamp, batch) for stamp in later))
    scene.tell(rogue, "192.0.2.41")
    scene.refused(rogue, stream=3)
    scene.write(scene.rogue(), (later[0], batch))
    again(scene)
    scene.goes_on()
    assert "192.0.2.40" not in scene.routes()
    assert second.cluster()["up"]


def test_a_host_whose_stream_somebody_else_wrote_into_goes_on(scene: Scene) -> None:
    rogue, victim = scene.rogue(), scene.hosts[0].name
    scene.tell(rogue, "192.0.2.50")
    now = time.time()
    for stamp in (Stamp(int(now * 1000) + 3_600_000, 0), Stamp(2**64 - 1, 2**64 - 1)):
        batch = rogue.form().written(stamp, now, rogue.bans("192.0.2.51"))
        scene.write(rogue, (stamp, batch), stream=victim)
        scene.goes_on()
        again(scene)
        scene.goes_on()
    assert "192.0.2.51" not in scene.routes()


def test_keys_that_hold_something_else_keep_no_host_away(scene: Scene) -> None:
    rogue, redis = scene.rogue(), scene.group.redis
    for key in (f"s:{rogue.name}", "s:mx1", "hosts", "w:smtp:192.0.2.60/32"):
        redis.cli("DEL", f"zmban:zmban:{key}")
        redis.cli("SET", f"zmban:zmban:{key}", "x")
    for host in scene.hosts:
        host.attack("192.0.2.60", 1)
    time.sleep(1.5)
    again(scene)
    scene.goes_on()
    scene.hosts[0].attack("192.0.2.61", 2)
    time.sleep(0.5)
    scene.hosts[1].attack("192.0.2.61", 1)
    until(lambda: scene.banned("192.0.2.61"))
    assert "192.0.2.60" not in scene.routes()


def test_times_in_the_list_of_hosts_that_are_none_are_not_shown(scene: Scene) -> None:
    rogue = scene.rogue()
    for score in ("+inf", "1e300"):
        scene.group.redis.cli("ZADD", "zmban:zmban:hosts", score, rogue.name)
        again(scene)
        assert scene.peer(rogue)["seen"] <= time.time()
    scene.group.redis.cli("ZADD", "zmban:zmban:hosts", "-inf", rogue.name)


def failures(network: str, times: int, ahead: float = 0.0) -> list[SharedFailure]:
    at = time.time() + ahead
    return [SharedFailure("smtp", Network.parse(network), at, 1, 3, 86400.0)] * times


def test_failures_that_nobody_known_signed_cause_no_ban_and_are_counted(scene: Scene) -> None:
    evil, (first, second) = "192.0.2.70", scene.hosts
    for forger in (Stranger("mx2"), Stranger("stranger"), Stranger("mx1", signer=SharedSecret("x" * 40))):
        with scene.group.switch.inside():
            forger.fail("10.90.0.1", *failures(evil, 6))
    first.attack(evil, 1)
    until(lambda: first.cluster()["forged"] >= 6)
    second.attack(evil, 1)
    time.sleep(1)
    assert evil not in scene.routes()
    assert first.metric('zmban_cluster_refused_total{reason="signature"}') >= 6
    first.attack(evil, 1)
    until(lambda: scene.banned(evil))


def test_a_failure_is_counted_in_its_window_only(scene: Scene) -> None:
    rogue, evil = scene.rogue(), "192.0.2.80"
    with scene.group.switch.inside():
        rogue.fail("10.90.0.1", *failures("192.0.2.81", 2))
    redis, window = scene.group.redis, "zmban:zmban:w:smtp:192.0.2."
    redis.cli("COPY", f"{window}81/32", f"{window}80/32", "REPLACE")
    before = scene.hosts[0].cluster()["forged"]
    scene.hosts[0].attack(evil, 1)
    until(lambda: scene.hosts[0].cluster()["forged"] == before + 2)
    assert evil not in scene.routes()


def test_a_secret_of_another_group_is_worth_nothing(scene: Scene) -> None:
    rogue, now = scene.rogue(), time.time()
    secret = SharedSecret("the secret of a whole other group of hosts")
    stamp = rogue.clock.now()
    for group, host in (("zmban", rogue.name), ("other", rogue.name), ("zmban", "mx2")):
        scene.say(rogue, BatchFormat(group, host, secret).written(stamp, now, rogue.bans("192.0.2.90")))
    other = BatchFormat("zmban", rogue.name, HostKeys(rogue.name, new_key()[0], {}))
    before = scene.hosts[0].cluster()["refused"].get("signature", 0)
    scene.say(rogue, other.written(stamp, now, rogue.bans("192.0.2.90")))
    until(lambda: scene.hosts[0].cluster()["refused"].get("signature", 0) > before)
    scene.goes_on()
    assert "192.0.2.90" not in scene.routes()
