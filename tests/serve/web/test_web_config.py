"""The metrics address speaks TLS and asks for a password, by a file in the format of Prometheus' exporters."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from sidecar.model import ConfigError
from sidecar.serve.web.health_routes import HealthRoutes
from sidecar.serve.web.sign_in.gate import Gate
from sidecar.serve.web.site import Site
from sidecar.serve.web.web_config import WebConfigFile
from tests.delivery.servers import certificate

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: localhost.pem\n  key_file: localhost.pem\n"


@contextlib.asynccontextmanager
async def serving(root: Path, text: str) -> AsyncIterator[tuple[Site, WebConfigFile, int]]:
    (root / "web.yml").write_text(text)
    config = WebConfigFile(str(root / "web.yml"))
    site = Site(
        HealthRoutes(lambda _accept: lambda: (b"zmban_enforced 1\n", "text/plain"), list).routes(),
        Gate([], None),
        secured=config,
    )
    await site.open("127.0.0.1:0")
    port = site._doors[0]._listening.getsockname()[1]
    try:
        yield site, config, port
    finally:
        site.close()


async def get(port: int, scheme: str = "https", ca: Path | None = None, **headers: str) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or False)) as http,
        http.get(f"{scheme}://127.0.0.1:{port}/metrics", headers=headers) as answer,
    ):
        return answer.status, answer.headers.get("WWW-Authenticate", "") or await answer.text()


def basic(password: str, name: str = "alice") -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


async def test_tls_is_spoken_with_the_certificate_and_nothing_else_is(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    async with serving(tmp_path, TLS) as (_, _, port):
        assert await get(port, ca=Path(f"{pem}.crt")) == (200, "zmban_enforced 1\n")
        with pytest.raises(aiohttp.ClientError):
            await get(port, "http")
    async with serving(tmp_path, TLS + "  min_version: TLS13\n") as (_, _, port):
        old = ssl.create_default_context(cafile=f"{pem}.crt")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)


async def test_only_the_right_name_and_password_read_the_metrics(tmp_path: Path) -> None:
    async with serving(tmp_path, USERS) as (_, _, port):
        assert await get(port, "http") == (401, 'Basic realm="zmban"')
        assert await get(port, "http", Authorization=basic("right")) == (200, "zmban_enforced 1\n")
        for wrong in (basic("wrong"), basic("right", "bob"), "Basic x", "Bearer right"):
            assert (await get(port, "http", Authorization=wrong))[0] == 401
        assert await get(port, "http", Authorization=basic("right")) == (200, "zmban_enforced 1\n")


async def test_who_guesses_must_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, USERS) as (_, _, port):
        found = [(await get(port, "http", Authorization=basic(str(n))))[0] for n in range(8)]
    assert (found[0], found[-1]) == (401, 429)


async def test_a_client_without_the_certificate_that_is_asked_for_gets_nothing(tmp_path: Path) -> None:
    certificate(tmp_path)
    text = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: localhost.pem.crt\n"
    async with serving(tmp_path, text) as (_, _, port):
        with pytest.raises(aiohttp.ClientError):
            await get(port)
        context = ssl.create_default_context(cafile=str(tmp_path / "localhost.pem.crt"))
        context.load_cert_chain(tmp_path / "localhost.pem")
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get(f"https://127.0.0.1:{port}/metrics") as one,
        ):
            assert one.status == 200


async def test_a_renewed_certificate_counts_and_a_faulty_file_leaves_the_old_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.serve.web.web_config._LOOK_EVERY", 0.0)
    first = Path(f"{certificate(tmp_path)}.crt")
    kept = shutil.copy(first, tmp_path / "first.crt")
    async with serving(tmp_path, TLS) as (site, _, port):
        await get(port, ca=Path(kept))
        certificate(tmp_path)
        assert (await get(port, ca=first))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await get(port, ca=Path(kept))
        (tmp_path / "web.yml").write_text("tls_server_config: {}\n")
        assert (await get(port, ca=first))[0] == 200
        assert "cert_file" in site.fault
        (tmp_path / "web.yml").write_text(TLS + "\n")
        assert (await get(port, ca=first))[0] == 200
        assert site.fault == ""


async def test_clients_that_never_shake_hands_do_not_keep_others_out(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    async with serving(tmp_path, TLS) as (_, _, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        assert (await get(port, ca=Path(f"{pem}.crt")))[0] == 200
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither"),
        ("tls_server_config: [", "web.yml:"),
        ("basic_auth_users: {alice: plain}", "htpasswd"),
        ("tls_server_config: {cert_file: gone.pem, key_file: gone.pem}", "gone.pem|No such file"),
        ("tls_config: {}", "tls_config"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}", "min_version"),
        ("!!python/object/apply:os.system ['true']", "constructor|web.yml"),
    ],
)
async def test_a_faulty_file_opens_nothing_and_says_what_is_wrong(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        async with serving(tmp_path, text):
            pass
    (tmp_path / "web.yml").unlink()
    with pytest.raises(ConfigError, match="No such file"):
        await WebConfigFile(str(tmp_path / "web.yml")).context()
