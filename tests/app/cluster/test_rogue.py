"""What a host that was taken over can do to the others with its key: little, and it shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.cluster.batches import VERSION
from sidecar.cluster.decision_records import SharedAllowed, SharedLifting, SharedLogin, ban_key
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.network import Network
from tests.app.cluster.group import REDIS, Host
from tests.app.cluster.scene import Scene, again, two_hosts
from tests.app.cluster.stranger import Stranger
from tests.app.running import until

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with two_hosts(tmp_path_factory.mktemp("rogue")) as found:
        yield found


def lifting(one: Stranger, network: str, jail: str = "smtp") -> list[Any]:
    return SharedLifting(ban_key(Network.parse(network), jail), one.clock.now(), "").record()


def allowing(one: Stranger, network: str) -> list[Any]:
    return SharedAllowed(Network.parse(network), one.clock.now(), None, "told", "").record()


def test_what_a_host_protects_is_not_banned(scene: Scene) -> None:
    rogue = scene.rogue()
    for host in scene.hosts:
        host.ask("allow", "198.51.100.0/24", "--reason", "a test")
    before = scene.routes()
    scene.tell(rogue, "0.0.0.0/1", "::/1", REDIS, "198.51.100.7", "198.51.100.0/25", "127.0.0.1")
    scene.refused(rogue, **{"too-wide": 2, "gateway": 1})
    for host in scene.hosts:
        assert sum(scene.peer(rogue, host)["refused"].values()) == 6
        assert host.metric('zmban_cluster_refused_total{reason="too-wide"}') >= 2
    assert scene.routes() == before
    scene.goes_on()


def test_a_known_good_client_is_not_banned(scene: Scene) -> None:
    rogue, client = scene.rogue(), "192.0.2.44"
    at = time.strftime("%b %e %H:%M:%S")
    says = f"client=h[{client}], sasl_method=PLAIN, sasl_username=bob@example.com"
    with scene.hosts[0].running.log.open("a") as log:
        log.write(f"{at} mail postfix/smtps/smtpd[1]: E1988A367B: {says}\n")
    for host in scene.hosts:
        until(lambda host=host: "known-good" in str(host.ask("explain", client)))  # type: ignore[misc]
    scene.tell(rogue, client)
    scene.refused(rogue, **{"known-good": 1})
    assert client not in scene.routes()


def test_a_flood_of_bans_stops_at_the_quota(scene: Scene) -> None:
    rogue = scene.rogue()
    scene.tell(rogue, *(f"100.{64 + n // 256}.{n % 256}.1" for n in range(10_000)))
    scene.tell(rogue, *(f"100.{64 + n // 256}.{n % 256}.2" for n in range(10_000)))
    scene.goes_on()
    for host in scene.hosts:
        scene.refused(rogue, quota=19_400)
        peer = scene.peer(rogue, host)
        assert peer["bans"] <= 500 and peer["waiting"] <= 500
        assert any(rogue.name in doubt for doubt in host.ask("status")[0]["doubts"])
        assert sum(route.startswith("100.") for route in host.routes()) <= 500


def test_refused_bans_are_not_counted_for_the_quota(scene: Scene) -> None:
    rogue = scene.rogue()
    scene.tell(rogue, *(f"127.{n // 256}.{n % 256}.1" for n in range(3000)))
    scene.refused(rogue, reserved=3000)
    scene.tell(rogue, "192.0.2.99")
    until(lambda: scene.banned("192.0.2.99"))


def test_bans_lifted_in_masses_end_at_the_pace_of_the_quota(scene: Scene) -> None:
    rogue, first = scene.rogue(), scene.hosts[0]
    mine = [f"192.0.2.{n}" for n in range(100, 105)]
    first.ask("ban", *mine, "--reason", "a test")
    until(lambda: all(set(mine) <= host.routes() for host in scene.hosts))
    others = [f"100.{64 + n // 256}.{n % 256}.3" for n in range(5000)]
    scene.tell(rogue, records=[lifting(rogue, one) for one in others])
    scene.tell(rogue, records=[lifting(rogue, one) for one in mine])
    scene.refused(rogue, quota=4000)
    for host in scene.hosts:
        assert set(mine) <= host.routes() and scene.peer(rogue, host)["waiting"] <= 500
    scene.goes_on()


def test_lifting_a_wide_network_lifts_none_of_the_bans_inside(scene: Scene) -> None:
    rogue = scene.rogue()
    scene.hosts[0].ask("ban", "192.0.2.110", "--reason", "a test")
    until(lambda: scene.banned("192.0.2.110"))
    scene.tell(rogue, records=[lifting(rogue, "0.0.0.0/0"), lifting(rogue, "0.0.0.0/0", "manual")])
    scene.tell(rogue, "192.0.2.111")
    until(lambda: scene.banned("192.0.2.111"))
    assert scene.banned("192.0.2.110")


def test_the_whole_internet_is_not_allowed_neither_at_once_nor_in_pieces(scene: Scene) -> None:
    rogue = scene.rogue()
    whole = [allowing(rogue, "0.0.0.0/0"), allowing(rogue, "::/0")]
    pieces = [allowing(rogue, f"{100 + n // 256}.{n % 256}.0.0/16") for n in range(5000)]
    scene.tell(rogue, records=[*whole, *pieces])
    scene.refused(rogue, **{"too-wide": 2, "quota": 4000})
    scene.goes_on()


def test_stamps_at_the_end_of_the_scale_keep_no_host_from_deciding(scene: Scene) -> None:
    rogue, day = scene.rogue(), int(time.time() + 86_000) * 1000
    for number in (2**64 - 1, 2**64, 10**900, -1):
        record = rogue.bans("192.0.2.120")[0]
        record[3] = f"{day}-{number}"
        scene.tell(rogue, records=[record])
    scene.tell(rogue, "192.0.2.121")
    until(lambda: scene.banned("192.0.2.121"))
    scene.goes_on()


def test_a_stream_that_goes_to_the_end_of_the_scale_keeps_no_host_away(scene: Scene) -> None:
    rogue = scene.rogue()
    records = rogue.bans("192.0.2.130")
    form = rogue.form()
    for stamp in (Stamp(int(time.time() + 9 * 86_400) * 1000, 0), Stamp(2**64 - 1, 2**64 - 1)):
        scene.write(rogue, (stamp, form.written(stamp, time.time(), records)))
    beyond = Stamp(2**70, 0)
    scene.say(rogue, form.written(beyond, time.time(), records))
    scene.refused(rogue, clock=1)
    again(scene)
    scene.goes_on()
    assert "192.0.2.130" not in scene.routes()


def test_text_that_cannot_be_stored_or_shown_is_stored_readably(scene: Scene) -> None:
    rogue = scene.rogue()
    record, stamp = rogue.bans("192.0.2.140")[0], rogue.clock.now()
    record[7], record[9] = "\x1b[2J\n\udc80", "\ud800\r"
    login = SharedLogin(Network.parse("192.0.2.141"), "\udfff", time.time()).record()
    batch = rogue.signed(VERSION, "zmban", rogue.name, stamp.entry, time.time(), [record, login])
    scene.write(rogue, (stamp, batch))
    until(lambda: scene.banned("192.0.2.140"))
    for host in scene.hosts:
        (shown,) = host.ask("bans", "--contains", "192.0.2.140")
        assert shown["reason"].isprintable() and shown["by"].isprintable()
    scene.goes_on()
    for host in scene.hosts:
        restart(host)
        until(lambda host=host: "192.0.2.140" in host.routes())  # type: ignore[misc]
    scene.group.connected()


def restart(host: Host) -> None:
    host.kill()
    host.start()


def test_a_host_that_is_no_longer_trusted_bans_nothing_more(scene: Scene) -> None:
    rogue = scene.rogue()
    waiting = [f"100.120.{n // 256}.{n % 256}" for n in range(450)]
    scene.tell(rogue, "192.0.2.150", *waiting)
    until(
        lambda: scene.banned("192.0.2.150") and all(scene.peer(rogue, one)["waiting"] for one in scene.hosts)
    )
    scene.distrust(rogue)
    for host in scene.hosts:
        until(lambda host=host: scene.unknown(rogue, host))  # type: ignore[misc]
        assert "bans" not in scene.peer(rogue, host)
    before = scene.routes()
    scene.tell(rogue, "192.0.2.152")
    time.sleep(2)
    assert scene.routes() == before
    scene.goes_on()
