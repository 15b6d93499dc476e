"""Framed lines and clients hidden by a proxy lead to no ban, and are shown to the administrator with the
cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.app.report.refusal_log import cure
from tests.app.running import service, until
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

HEAD = "2026-01-05 10:00:01,041 INFO  [qtp1-2:https://m/service/soap/AuthRequest]"
SAYS = "SoapEngine - handler exception: authentication failed for [bob], invalid password\n"
JAIL = """[web]
enabled = true
logpath = {log}
maxretry = 1
findtime = 1000d
failregex = .*ip=<HOST>;.*authentication failed for .*$
"""


@pytest.mark.kernel
def test_status_shows_who_is_framed_and_who_is_hidden_and_how_to_mend_it(
    host: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "logs/mailbox.log"
    settings = '[trust]\nproxies = ["10.0.0.9"]\n'
    with service(tmp_path, JAIL.format(log=log), settings=settings) as running:
        forged = f"{HEAD} [oip={EVIL};ua=x;;ip=198.51.100.99;; y;] {SAYS}"
        log.write_text(forged + f"{HEAD} [ip=10.0.0.9;] {SAYS}" * 2, encoding="utf-8")
        until(lambda: running.metric("zmban_masked_clients_total") == 2)
        state = running.ask("status")[0]
        (framed,) = state["framed"]
        assert (framed["named"], framed["client"]) == ("198.51.100.99", EVIL)
        assert framed["line"] == forged.strip()
        (masked,) = state["masked"]
        assert (masked["proxy"], masked["lines"]) == ("10.0.0.9", 2)
        assert "zmprov mcf +zimbraMailTrustedIP 10.0.0.9" in masked["cure"]
        assert running.said().count("hides its client") == 1
        assert blackholes(host) == set()


def test_the_cure_is_that_of_the_very_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "zimbraMailTrustedIP 10.0.0.9" in cure("masked", "10.0.0.9")
    assert "userland-proxy: false" in cure("gateway", "172.18.0.1")
    assert "forward the client's address" in cure("trusted-proxy", "10.0.0.9")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert "externalTrafficPolicy: Local" in cure("gateway", "10.244.0.1")
