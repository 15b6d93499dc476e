"""X-Forwarded-For in any field of an access log: the proxy is not blamed for its clients."""

from __future__ import annotations

import pytest

from sidecar.detect.grammar import Trust, access
from sidecar.network import Network

A, B, LAN = "203.0.113.7", "198.51.100.99", "192.168.20.50"
TRUST = Trust([Network.parse("10.0.0.9")], [Network.parse("192.0.2.0/24")])
ZIMBRA = '"10.0.0.1:8443" "10.0.0.2:443"'
LINE = '{} - - []  "GET https://mail/wp-login.php HTTP/1.1" 404 5 "{}" "{}" {}'


def blamed(peer: str, behind: str, referer: str = "-", agent: str = "ua") -> tuple[str | None, str | None]:
    facts = access.with_port(LINE.format(peer, referer, agent, behind), TRUST)
    return facts.client, facts.relay


NAMED = [
    f'"{A}"',
    f'{ZIMBRA} "{A}"',
    f'"10.0.0.1:8443" "{A}"',
    f'"-" "10.0.0.2:443" "{A}"',
    f'"10.0.0.1:8443, 10.0.0.3:8443" "10.0.0.2:443" "{A}"',
    f'"203.0.113.50:8443" "203.0.113.50:443" "{A}"',
    f'"[fd00::1]:8443" "fd00::2:443" "{A}"',
    f'{ZIMBRA} "{B}, {A}"',
    f'{ZIMBRA} "{B},{A}"',
    f'{ZIMBRA} "unknown, {A}"',
    f'{ZIMBRA} "\\x22> zzz, {A}"',
    f'"{A}" "-"',
    f'{ZIMBRA} "{A}" "-"',
    f'0.003 "{A}"',
    f'{ZIMBRA} 0.003 "{A}" 0.001 "-" TLSv1.3',
    f'"0.003" "{A}"',
    f'xff="{A}"',
    f'{ZIMBRA} rt=0.003 xff="{B}, {A}" host="mail"',
    f'http_x_forwarded_for="{A}" host="{B}"',
    f'"{A}" host="{B}" upstream=10.0.0.1',
    f'xff="{A}" "{B}"',
    f"xff={A}",
    f"0.003 {A}",
    f"{ZIMBRA} {B}, {A}",
    f'{ZIMBRA} "{A}:40001"',
    f'{ZIMBRA} "::ffff:{A}"',
]


@pytest.mark.parametrize("behind", NAMED)
@pytest.mark.parametrize(
    ("peer", "who"),
    [
        ("10.0.0.9:4001", (A, None)),
        (f"{LAN}:4001", (None, LAN)),
        ("100.64.0.9:4001", (None, "100.64.0.9")),
        ("169.254.0.9:4001", (None, "169.254.0.9")),
        ("192.0.2.9:4001", (None, "192.0.2.9")),
        ("fd00::9:4001", (None, "fd00::9")),
        (f"{B}:4001", (B, None)),
        ("2001:db8::9:4001", ("2001:db8::9", None)),
    ],
)
def test_an_internal_proxy_is_not_blamed_and_an_external_peer_is(
    peer: str, who: tuple[str | None, str | None], behind: str
) -> None:
    assert blamed(peer, behind) == who


@pytest.mark.parametrize(
    "behind",
    [
        "",
        ZIMBRA,
        f'{ZIMBRA} "-"',
        '"-" "10.0.0.2:443"',
        '"203.0.113.50:8443" "203.0.113.50:443"',
        '"-" "203.0.113.50:443"',
        '"[fd00::1]:8443" "fd00::2:443"',
        '"-" "2001:db8::2:443"',
        '"10.0.0.1:8443, 10.0.0.3:8443 : 10.0.0.4:8443" "10.0.0.2:443"',
        '"10.0.0.1:8443" 0.003 "mail.example.com" "Mozilla, like Gecko"',
        f"{ZIMBRA} host={A} upstream=10.0.0.1:80",
        f'host="{A}"',
    ],
)
def test_upstream_servers_are_not_taken_for_forwarded_clients(behind: str) -> None:
    for peer in ("10.0.0.9", LAN, "fd00::9", A):
        assert blamed(f"{peer}:4001", behind) == (peer, None)


@pytest.mark.parametrize(
    "words", [A, f"\\x22 \\x22{A}", f"x\\x22 xff=\\x22{A}\\x22", f"{A}, {LAN}", f"xff={A}"]
)
@pytest.mark.parametrize("behind", ["", ZIMBRA, f'{ZIMBRA} "-"'])
def test_a_referer_or_user_agent_that_imitates_a_field_names_no_client(words: str, behind: str) -> None:
    for peer in ("10.0.0.9", LAN, B):
        assert blamed(f"{peer}:4001", behind, words, words) == (peer, None)


@pytest.mark.parametrize("behind", [f'"{A}" "{B}"', f'"{B}, {A}" "{B}"', f"xff={B} zzz, {A}", f"{B} x {A}"])
def test_behind_a_trusted_proxy_two_contradictory_fields_name_no_client(behind: str) -> None:
    assert blamed("10.0.0.9:4001", behind) == ("10.0.0.9", None)
    assert blamed(f"{LAN}:4001", behind) == (None, LAN)


def test_a_forged_quotation_mark_in_jetty_s_log_names_no_client_behind_a_trusted_proxy() -> None:
    for peer, who in (("10.0.0.9", ("10.0.0.9", None)), (LAN, (None, LAN)), (B, (B, None))):
        facts = access.without_port(LINE.format(peer, "-", f'x" "{A}', "12"), TRUST)
        assert (facts.client, facts.relay) == who


def test_a_list_of_any_length_is_read_from_the_right() -> None:
    assert blamed("10.0.0.9:4001", f'{ZIMBRA} "{"x, " * 5000}{A}"') == (A, None)


def test_networks_that_become_known_later_apply_to_fields_read_before() -> None:
    trust = Trust([Network.parse("192.0.2.1")])
    line = LINE.format("192.0.2.1:443", "-", "ua", f'{ZIMBRA} "{A}:40001"')
    assert access.with_port(line, trust).client == A
    trust.trust_also((), [Network.parse(A)])
    assert access.with_port(line, trust).client == "192.0.2.1"
