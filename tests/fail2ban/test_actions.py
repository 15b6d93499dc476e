"""The `action` of a jail: which become routes, and which are reported."""

from pathlib import Path

import pytest

from sidecar.fail2ban.actions import judge
from sidecar.fail2ban.syntax.files import ConfigFiles


def files(root: Path, **actions: str) -> ConfigFiles:
    (root / "action.d").mkdir(exist_ok=True)
    for name, text in actions.items():
        (root / "action.d" / name.replace("_DOT_", ".").replace("__", "-")).write_text(text)
    return ConfigFiles([root])


@pytest.mark.parametrize(
    "text",
    [
        "route",
        "route[blocktype=blackhole]",
        'iptables-multiport[name=x, port="http,https", protocol="tcp"]',
        'nftables[type=allports]\nsendmail-whois-lines[name=a, dest="root"]',
        "ufw hostsdeny",
    ],
)
def test_an_action_that_refuses_an_address_becomes_a_route(tmp_path: Path, text: str) -> None:
    found = judge(text, files(tmp_path).action)
    assert (found.bans, found.errors) == (True, [])


@pytest.mark.parametrize("text", ["sendmail[name=x]", "abuseipdb[key=x]", "cloudflare", ""])
def test_an_action_that_only_notifies_bans_nobody_and_causes_a_warning(tmp_path: Path, text: str) -> None:
    found = judge(text, files(tmp_path).action)
    assert (found.bans, found.errors) == (False, [])
    assert bool(found.warnings) == bool(text)


def test_a_custom_command_is_rejected_with_an_alternative(tmp_path: Path) -> None:
    found = judge(
        "notify", files(tmp_path, notify_DOT_conf="[Definition]\nactionban = /usr/bin/notify <ip>\n").action
    )
    (message,) = found.errors
    assert "action = route" in message


def test_a_stock_action_may_exist_as_a_file_but_not_with_a_custom_command(tmp_path: Path) -> None:
    stock = "[Definition]\nactionban = ip route add <blocktype> <ip>\n"
    assert judge("route", files(tmp_path, route_DOT_conf=stock).action).errors == []
    own = files(
        tmp_path, route_DOT_conf=stock, route_DOT_local="[Definition]\nactionban = /root/my-route <ip>\n"
    )
    assert len(judge("route", own.action).errors) == 1
    blocktype = files(tmp_path, route_DOT_local="[Init]\nblocktype = blackhole\n")
    assert judge("route", blocktype.action).errors == []


def test_an_action_that_admits_the_address_is_rejected(tmp_path: Path) -> None:
    text = "iptables-allports[name=x, blocktype=RETURN, returntype=DROP]"
    assert "admits the address" in judge(text, files(tmp_path).action).errors[0]


def test_a_missing_action_is_named(tmp_path: Path) -> None:
    assert "action gone not found" in judge("gone", files(tmp_path).action).missing[0]
