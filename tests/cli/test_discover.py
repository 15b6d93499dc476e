"""`zmban discover --write`: writes complete files that pass `check`, and overwrites no existing file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from sidecar.cli.offline.discover import discover
from sidecar.configuration.loading import load
from sidecar.sources.docker import layouts
from tests.cli.running import records, zmban
from tests.sources.engine import container, engine
from tests.sources.test_layouts import AIO, HOME, LOGS, MAILBOXD, MASTER, NGINX, SEEN, VOLUMES

FILES = [".env", "compose.override.yaml", "jail.d/discovered.local", "zmban.toml"]


def role(name: str, number: int, process: str, **mounts: str) -> dict[str, Any]:
    places = {"log": "/opt/zimbra/log", "syslog": "/var/log"}
    where = {places[kind]: source for kind, source in mounts.items()}
    return container(name, "acme/zimbra", number, mounts=where, paths=HOME, processes=[process])


ROLES = (
    role("box", 2, MAILBOXD, log="box-log"),
    role("front", 3, NGINX, log="/tank/front log", syslog="front-syslog"),
    role("mta1", 4, MASTER, log="mta1-log", syslog="/srv/mta1"),
    role("mta2", 5, MASTER, syslog="/srv/mta2"),
)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A simulated engine with these containers, and a directory to write to."""
    with engine(tmp_path, *request.param) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        yield tmp_path / "out"


def written(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def settings(place: Path) -> dict[str, str]:
    lines = (line for line in (place / ".env").read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def globs(place: Path) -> dict[str, list[str]]:
    jails = load(["config", str(place)]).jails.jails
    return {name: [log.glob for log in jail.logpath] for name, jail in jails.items()}


@pytest.mark.parametrize("asked", [(AIO,), ROLES], indirect=True)
def test_what_was_written_passes_check(asked: Path) -> None:
    done = zmban("discover", "--write", asked)
    assert done.returncode == 0, done.stderr
    assert written(asked) == FILES
    done = zmban("--config", "config", "--config", asked, "check")
    assert done.returncode == 0, done.stdout
    assert "[" not in "".join(path for paths in globs(asked).values() for path in paths)


@pytest.mark.parametrize("asked", [(AIO,)], indirect=True)
def test_one_container_needs_what_compose_yaml_has_already(asked: Path) -> None:
    zmban("discover", "--write", asked)
    assert settings(asked) == {
        "COMPOSE_PROJECT_NAME": "zmban",
        "ZIMBRA_LOG_DIR": f"{VOLUMES}/log/_data",
        "ZIMBRA_SYSLOG_DIR": f"{VOLUMES}/syslog/_data",
    }
    compose = yaml.safe_load((asked / "compose.override.yaml").read_text())
    assert "volumes" not in compose
    mounts = compose["services"]["zmban"]["volumes"]
    assert [m["target"] for m in mounts] == ["/opt/zimbra/log", "/var/log"]
    assert all(m["type"] == "volume" and m["read_only"] for m in mounts)
    trust = load(["config", str(asked)]).settings.trust
    assert [str(n) for n in trust.proxies] == ["10.28.0.2/32"]
    assert [str(n) for n in trust.networks] == ["10.28.0.0/24"]
    assert [str(n) for n in trust.gateways] == ["10.28.0.1/32"]
    assert globs(asked)["zimbra-mail"] == ["/opt/zimbra/log/mailbox.log", "/opt/zimbra/log/audit.log"]
    assert globs(asked)["zimbra-smtp"] == ["/var/log/zimbra.log"]


@pytest.mark.parametrize("asked", [ROLES], indirect=True)
def test_of_a_container_for_each_role_every_directory_that_is_read_is_mounted_and_named(asked: Path) -> None:
    zmban("discover", "--write", asked)
    assert settings(asked)["ZIMBRA_LOG_DIR"] == f"{VOLUMES}/box-log/_data"
    assert settings(asked)["ZIMBRA_SYSLOG_DIR"] == "/srv/mta1"
    compose = yaml.safe_load((asked / "compose.override.yaml").read_text())
    targets = {m["source"]: m["target"] for m in compose["services"]["zmban"]["volumes"]}
    assert targets == {
        "zimbra-log": "/opt/zimbra/log",
        "zimbra-log-front": "/srv/zimbra/front/log",
        "zimbra-syslog": "/var/log",
        "zimbra-syslog-mta2": "/srv/zimbra/mta2/syslog",
    }
    devices = {name: volume["driver_opts"]["device"] for name, volume in compose["volumes"].items()}
    assert devices == {"zimbra-log-front": "/tank/front log", "zimbra-syslog-mta2": "/srv/mta2"}
    assert all(volume["driver_opts"]["o"] == "bind,ro" for volume in compose["volumes"].values())
    # Only mailboxd writes mailbox.log, and only nginx writes nginx.log.
    assert globs(asked)["zimbra-mail"] == ["/opt/zimbra/log/mailbox.log", "/opt/zimbra/log/audit.log"]
    assert globs(asked)["zimbra-nginx"] == ["/srv/zimbra/front/log/nginx.log"]
    assert globs(asked)["zimbra-smtp"] == ["/var/log/zimbra.log", "/srv/zimbra/mta2/syslog/zimbra.log"]


@pytest.mark.parametrize("asked", [(AIO,)], indirect=True)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_there_is_kept_and_nothing_else_written_without_force(asked: Path, name: str) -> None:
    mine = asked / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    done = zmban("discover", "--write", asked)
    assert done.returncode == 78
    assert f"{mine}: already exists, so nothing was written; --force overwrites" in done.stderr
    assert (written(asked), mine.read_text()) == ([name], "mine")
    done = zmban("discover", "--write", asked, "--force")
    assert done.returncode == 0
    assert written(asked) == FILES
    assert mine.read_text().startswith("# Written by zmban discover.")


@pytest.mark.parametrize("asked", [()], indirect=True)
def test_where_nothing_is_found_nothing_is_written(asked: Path) -> None:
    assert "no Zimbra found" in zmban("discover").stdout
    done = zmban("discover", "--write", asked)
    assert done.returncode == 65
    assert f"no Zimbra found; nothing written to {asked}" in done.stderr
    assert not asked.exists()


@pytest.mark.parametrize(
    "asked",
    [
        (
            container("a", "acme/zimbra", mounts={"/opt/zimbra": "/srv/a$b"}, paths=HOME),
            container(
                "no", "acme/zimbra", mounts={"/opt/zimbra/log": "/srv/a'b\n", "/var/log": "v"}, paths=HOME
            ),
        )
    ],
    indirect=True,
)
def test_a_path_that_no_file_could_carry_is_told_and_left_out(asked: Path) -> None:
    done = zmban("discover", "--write", asked)
    assert (
        "# '/srv/a$b/log', /opt/zimbra/log of a, cannot be written into .env; mount it by hand" in done.stdout
    )
    assert "# /var/log of a is in no volume; add one to the container" in done.stdout
    assert settings(asked) == {"COMPOSE_PROJECT_NAME": "zmban", "ZIMBRA_SYSLOG_DIR": f"{VOLUMES}/v/_data"}
    assert "$" not in (asked / "compose.override.yaml").read_text()


@pytest.mark.parametrize(
    "asked", [(AIO, container("ship", "acme/zimbra-siem", 3, mounts=LOGS, paths=SEEN))], indirect=True
)
def test_people_are_told_why_each_was_taken_and_programs_only_of_those(asked: Path) -> None:
    (record,) = records(zmban("discover", "--jsonl"))
    assert (record["name"], record["role"], record["product"]) == ("mail", "mta+proxy", "zimbra")
    assert record["why"].startswith("runs /opt/zimbra/common/libexec/master")
    assert json.loads(zmban("discover", "--json").stdout) == [record]
    told = zmban("discover").stdout
    assert f"mail accepted: it {record['why']}" in told
    assert f"ship rejected: it does nothing but share {VOLUMES}/log/_data with mail" in told
    assert 'proxies = ["10.28.0.2"]' in told


@pytest.mark.parametrize("asked", [ROLES], indirect=True)
def test_the_commands_that_wire_refused_domains_are_those_of_each_mail_server(asked: Path) -> None:
    told = zmban("discover").stdout
    for name, times in (("mta1", 1), ("mta2", 1), ("front", 0), ("box", 0)):
        assert (
            told.count(f"mount the volume zmban_zmban-domains in {name} at /opt/zimbra/conf/zmban") == times
        )
    assert "pcre:/opt/zimbra/conf/zmban/header_checks.pcre lmdb:/opt/zimbra/conf/zmban/changed'" in told
    # Each is inserted as the first line, so the map comes before the signal.
    maps = "1i check_sender_access pcre:/opt/zimbra/conf/zmban/sender_access.pcre'"
    assert told.index("1i check_sender_access lmdb:/opt/zimbra/conf/zmban/changed'") < told.index(maps)


@pytest.mark.parametrize(
    ("source", "names"),
    [("/opt/zimbra", {"mail"}), ("/srv/zimbra", {"mail", "this-host"}), (None, {"this-host"})],
)
def test_a_zimbra_of_the_host_is_told_of_unless_its_home_is_a_containers_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, names: set[str]
) -> None:
    place = tmp_path / "root"
    (place / "opt/zimbra/bin").mkdir(parents=True)
    here = layouts.installed(place)
    monkeypatch.setattr(layouts, "installed", lambda: here)
    mail = container("mail", "acme/zimbra", mounts={"/opt/zimbra": str(source)}, paths=HOME)
    with engine(tmp_path, *([mail] if source else [])) as host:
        # Without an engine, the host is still found.
        monkeypatch.setenv("DOCKER_HOST", host if source else f"unix://{tmp_path}/none.sock")
        done = CliRunner().invoke(discover, ["--jsonl"])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert {one["name"] for one in found} == names
    logs = {"/opt/zimbra/log": "/opt/zimbra/log", "/var/log": "/var/log"}
    assert all(one["logs"] == logs for one in found if one["name"] == "this-host")


def test_without_docker_and_without_zimbra_it_says_that_docker_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    done = zmban("discover")
    assert done.returncode == 65
    assert "cannot connect to Docker" in done.stderr


@pytest.mark.parametrize("asked", [(AIO,)], indirect=True)
def test_a_proxy_that_only_the_logs_show_is_proposed(asked: Path, tmp_path: Path) -> None:
    place = tmp_path / "config/jail.d"
    place.mkdir(parents=True)
    log = tmp_path / "audit.log"
    text = (
        "2026-01-05 10:00:01,000 WARN  [ImapServer-1] [ip=10.1.2.3;oip=203.0.113.7;via=10.1.2.9(nginx/1.7.1);] "
        "security - cmd=Auth; account=bob@example.com; protocol=imap; error=authentication failed for "
        "[bob@example.com], invalid password;\n"
    )
    log.write_text(text, encoding="utf-8")
    jail = f"[zimbra-mail]\nlogpath = {log}\n"
    (place / "own.local").write_text(jail, encoding="utf-8")
    told = zmban("--config", "config", "--config", tmp_path / "config", "discover").stdout
    assert '[trust] proxies = ["10.1.2.3"]' in told
    assert "zmprov mcf +zimbraMailTrustedIP 10.1.2.3" in told
