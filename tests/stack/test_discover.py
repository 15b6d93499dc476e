"""`zmban discover` with a real Docker: finds Zimbra and its logs, and Compose accepts the files it writes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.network import Network
from tests.app.running import in_process, until
from tests.cli.running import zmban
from tests.stack.conftest import ROOT, compose_missing

pytestmark = pytest.mark.stack

# Programs with the names, arguments and output of Zimbra's.
ZIMBRA = """useradd zimbra; mkdir -p /opt/zimbra/bin && cd /opt/zimbra/bin && cat >zmhostname <<'END' && cat >zmprov <<'END2'
#!/bin/sh
echo mail.example.com
END
#!/bin/sh
[ "$(id -un) $*" = "zimbra -l gs mail.example.com zimbraMailTrustedIP" ] || exit 2
printf '# name mail.example.com\\nzimbraMailTrustedIP: 127.0.0.1\\nzimbraMailTrustedIP: 198.51.100.10\\n\\n'
END2
chmod +x zmhostname zmprov && touch /ready && exec sleep 300
"""
# The same in a chroot directory, with bind mounts for everything that the program needs.
CHROOT = """mkdir -p /data/opt/zimbra/log /data/var/log /data/etc && touch /data/var/log/zimbra.log
for place in usr lib lib64 bin; do [ ! -e /$place ] || cp -a /$place /data/; done
useradd zimbra; cp /etc/passwd /etc/group /data/etc/; mkdir /data/dev; touch /data/dev/null
"""
# A process with the name and path of Postfix's master, which is not the first process.
MTA = """mkdir -p /opt/zimbra/common/libexec && cp /bin/sleep /opt/zimbra/common/libexec/master
/opt/zimbra/common/libexec/master 300 & touch /ready; wait
"""
NGINX = "touch /ready; exec -a 'nginx: master process /opt/zimbra/common/sbin/nginx -c /x' sleep 300"
SLEEP = "touch /ready; exec sleep 300"


class Containers:
    """Runs containers of the base image with given names, and removes them."""

    def __init__(self) -> None:
        self.image = self._run("sh", "scripts/base-image.sh")
        self._tags: list[str] = []
        self._volumes: set[str] = set()
        self._names: list[str] = []

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def start(self, name: str, image: str, script: str, **mounts: str) -> None:
        """`mounts`: volumes by their path, with _ for /; a volume name that ends with `_ro` is mounted read-only."""
        tag = f"zmban-test.example/{image}"
        self._run("docker", "tag", self.image, tag)
        self._tags.append(tag)
        where: list[str] = []
        for place, volume in mounts.items():
            source = f"zmban-test-{volume.removesuffix('_ro')}"
            self._volumes.add(source)
            readonly = ":ro" if volume.endswith("_ro") else ""
            where += ["-v", f"{source}:/{place.replace('_', '/')}{readonly}"]
        # The demonstration does not start beside a Zimbra, except containers of its own project.
        label = "com.docker.compose.project=zmban"
        self._names.append(name)
        self._run(
            "docker", "run", "-d", "--rm", "--name", name, "--label", label, *where, tag, "bash", "-c", script
        )
        ready = ["docker", "exec", name, "test", "-e", "/ready"]
        until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, 60)

    def close(self) -> None:
        for command in (
            ["docker", "rm", "-f", *self._names],
            ["docker", "image", "rm", *self._tags],
            ["docker", "volume", "rm", "-f", *self._volumes],
        ):
            subprocess.run(command, capture_output=True, timeout=120, check=False)


@pytest.fixture
def containers() -> Iterator[Containers]:
    running = Containers()
    try:
        yield running
    finally:
        running.close()


def discovered() -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(zmban("discover", "--json").stdout)}


async def test_zimbra_is_asked_which_proxies_it_trusts(containers: Containers, tmp_path: Path) -> None:
    containers.start("zt-mail", "lookalike:1", ZIMBRA, opt_zimbra_log="log")
    found = discovered()["zt-mail"]
    assert found["logs"]["/opt/zimbra/log"].endswith("/zmban-test-log/_data")
    assert found["logs"]["/var/log"] is None
    assert found["why"].startswith("brings programs in /opt/zimbra/bin")
    advice = zmban("discover").stdout
    assert f"ZIMBRA_LOG_DIR={found['logs']['/opt/zimbra/log']}" in advice
    assert f'networks = ["{found["networks"][0]}"]' in advice
    # Its own nginx is a proxy that is not trusted yet.
    (address,) = found["addresses"]
    assert found["trusted"] == ["127.0.0.1", "198.51.100.10"]
    assert f'proxies = ["{address}", "198.51.100.10"]' in advice
    assert f"zmprov mcf +zimbraMailTrustedIP {address}\n" in advice
    async with in_process(tmp_path, dry_run=True) as one:
        trust = one.suspects.trust
        assert not trust.is_proxy("198.51.100.10")
        await one.parts.zimbra_trust.look()
        assert trust.is_proxy("198.51.100.10") and not trust.is_proxy("198.51.100.11")
        assert one.protection.guard.refuse(Network.parse("198.51.100.10")) == "trusted-proxy"


def test_a_zimbra_in_a_chroot_is_found_in_it_and_asked_in_it(containers: Containers) -> None:
    script = CHROOT + ZIMBRA.replace("useradd zimbra; ", "").replace("/opt/zimbra", "/data/opt/zimbra")
    containers.start("zt-chroot", "mail:1", script, data="data")
    found = discovered()["zt-chroot"]
    assert found["logs"]["/opt/zimbra/log"].endswith("/zmban-test-data/_data/opt/zimbra/log")
    assert found["logs"]["/var/log"].endswith("/zmban-test-data/_data/var/log")
    assert found["trusted"] == ["127.0.0.1", "198.51.100.10"]


def test_a_container_for_each_role_is_found_and_what_stands_beside_them_is_not(
    containers: Containers, tmp_path: Path
) -> None:
    containers.start("zt-mta", "mail:1", MTA, opt_zimbra_log="mta-log", var_log="mta-syslog")
    containers.start("zt-front", "mail:1", NGINX, opt_zimbra_log="front-log")
    containers.start("zt-carbonio", "carbonio:1", SLEEP, opt_zextras="c", var_log="c-syslog")
    containers.start("zt-ship", "siem:1", SLEEP, opt_zimbra_log="front-log_ro", var_log="mta-syslog_ro")
    containers.start("zt-job", "zimbra-jobs:1", SLEEP, opt_zimbra_log="front-log")
    containers.start("zt-exporter", "zimbra-exporter:1", SLEEP)
    found = discovered()
    assert {name: one["role"] for name, one in found.items() if name.startswith("zt-")} == {
        "zt-mta": "mta",
        "zt-front": "proxy",
        "zt-carbonio": "all",
    }
    told = zmban("discover", "--write", tmp_path).stdout
    assert "zt-mta accepted: it runs /opt/zimbra/common/libexec/master" in told
    assert "zt-ship rejected: it mounts /opt/zimbra/log read-only, where Zimbra writes" in told
    assert "zt-job rejected: it does nothing but share " in told
    assert "zt-exporter rejected: it has 'exporter' in its name" in told
    done = zmban("--config", "config", "--config", tmp_path, "check")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", ["1", "2"])
def test_compose_takes_what_was_written_over_its_own_file(
    containers: Containers, tmp_path: Path, version: str
) -> None:
    if reason := compose_missing(version):
        pytest.skip(reason)
    containers.start("zt-mta", "mail:1", MTA, opt_zimbra_log="mta-log", var_log="mta-syslog")
    containers.start("zt-mta2", "mail:1", MTA, var_log="mta2-syslog")
    assert zmban("discover", "--write", tmp_path).returncode == 0
    variables = dict(
        line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if line[0] != "#"
    )
    files = ("-f", "compose.yaml", "-f", str(tmp_path / "compose.override.yaml"))
    done = subprocess.run(
        ["sh", "scripts/compose.sh", *files, "config"],
        cwd=ROOT,
        env={**os.environ, **variables, "ZMBAN_COMPOSE": version},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)
    mounts = {m["target"]: m for m in read["services"]["zmban"]["volumes"] if isinstance(m, dict)}
    assert mounts["/srv/zimbra/zt-mta2/syslog"]["read_only"] is True
    device = read["volumes"][mounts["/srv/zimbra/zt-mta2/syslog"]["source"]]["driver_opts"]["device"]
    assert device.endswith("/zmban-test-mta2-syslog/_data")
    device = read["volumes"][mounts["/var/log"]["source"]]["driver_opts"]["device"]
    assert device.endswith("/zmban-test-mta-syslog/_data")
    assert "/var/lib/zmban" in mounts
