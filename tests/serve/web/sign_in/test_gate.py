"""The gate: every combination of address, proxy, origin and session gets the access that its weakest part permits."""

from __future__ import annotations

from http import HTTPStatus
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.serve.web.routing import Access, WebError
from sidecar.serve.web.sign_in.gate import Client, Gate
from sidecar.serve.web.sign_in.sessions import Attempts, WebSessions
from sidecar.serve.web.sign_in.tokens import TokenFile

TOKEN = "0123456789abcdef"
LOCAL = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9")
FAR = ("198.51.100.1", "2001:db8::1", "::ffff:198.51.100.1", "fe80::1%eth0", "", "garbage")


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    (tmp_path / "t").write_text(f"alice:{TOKEN}\n")
    return TokenFile(tmp_path / "t")


def admitted(gate: Gate, client: Client, access: Access, *, changes: bool = False) -> bool:
    try:
        gate.admit(client, access, changes=changes)
    except WebError:
        return False
    return True


def test_without_signing_in_only_this_host_reads_and_nobody_acts(file: TokenFile) -> None:
    for tokens in (None, file):
        gate = Gate([], tokens)
        for peer, local, forwarded in product((*LOCAL, *FAR), (*LOCAL, *FAR), (False, True)):
            client = Client(peer, local, "localhost", forwarded=forwarded)
            near = peer in LOCAL and local in LOCAL and not forwarded
            assert admitted(gate, client, Access.READ) is near, client
            assert not admitted(gate, client, Access.ACT, changes=True)
            assert admitted(gate, client, Access.OPEN)


def test_who_is_signed_in_reads_and_acts_from_anywhere(file: TokenFile) -> None:
    gate = Gate([], file)
    for peer, forwarded in product((*LOCAL, *FAR), (False, True)):
        cookie, session = gate.sign_in(Client(peer, peer), TOKEN)
        client = Client(peer, peer, "localhost", forwarded=forwarded, cookie=cookie, csrf=session.csrf)
        assert gate.admit(client, Access.READ, changes=False) == "alice"
        assert gate.admit(client, Access.ACT, changes=True) == "alice"
        bearer = Client(peer, peer, "localhost", forwarded=forwarded, bearer=TOKEN)
        assert gate.admit(bearer, Access.ACT, changes=True) == "alice"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_other_origin_than_the_own_is_admitted(host: str, origin: str) -> None:
    client = Client("127.0.0.1", "127.0.0.1", host, origin=origin)
    own = {f"{scheme}://{host}".lower().strip() for scheme in ("http", "https")}
    if origin.lower().strip() not in own:
        name = host.strip().lower().rpartition(":")[0]
        ported = {
            f"http://{name}",
            f"https://{name}",
            f"http://{host.strip().lower()}:80",
            f"https://{host.strip().lower()}:443",
        }
        assert origin.strip().lower() in ported or not admitted(Gate([], None), client, Access.READ)


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("localhost:9177", "http://localhost:9177", True), ("zmban.example.com", "https://zmban.example.com", True),
        ("[::1]:9177", "http://[::1]:9177", True), ("localhost:9177", "http://localhost", False),
        ("localhost", "http://localhost:80", True), ("localhost", "https://localhost:443", True),
        ("localhost", "http://localhost:443", False), ("localhost", "ftp://localhost", False), ("localhost", "localhost", False),
        ("localhost", "http://localhost.evil.example", False), ("localhost", "http://evil.example/localhost", False),
    ],
)  # fmt: skip
def test_the_own_origin_is_known_by_name_and_port(host: str, origin: str, expected: bool) -> None:
    client = Client("127.0.0.1", "127.0.0.1", host, origin=origin)
    assert admitted(Gate([], None), client, Access.READ) is expected


def test_a_session_ends_after_a_pause_and_in_any_case_after_a_week(file: TokenFile) -> None:
    now = [0.0]
    sessions = WebSessions(file, lambda: now[0])
    found = sessions.begin(TOKEN)
    assert found is not None
    for _ in range(13):
        now[0] += 11 * 3600
        assert sessions.of(found[0]) is not None
    now[0] += 13 * 3600
    assert sessions.of(found[0]) is None
    again = sessions.begin(TOKEN)
    assert again is not None
    for _ in range(15):
        now[0] += 11 * 3600
        assert sessions.of(again[0]) is not None
    now[0] += 11 * 3600
    assert sessions.of(again[0]) is None


def test_many_sessions_cost_the_one_that_was_used_least_lately(file: TokenFile) -> None:
    now = [0.0]
    sessions = WebSessions(file, lambda: now[0])
    cookies = []
    for _ in range(300):
        now[0] += 1
        found = sessions.begin(TOKEN)
        assert found is not None
        cookies.append(found[0])
    assert sum(sessions.of(cookie) is not None for cookie in cookies) == 256
    assert sessions.of(cookies[0]) is None


def test_wrong_tokens_of_one_network_do_not_lock_out_another(file: TokenFile) -> None:
    now = [100.0]
    gate = Gate([], file, lambda: now[0])
    for number in range(5):
        with pytest.raises(WebError, match="unknown token"):
            gate.sign_in(Client(f"2001:db8::{number}", "::1"), "wrong")
    with pytest.raises(WebError, match="too many wrong tokens") as refused:
        gate.sign_in(Client("2001:db8::99", "::1"), TOKEN)
    assert refused.value.status == HTTPStatus.TOO_MANY_REQUESTS
    assert gate.sign_in(Client("198.51.100.1", "::1"), TOKEN)
    now[0] += 61
    assert gate.sign_in(Client("2001:db8::99", "::1"), TOKEN)


def test_behind_a_proxy_of_this_host_wrong_tokens_of_one_client_do_not_lock_out_another(
    file: TokenFile,
) -> None:
    gate = Gate([], file, lambda: 0.0)
    for _ in range(5):
        with pytest.raises(WebError, match="unknown token"):
            gate.sign_in(
                Client("127.0.0.1", "127.0.0.1", forwarded=True, passed_on_for="198.51.100.1"), "wrong"
            )
    with pytest.raises(WebError, match="too many"):
        gate.sign_in(Client("127.0.0.1", "127.0.0.1", forwarded=True, passed_on_for="198.51.100.1"), TOKEN)
    assert gate.sign_in(Client("127.0.0.1", "127.0.0.1", forwarded=True, passed_on_for="198.51.100.2"), TOKEN)
    # Who is not behind a proxy of this host cannot choose by what it is counted.
    for number in range(5):
        with pytest.raises(WebError, match="unknown token"):
            gate.sign_in(Client("203.0.113.1", "192.0.2.1", passed_on_for=f"198.51.100.{number}"), "wrong")
    with pytest.raises(WebError, match="too many"):
        gate.sign_in(Client("203.0.113.1", "192.0.2.1", passed_on_for="198.51.100.9"), TOKEN)


def test_all_together_may_try_only_so_often() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(30):
        assert not attempts.wait(f"198.51.100.{number}")
        attempts.wrong(f"198.51.100.{number}")
    assert attempts.wait("203.0.113.1")
