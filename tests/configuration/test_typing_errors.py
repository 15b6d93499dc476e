"""A mistake in the configuration: active bans stay, the rest runs on, and every fault is reported."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sidecar.configuration import loading
from tests.app.running import LISTEN, Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

BROKEN = {
    "a jail whose only filter is gone": "[smtp]\nenabled = true\nfilter = gone\nlogpath = /x.log\n",
    "no header": "enabled = true\n",
    "nothing": "",
    "binary": "\0\0\n",
}


def banned_once(running: Running, host: Namespace) -> None:
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    assert running.stop() == 0


@pytest.mark.parametrize("kind", BROKEN)
def test_without_any_jail_the_bans_stay_and_readyz_gives_the_reason(
    host: Namespace, tmp_path: Path, kind: str
) -> None:
    with service(tmp_path) as running:
        banned_once(running, host)
        # As after a reboot.
        host.ip("route", "flush", "table", "2520")
        (tmp_path / "config/jail.d/test.conf").write_text(BROKEN[kind], encoding="utf-8")
        running.launch()
        until(lambda: EVIL in blackholes(host))
        code, text = until(lambda: (found := running.get("/readyz"))[0] and found)
        assert code == 503
        assert "no jail is enabled" in text or "jail smtp cannot run: " in text
        assert running.banned() == {f"{EVIL}/32"}
        stopped = 1.0 if "cannot run" in text else 0.0
        assert running.metric('zmban_jails{state="stopped"}') == stopped
        assert running.metric('zmban_jails{state="running"}') == 0
        assert running.stop() == 0
        assert EVIL in blackholes(host)


def test_each_fault_is_reported_once_and_the_jails_run(host: Namespace, tmp_path: Path) -> None:
    others = "".join(
        f"[more{n}]\nenabled = true\nfilter = zimbra-smtp\nlogpath = {tmp_path}/logs/zimbra.log\n"
        for n in range(3)
    )
    text = "[DEFAULT]\nignoreip = 192.0.2.300\n"
    with service(tmp_path, others, settings="[kernel]\ntable = 255\n[good]\nbad line\n") as running:
        running.stop()
        (tmp_path / "config/jail.local").write_text(text, encoding="utf-8")
        running.start("--dry-run")
        (status,) = running.ask("status")
        assert status["jails_degraded"] == ["more0", "more1", "more2", "smtp"]
        assert status["jails_stopped"] == []
        assert len(status["faults"]) == 3
        assert running.metric("zmban_config_faults") == 3
        assert running.metric('zmban_jails{state="degraded"}') == 4
        assert running.metric("zmban_config_last_reload_successful") == 0
        assert running.said().count("192.0.2.300") == 1
        assert running.get("/readyz")[0] == 200


def test_a_missing_configuration_directory_stops_nothing(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        banned_once(running, host)
        host.ip("route", "flush", "table", "2520")
        (tmp_path / "config").rename(tmp_path / "moved")
        running.launch()
        until(lambda: EVIL in blackholes(host))
        assert "no such configuration directory" in running.said()


def test_an_address_in_use_only_delays_the_http_server_until_it_is_free(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path) as running:
        assert running.stop() == 0
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            address, _, port = LISTEN.rpartition(":")
            taken.bind((address, int(port)))
            taken.listen()
            running.launch()
            until(lambda: "cannot listen on" in running.said())
            running.attack(EVIL)
            until(lambda: EVIL in blackholes(host))
            (status,) = running.ask("status")
            assert [f"[serve] cannot listen on {LISTEN}" in told for told in status["faults"]] == [True]
        until(lambda: running.get("/healthz")[0] == 200)
        assert running.ask("status")[0]["faults"] == []


def test_the_hosts_of_an_invalid_trust_entry_are_not_banned(host: Namespace, tmp_path: Path) -> None:
    settings = '[trust]\nnodes = ["45.0.0.7/33"]\nadmin = ["45.0.0.8"]\nwhat 45.0.0.9\n'
    with service(tmp_path, settings=settings) as running:
        for number in (7, 8, 9, 10):
            running.attack(f"45.0.0.{number}", times=5)
        until(lambda: "45.0.0.10" in blackholes(host))
        assert blackholes(host) == {"45.0.0.10"}


def test_an_error_while_loading_stops_neither_bans_nor_service(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr(loading, "load", broken)
    found = loading.load_or_empty([str(tmp_path)])
    assert (found.errors, found.jails.jails) == (1, {})
    assert "a fault of its own" in str(found.faults[0])
