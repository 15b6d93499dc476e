"""The client of a chain of addresses, and suspected proxies that are not configured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.grammar import Trust, mailbox
from sidecar.detect.grammar.addresses import address, bare, canonical
from sidecar.detect.grammar.trust import Blamed
from sidecar.network import Network

A, V, LAN = "203.0.113.7", "198.51.100.99", "192.168.20.50"
TRUST = Trust([Network.parse("10.0.0.9")], [Network.parse("192.0.2.0/24")])


@pytest.mark.parametrize(
    ("elements", "blamed"),
    [
        ([A], Blamed(A)),
        ([V, A], Blamed(A)),
        ([V, LAN, A], Blamed(A)),
        ([A, "10.0.0.9"], Blamed(A)),
        ([A, LAN], Blamed(relay=LAN, named=A)),
        ([V, A, LAN, "10.0.0.9"], Blamed(relay=LAN, named=A)),
        (["unknown", LAN], Blamed(relay=LAN)),
        ([LAN, LAN], Blamed(LAN)),
        ([f"{LAN}:4711", LAN], Blamed(LAN)),
        ([A, "192.0.2.7"], Blamed(relay="192.0.2.7", named=A)),
        ([A, "100.64.3.4"], Blamed(relay="100.64.3.4", named=A)),
        ([A, "169.254.3.4"], Blamed(relay="169.254.3.4", named=A)),
        ([A, "[fd00:0:0:0:0:0:0:5]:4711"], Blamed(relay="fd00::5", named=A)),
        ([A, "fe80::1%eth0"], Blamed(relay="fe80::1", named=A)),
        ([A, "::ffff:172.18.0.4"], Blamed(relay="172.18.0.4", named=A)),
        (["[2001:db8::7]:40001", LAN], Blamed(relay=LAN, named="2001:db8::7")),
        (["10.0.0.9"], Blamed(masked="10.0.0.9")),
        ([A, "nonsense"], Blamed()),
        ([], Blamed()),
    ],
)
def test_a_peer_on_an_internal_network_that_forwards_is_not_blamed(
    elements: list[str], blamed: Blamed
) -> None:
    assert TRUST.blamed(elements) == blamed


@pytest.mark.parametrize("client", [A, "172.32.0.1", "100.128.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::7"])
@given(forged=st.text(max_size=60), via=st.text(max_size=30))
def test_nothing_that_somebody_outside_says_spares_him_or_names_a_proxy(
    client: str, forged: str, via: str
) -> None:
    def escaped(text: str) -> str:
        return text.replace(";", ";;").replace("\r", " ").replace("\n", " ")

    for words in (forged, f"{forged}, {LAN}", LAN, "10.0.0.9"):
        context = f"ip={client};oip={escaped(words)};via={escaped(via)};"
        facts = mailbox.client(f" WARN  [ImapServer-1] [{context}] security - x", TRUST)
        assert (facts.client, facts.relay) == (client, None)
        # The same through Zimbra's nginx, which appends the address of its peer.
        facts = mailbox.client(f" INFO  [qtp1:https://m/x] [oip={escaped(words)}, {client};] x - y", TRUST)
        assert (facts.client, facts.relay) == (client, None)


@pytest.mark.parametrize(
    ("context", "relay"),
    [
        (f"ip={LAN};oip={A};via=192.168.20.52(nginx/1.7.1);", LAN),
        (f"oip={A};ip={LAN};", LAN),
        (f"ip={LAN};via={A}(ZimbraWebClient/8);", LAN),
        (f"ip={LAN};oip=;", None),
        (f"ip={LAN};", None),
        (f"ip={LAN};oip={LAN};", None),
        (f"ip=10.0.0.9;oip={LAN};via=10.0.0.9(nginx/1.7.1);", None),
        (f"via={A}(ZimbraWebClient/8);", None),
    ],
)
def test_a_context_with_a_client_beside_the_peer_shows_a_proxy(context: str, relay: str | None) -> None:
    facts = mailbox.client(f" WARN  [ImapServer-1] [{context}] security - x", TRUST)
    assert facts.relay == relay
    assert facts.client is None or relay is None


def test_a_peer_configured_later_is_trusted() -> None:
    trust = Trust(())
    assert trust.blamed([A, LAN]).relay == LAN
    trust.trust_also([Network.parse(LAN)], ())
    assert trust.blamed([A, LAN]) == Blamed(A)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (A, A),
        (f"{A}:40001", A),
        (f"[{A}]:40001", A),
        ("[2001:db8:0:0:0:0:0:5]", "2001:db8::5"),
        ("[2001:db8::5]:40001", "2001:db8::5"),
        ("2001:DB8::5", "2001:db8::5"),
        ("[fe80::1%eth0]:25", "fe80::1"),
        ("fe80:0:0:0:0:0:0:1%2", "fe80::1"),
        ("[::ffff:203.0.113.7]:40001", A),
        (" 203.0.113.7 ", A),
        ("203.0.113.0/24", None),
        ("203.0.113.7/32", None),
        ("203.0.113.7:x", None),
        ("203.0.113.7.evil", None),
        ("[attacker_ip]", None),
        ("", None),
    ],
)
def test_an_address_is_read_in_all_forms_that_servers_write(token: str, text: str | None) -> None:
    found = address(token)
    assert (found and found.address) == text
    if text is not None:
        assert canonical(token.strip()) == text


def test_the_end_of_an_ipv6_address_is_a_port_only_where_one_must_follow() -> None:
    assert bare("2001:db8::5:4001") == "2001:db8::5"
    assert canonical("2001:db8::5:4001") == "2001:db8::5:4001"
    assert bare("[2001:db8::5:4001]:7") == "2001:db8::5:4001"
