"""Recognition of Zimbra containers and their logs, in common layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.sources.docker.docker_engine import Survey, survey
from sidecar.sources.docker.layouts import installed, program
from tests.sources.engine import container, engine

VOLUMES = "/var/lib/docker/volumes"
MASTER = "/opt/zimbra/common/libexec/master -w"
NGINX = "nginx: master process /opt/zimbra/common/sbin/nginx -c /opt/zimbra/conf/nginx.conf"
MAILBOXD = (
    "/opt/zimbra/common/lib/jvm/java/bin/java -Xmx2g -Djava.io.tmpdir=/opt/zimbra/mailboxd/work -jar x.jar"
)
ZMCONFIGD = (
    "/opt/zimbra/common/lib/jvm/java/bin/java -Dzimbra.home=/opt/zimbra org.python.util.jython zmconfigd"
)
HOME = ("/opt/zimbra", "/opt/zimbra/bin")
LOGS = {"/opt/zimbra/log": "log", "/var/log": "syslog"}
# Their directories on the host.
ON_HOST = {"/opt/zimbra/log": f"{VOLUMES}/log/_data", "/var/log": f"{VOLUMES}/syslog/_data"}
AIO = container(
    "mail",
    "yeak/zimbra-aio:10.1",
    mounts=LOGS,
    ports=(25, 587, 443, 7071),
    paths=HOME,
    processes=[MASTER, NGINX],
)


def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *containers: Any, **volumes: str) -> Survey:
    with engine(tmp_path, *containers, volumes=volumes) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        return survey()


@pytest.mark.parametrize(
    ("one", "logs", "role", "why"),
    [
        pytest.param(
            AIO,
            ON_HOST,
            "mta+proxy",
            "runs /opt/zimbra/common/libexec/master",
            id="named volumes",
        ),
        pytest.param(
            container(
                "mail",
                "acme/zimbra:8",
                mounts={"/opt/zimbra": "/data/zimbra"},
                paths=HOME,
                processes=["sleep 9"],
            ),
            {"/opt/zimbra/log": "/data/zimbra/log", "/var/log": None},
            "all",
            "keeps /opt/zimbra in a volume",
            id="the whole home in a volume, and nothing started yet",
        ),
        pytest.param(
            container(
                "mail",
                "griffin/zimbra",
                mounts={"/data": "zimbra"},
                ports=(25, 7071),
                paths=("/data/opt/zimbra", "/data/opt/zimbra/bin", "/data/var/log/zimbra.log"),
                processes=["/sbin/init", "/opt/zimbra/common/libexec/slapd", MASTER, NGINX, MAILBOXD],
            ),
            {
                "/opt/zimbra/log": f"{VOLUMES}/zimbra/_data/opt/zimbra/log",
                "/var/log": f"{VOLUMES}/zimbra/_data/var/log",
            },
            "all",
            "runs /opt/zimbra/common/libexec/slapd",
            id="a chroot on a volume",
        ),
        pytest.param(
            container(
                "mail",
                "acme/suite:1",
                mounts={"/srv": "/tank/mail"},
                paths={"/opt/zimbra": "/srv/zimbra", "/srv/zimbra/bin": "", "/srv/zimbra/log": "/srv/logs"},
                processes=[MAILBOXD, ZMCONFIGD],
            ),
            {"/opt/zimbra/log": "/tank/mail/logs", "/var/log": None},
            "mailbox",
            "runs /opt/zimbra/common/lib/jvm/java/bin/java",
            id="links into a volume",
        ),
        pytest.param(
            container(
                "box",
                "acme/ubuntu-systemd:22.04",
                command=["/sbin/init"],
                mounts={"/opt": "/srv/opt", "/var/log": "/srv/log"},
                tmpfs={"/run": ""},
                paths=HOME,
                processes=["/sbin/init", "/lib/systemd/systemd-journald", MASTER, ZMCONFIGD],
            ),
            {"/opt/zimbra/log": "/srv/opt/zimbra/log", "/var/log": "/srv/log"},
            "mta",
            "runs /opt/zimbra/common/libexec/master",
            id="systemd in a container",
        ),
        pytest.param(
            container(
                "box",
                "centos:7",
                command=["/usr/sbin/init"],
                tmpfs={"/var/log": ""},
                paths=HOME,
                processes=["/usr/sbin/init", MASTER],
            ),
            {"/opt/zimbra/log": None, "/var/log": None},
            "mta",
            "runs /opt/zimbra/common/libexec/master, brings programs in /opt/zimbra/bin",
            id="systemd in a container without a volume, its syslog in memory",
        ),
        pytest.param(
            container(
                "mail",
                "acme/mail:3",
                mounts={"/opt/zextras/log": "c-log", "/var/log": "c-syslog"},
                ports=(25, 443, 6071),
                paths=("/opt/zextras", "/opt/zextras/bin", "/var/log/carbonio.log"),
                processes=["/opt/zextras/common/libexec/master -w"],
            ),
            {"/opt/zextras/log": f"{VOLUMES}/c-log/_data", "/var/log": f"{VOLUMES}/c-syslog/_data"},
            "mta",
            "runs /opt/zextras/common/libexec/master",
            id="Carbonio",
        ),
        pytest.param(
            container("m1", "acme/zimbra-mta", mounts=LOGS, ports=(25, 587), paths=None),
            ON_HOST,
            "mta",
            "writes /opt/zimbra/log to a volume, answers at 25, 587, is called zimbra",
            id="a role, where Docker lets nobody look inside",
        ),
        pytest.param(
            container(
                "m1",
                "acme/image",
                labels={"com.docker.compose.service": "zimbra-proxy"},
                mounts=LOGS,
                paths=None,
            ),
            ON_HOST,
            "proxy",
            "writes /opt/zimbra/log to a volume, is called zimbra",
            id="a role, by the service's name",
        ),
        pytest.param(
            container(
                "m1",
                "acme/image",
                ports=(7025, 8443),
                env=["ZIMBRA_HOME=/opt/zimbra"],
                mounts=LOGS,
                paths=None,
            ),
            ON_HOST,
            "mailbox",
            "names /opt/zimbra in its environment, answers at 7025",
            id="a role, by its ports",
        ),
        pytest.param(
            container("archive", "acme/backup-mx", mounts=LOGS, paths=HOME, processes=[MASTER]),
            ON_HOST,
            "mta",
            "runs /opt/zimbra/common/libexec/master",
            id="called a backup, but it runs Zimbra",
        ),
    ],
)
def test_a_zimbra_is_taken_with_its_logs_and_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one: dict[str, Any],
    logs: dict[str, str | None],
    role: str,
    why: str,
) -> None:
    found = look(tmp_path, monkeypatch, one)
    (taken,) = found.taken
    assert dict(taken.logs) == logs
    assert taken.verdict.role == role
    assert why in taken.verdict.why
    assert found.passed == []


FILES = {"/opt/zimbra/log": "log:ro", "/var/log": "syslog:ro"}
SEEN = ("/opt/zimbra", "/opt/zimbra/log")


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (container("ship", "acme/siem:1", mounts=FILES, paths=SEEN), "mounts /opt/zimbra/log read-only"),
        (container("ship", "elastic/filebeat:8", mounts=LOGS, paths=SEEN), "'filebeat' in its name"),
        (container("ship", "fluent/fluent-bit", mounts=LOGS, paths=None), "'bit' in its name"),
        (container("zimbra-exporter", "acme/x:1", ports=(9100,), paths=()), "'exporter' in its name"),
        (container("x", "acme/zimbra-webhooks:1", ports=(8080,), paths=()), "has no /opt/zimbra"),
        (container("x", "acme/zimbra-ui:1", ports=(8080,), paths=None), "no other sign of Zimbra"),
        (
            container(
                "relay",
                "acme/zimbra-relay",
                ports=(25,),
                paths=(),
                processes=["/usr/lib/postfix/sbin/master"],
            ),
            "has no /opt/zimbra",
        ),
        (
            container(
                "nightly",
                "acme/zimbra-backup",
                mounts={"/opt/zimbra": "home"},
                paths=HOME,
                processes=["crond"],
            ),
            "'backup' in its name",
        ),
        (
            container(
                "nightly",
                "alpine",
                command=["rsync", "-a", "/opt/zimbra/", "/b"],
                mounts={"/opt/zimbra": "h"},
            ),
            "only processes files of Zimbra: rsync",
        ),
        (
            container(
                "n",
                "alpine",
                command=["tail", "-F", "/opt/zimbra/log/x"],
                mounts=LOGS,
                ports=(25,),
                paths=SEEN,
            ),
            "only processes files of Zimbra",
        ),
        (
            container(
                "see",
                "acme/panel",
                mounts={"/host": "/"},
                ports=(25,),
                paths=("/host/opt/zimbra", "/host/opt/zimbra/bin"),
            ),
            "has no /opt/zimbra",
        ),
        (container("side", "zmban:latest", mounts=LOGS, paths=SEEN), "is a zmban"),
        (container("other", "acme/mailserver", ports=(25, 993), paths=None), "no other sign of Zimbra"),
    ],
)
def test_what_stands_beside_a_zimbra_is_none_and_its_address_is_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: dict[str, Any], why: str
) -> None:
    found = look(tmp_path, monkeypatch, one)
    assert found.taken == []
    ((name, told),) = found.passed
    assert name == one["Name"].strip("/")
    assert why in told


def test_what_has_nothing_to_do_with_zimbra_is_not_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = container("db", "postgres:17", mounts={"/var/lib/postgresql": "db"}, processes=["postgres"])
    sibling = container("zimbra-db-1", "redis", labels={"com.docker.compose.service": "db"})
    assert look(tmp_path, monkeypatch, database, sibling) == Survey([], [])


def test_of_two_that_share_a_log_the_one_that_does_nothing_is_the_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = container("nightly", "acme/zimbra-jobs", 3, mounts=LOGS, paths=SEEN, processes=["crond"])
    found = look(tmp_path, monkeypatch, nameless, AIO)
    assert [one.name for one in found.taken] == ["mail"]
    assert found.passed == [("nightly", f"does nothing but share {VOLUMES}/log/_data with mail")]


def test_a_volume_that_is_bound_to_a_directory_is_that_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = look(tmp_path, monkeypatch, AIO, log="/tank/zimbra-log").taken
    assert found.logs["/opt/zimbra/log"] == "/tank/zimbra-log"


@pytest.mark.parametrize(
    ("home", "files", "logs"),
    [
        ("opt/zimbra", ["zimbra.log", "maillog"], ("zimbra", "zimbra.log")),
        ("opt/zextras", ["maillog", "carbonio.log"], ("carbonio", "carbonio.log")),
        ("opt/zextras", ["maillog"], ("carbonio", "maillog")),
    ],
)
def test_a_zimbra_without_containers_is_found_on_the_host(
    tmp_path: Path, home: str, files: list[str], logs: tuple[str, str]
) -> None:
    assert installed(tmp_path) is None
    # An empty directory, as in the image of zmban, is not an installation.
    (tmp_path / home / "log").mkdir(parents=True)
    assert installed(tmp_path) is None
    (tmp_path / home / "bin").mkdir()
    (tmp_path / "var/log").mkdir(parents=True)
    for name in files:
        (tmp_path / "var/log" / name).touch()
    found = installed(tmp_path)
    assert found is not None
    assert (found.product, found.log) == logs


@pytest.mark.parametrize(
    ("process", "known"),
    [
        (NGINX, "/opt/zimbra/common/sbin/nginx"),
        ("nginx: worker process", None),
        ("/usr/bin/perl -w /opt/zimbra/libexec/zmstat-io", "/opt/zimbra/libexec/zmstat-io"),
        ("/opt/zextras/common/sbin/amavisd (master)", "/opt/zextras/common/sbin/amavisd"),
        ("java -Dzimbra.config=/opt/zimbra/conf/localconfig.xml x", "java"),
        ("java -jar exporter.jar --log /opt/zimbra/log/mailbox.log", None),
        ("tail -F /opt/zimbra/log/mailbox.log", None),
        ("rsync -a /opt/zimbra/bin/ /backup", None),
        ("/opt/zimbra/backup/run", None),
        ("", None),
    ],
)
def test_a_process_is_known_by_its_program_and_not_by_the_files_it_works_on(
    process: str, known: str | None
) -> None:
    assert program(process) == known
