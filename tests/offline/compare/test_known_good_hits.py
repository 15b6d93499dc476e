"""Which lines are searched for logins from banned networks."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.detect.grammar import Trust
from sidecar.detect.prefilter import multipattern
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.offline.compare import known_good_hits
from sidecar.offline.compare.ban_diff import AFTER, BanDiff
from sidecar.offline.compare.known_good_hits import Known, KnownGoodHits, LoginSieve, literals

MARKERS = (b", sasl_username=",)
v4 = st.builds(
    lambda value, length: Network(4, value, 32).supernet(length),
    st.integers(0, 2**32 - 1),
    st.integers(8, 32),
)
v6 = st.builds(
    lambda value, length: Network(6, value, 128).supernet(length),
    st.integers(1 << 112, 2**128 - 1) | st.just(0x20010DB8 << 96),
    st.integers(16, 128),
)


def written(network: Network, host: int) -> list[str]:
    """An address of the network, as programs write it."""
    bits = 32 if network.version == 4 else 128
    value = network.value | host & ((1 << bits - network.length) - 1)
    if network.version == 4:
        return [str(ipaddress.IPv4Address(value))]
    address = ipaddress.IPv6Address(value)
    # Java writes all groups, without leading zeros.
    groups = ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))
    return [str(address), str(address).upper(), groups]


@settings(deadline=None)
@given(st.lists(v4 | v6, min_size=1, max_size=5), st.integers(0, 2**128), st.integers(0, 4))
def test_every_login_from_a_banned_network_is_found(networks: list[Network], host: int, which: int) -> None:
    sieve = LoginSieve(MARKERS, literals(lambda: networks))
    for text in written(networks[which % len(networks)], host):
        line = f"Jan  5 10:00:00 mail postfix/smtpd[1]: A: client=h[{text}], sasl_method=L, sasl_username=bob".encode()
        data = b"Jan  5 10:00:00 x\n" + line + b"\n"
        assert [found for found, _ in sieve.sift(data).candidates] == [line]
        assert sieve.sift(line.replace(b"sasl_user", b"other") + b"\n").candidates == []


def test_many_networks_are_searched_by_shorter_beginnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_good_hits, "_MOST_LITERALS", 3)

    def texts(*networks: str) -> set[bytes] | None:
        found = literals(lambda: map(Network.parse, networks))
        return None if found is None else {one.text for one in found}

    assert texts("198.51.100.1", "198.51.100.2", "203.0.113.0/24") == {
        b"198.51.100.1",
        b"198.51.100.2",
        b"203.0.113.",
    }
    assert texts(*(f"198.51.100.{n}" for n in range(9))) == {b"198.51.100."}
    assert texts(*(f"198.51.{n}.1" for n in range(9)), "2001:db8:1:2::/64") == {b"198.51.", b"2001:db8:"}
    # Too many: every line that shows a login is read.
    assert texts(*(f"198.{n}.100.1" for n in range(9))) is None
    assert texts("::2/128") is None


def test_without_hyperscan_every_login_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_good_hits, "refused", lambda: "no SSSE3")
    sieve = LoginSieve(MARKERS, [multipattern.Text(b"198.51.100.1", caseless=True)])
    assert len(sieve.sift(b"x, sasl_username=a\nx\ny, sasl_username=b\n").candidates) == 2


AUDIT = "2026-01-05 10:00:0{},001 INFO  [qtp1:https://m/x] [oip={};ua=x;] security - cmd=Auth; account={}; protocol=soap;"
CLEAN = (
    "Jan  5 10:00:09 mail amavis[1]: (1-02) Passed CLEAN {{RelayedInbound}}, [{0}]:48460 [{0}] <a@x> -> <b@y>"
)
PROXY, CLIENT, SERVER = "192.0.2.10", "198.51.100.7", "203.0.113.25"


def test_logins_are_read_from_every_log_and_from_whom_the_proxies_name(tmp_path: Path) -> None:
    audit, mail = tmp_path / "audit.log", tmp_path / "zimbra.log"
    lines = [AUDIT.format(1, CLIENT, "Bob@x"), AUDIT.format(2, f"{CLIENT}, {PROXY}", "eve@x")]
    lines += [AUDIT.format(3, "198.51.100.70", "other@x"), AUDIT.format(4, "2001:db8:0:1:0:0:0:5", "ann@x")]
    audit.write_text("\n".join(lines), encoding="utf-8")
    mail.write_text(CLEAN.format(SERVER) + "\n", encoding="utf-8")
    diff, wide = BanDiff(), Network.parse("203.0.113.0/24")
    client, ipv6 = Network.parse(CLIENT), Network.parse("2001:db8:0:1::/64")
    for network in (client, wide, ipv6):
        diff.take(AFTER, Ban(network, "smtp", 0.0, None, "log"))
    logs = {str(audit): "audit.log", str(mail): "zimbra.log", str(tmp_path / "x"): "nginx.log"}

    def read(*trusts: Trust) -> KnownGoodHits:
        hits = KnownGoodHits(diff)
        hits.read(logs, UTC, trusts, datetime(2026, 1, 6, tzinfo=UTC).timestamp(), lambda _: None)
        return hits

    trusting, plain = Trust([Network.parse(PROXY)]), Trust([])
    hits = read(plain)
    assert hits.of(client, 0) == Known(("bob@x",))
    assert hits.of(wide, 0) == Known((), mail_server=True)
    assert hits.of(ipv6, 0) == Known(("ann@x",))
    assert not hits.of(client, datetime(2026, 1, 5, 10, 0, 2, tzinfo=UTC).timestamp())
    for trusts in ((trusting,), (plain, trusting)):
        assert read(*trusts).of(client, 0).accounts == ("bob@x", "eve@x")
