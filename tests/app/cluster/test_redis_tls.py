"""Redis with TLS, with certificates of an authority of our own; and what a host says if it may not connect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cluster.group import REDIS, Group, group
from tests.app.cluster.test_redis_access import acl
from tests.app.running import until
from tests.netns import program, run

pytestmark = pytest.mark.kernel
EVIL, PORT = "203.0.113.7", 6380


class Authority:
    """A certificate authority, and what it signed."""

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.name = place, name
        self.certificate, self._key = place / f"{name}.pem", place / f"{name}.key"
        self._openssl("req", "-x509", "-nodes", "-keyout", self._key, "-out", self.certificate)

    def _openssl(self, *arguments: str | Path, subject: str = "") -> None:
        made = [
            "-subj",
            f"/CN={subject or self.name}",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        run(program("openssl", "openssl"), *map(str, arguments), *made, "-days", "2")

    def signed(self, name: str, address: str = "") -> tuple[Path, Path]:
        """Certificate and key, for a server at this address."""
        certificate, key = (
            self.place / f"{name}-by-{self.name}.pem",
            self.place / f"{name}-by-{self.name}.key",
        )
        more = ["-addext", f"subjectAltName=IP:{address}"] if address else []
        authority = ["-CA", str(self.certificate), "-CAkey", str(self._key)]
        self._openssl("req", "-x509", "-nodes", "-keyout", key, "-out", certificate, *authority, *more,
                      "-addext", "basicConstraints=critical,CA:FALSE", subject=name)  # fmt: skip
        return certificate, key


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Group, Authority, Authority]]:
    place = tmp_path_factory.mktemp("tls")
    right, wrong = Authority(place, "right"), Authority(place, "wrong")
    certificate, key = right.signed("redis", REDIS)
    options = (
        f"tls-port {PORT}", f"tls-cert-file {certificate}", f"tls-key-file {key}",
        f"tls-ca-cert-file {right.certificate}", "tls-auth-clients yes",
    )  # fmt: skip
    with group(place, "mx1", "mx2", options=options) as found:
        for name, host in found.hosts.items():
            assert found.redis.cli(*acl(name, f"password-of-{name}")) == "OK"
            (host.running.root / "password").write_text(f"password-of-{name}")
            host.configure(settings(found, right, name), "maxretry = 2\n")
            host.start()
        found.connected()
        yield found, right, wrong


def settings(
    found: Group, authority: Authority, name: str, user: str = "", shows: Authority | None = None
) -> str:
    """The settings of a host that believes this authority, and shows a certificate of another one."""
    certificate, key = (shows or authority).signed(name)
    for path in (key, found.hosts[name].running.root / "password"):
        path.chmod(0o600)
    password = found.hosts[name].running.root / "password"
    return found.settings(
        name,
        f'url = "rediss://{REDIS}:{PORT}/0"\nuser = "{user or name}"\npassword_file = "{password}"\n'
        f'ca_file = "{authority.certificate}"\ncert_file = "{certificate}"\ncert_key_file = "{key}"\n',
    )


def test_hosts_count_and_ban_together_over_tls(secured: tuple[Group, Authority, Authority]) -> None:
    first, second = secured[0].hosts.values()
    first.attack(EVIL, 1)
    until(lambda: secured[0].redis.cli("KEYS", "zmban:zmban:w:*") != "")
    second.attack(EVIL, 1)
    until(lambda: all(EVIL in host.routes() for host in (first, second)))


def test_a_host_says_why_it_cannot_connect_and_connects_when_that_is_mended(
    secured: tuple[Group, Authority, Authority],
) -> None:
    found, right, wrong = secured
    host, good = found.hosts["mx1"], settings(found, right, "mx1")
    password = host.running.root / "password"
    for text, secret, says in (
        (settings(found, wrong, "mx1", shows=right), "password-of-mx1", ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")),
        (settings(found, right, "mx1", shows=wrong), "password-of-mx1", ("unknown ca", "UNKNOWN_CA", "bad certificate")),
        (good, "another password", ("invalid username-password",)),
        (settings(found, right, "mx1", user="nobody"), "password-of-mx1", ("invalid username-password",)),
        (good.replace(str(right.certificate), "/nowhere.pem"), "password-of-mx1", ("/nowhere.pem: No such file",)),
    ):  # fmt: skip
        password.write_text(secret)
        host.configure(text, "maxretry = 2\n")
        host.kill()
        host.start()
        until(lambda says=says: any(one in host.cluster()["failing"] for one in says))  # type: ignore[misc]
        assert any("goes on alone" in doubt for doubt in host.ask("status")[0]["doubts"])
        assert "password" not in host.running.said().replace("username-password", "")
    password.write_text("password-of-mx1")
    host.configure(good, "maxretry = 2\n")
    host.ask("reload")
    found.connected()
