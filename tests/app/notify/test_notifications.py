"""The whole service tells of events: over a restart, by commands, and without holding up a ban."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.app.running import service, until
from tests.cli.running import zmban
from tests.delivery.servers import Hook, Post, answering, hook, post
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
WIDE = "203.0.113.0/24"


def settings(*urls: str, more: str = "") -> str:
    return f"[notify]\nwebhooks = {json.dumps(urls)}\n{more}"


def test_what_waits_survives_a_restart_and_is_sent_once(host: Namespace, tmp_path: Path) -> None:
    with (
        hook(Hook(answering(503, 200))) as target,
        service(tmp_path, settings=settings(target.url())) as running,
    ):
        running.ask("ban", WIDE, "--reason", "research")
        until(lambda: running.metric("zmban_notifications_waiting") == 1)
        # A message collects for a minute; after a restart it is due at once.
        assert running.stop() == 0
        assert target.bodies == []
        running.start()
        until(lambda: len(target.bodies) == 1)
        assert running.metric("zmban_notifications_waiting") == 1
        # The first answer was no: again after some seconds, also over a kill.
        running.stop(signal.SIGKILL)
        running.start()
        until(lambda: running.metric('zmban_notifications_total{result="sent",target="webhook"}') == 1)
        assert running.metric("zmban_notifications_waiting") == 0
        running.stop()
        running.start()
        running.ask("status")
        assert [body["items"][0]["network"] for body in target.bodies] == [WIDE, WIDE]
        assert target.bodies[0]["id"] == target.bodies[1]["id"]
        assert "SECRET" not in running.said()


def test_bans_go_on_while_every_target_hangs(host: Namespace, tmp_path: Path) -> None:
    hosts = [f"198.51.100.{number}" for number in range(1, 101)]
    hangs = Hook(lambda _: None)
    with hook(hangs), post(Post({"220": ""})) as server:
        more = f'mail_to = ["a@example.com"]\nsmtp = "smtp://127.0.0.1:{server.port}"\n'
        urls = [hangs.url(kind) for kind in ("", "slack", "matrix")]
        with service(tmp_path, settings=settings(*urls, more=more)) as running:
            running.ask("ban", WIDE, "--reason", "research")
            until(lambda: running.metric("zmban_notifications_waiting") == 1)
            running.stop()
            running.start()
            until(lambda: len(hangs.bodies) == 3)
            for one in hosts:
                running.attack(one)
            until(lambda: running.banned() >= {f"{one}/32" for one in hosts})
            assert running.metric("zmban_ban_latency_seconds_count") == len(hosts)
            assert running.metric("zmban_notifications_waiting") == 1, "the targets still hang"
            assert running.stop() == 0


def test_status_and_metrics_tell_of_a_target_that_fails_without_its_url(
    host: Namespace, tmp_path: Path
) -> None:
    with (
        hook(Hook(answering(404))) as target,
        service(tmp_path, settings=settings(target.url("slack"))) as running,
    ):
        done = zmban("notify", "--socket", running.socket)
        assert (done.returncode, done.stdout) == (69, "webhook 127.0.0.1: failed: HTTP 404 Not Found\n")
        running.ask("ban", WIDE, "--reason", "research")
        until(lambda: running.metric("zmban_notifications_waiting") == 1)
        running.stop()
        running.start()
        until(lambda: running.metric('zmban_notifications_total{result="refused",target="webhook"}') == 1)
        said = zmban("status", "--socket", running.socket).stdout
        assert "webhook 127.0.0.1: refuses messages" in said.replace("\n    ", " ")
        assert "SECRET" not in said + running.said() + running.get("/metrics")[1]


def test_the_command_needs_a_target(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        done = zmban("notify", "--socket", running.socket)
        assert done.returncode == 78 and "no target" in done.stderr


def test_variables_choose_the_targets(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as target:
        monkeypatch.setenv("ZMBAN_NOTIFY_WEBHOOKS", f"{target.url()}, matrix+{target.url()}")
        monkeypatch.setenv("ZMBAN_NOTIFY_EVENTS", "brake,digest")
        with service(tmp_path) as running:
            sent = running.ask("notify")
            assert [one["result"] for one in sent] == ["sent", "sent"]
        assert [set(body) == {"text", "html"} for body in sorted(target.bodies, key=len)] == [True, False]


def test_a_wrong_setting_is_a_fault_without_its_secret_and_stops_nothing(
    host: Namespace, tmp_path: Path
) -> None:
    wrong = (
        '[notify]\nwebhooks = ["ftp://hooks.example.com/SECRET"]\nsmtp = "SECRET"\nevents = ["brake", "x"]\n'
    )
    with service(tmp_path, settings=wrong) as running:
        running.attack("198.51.100.7")
        until(lambda: running.banned() == {"198.51.100.7/32"})
        faults = " ".join(running.ask("status")[0]["faults"])
        assert "[notify] webhooks: entry 1 is not the URL" in faults
        assert "[notify] smtp: write smtp://" in faults and "[notify] events: 'x'" in faults
        assert "SECRET" not in faults + running.said()
