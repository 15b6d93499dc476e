"""What becomes of the actions that a jail names."""

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
def test_an_action_that_only_tells_somebody_bans_nobody_and_says_so(tmp_path: Path, text: str) -> None:
    found = judge(text, files(tmp_path).action)
    assert (found.bans, found.errors) == (False, [])
    assert bool(found.warnings) == bool(text)


def test_a_command_of_one_s_own_is_refused_with_what_to_use_instead(tmp_path: Path) -> None:
    found = judge(
        "notify", files(tmp_path, notify_DOT_conf="[Definition]\nactionban = /usr/bin/notify <ip>\n").action
    )
    (message,) = found.errors
    assert "action = route" in message


def test_a_stock_action_may_be_there_as_a_file_and_not_with_a_command_of_one_s_own(tmp_path: Path) -> None:
    stock = "[Definition]\nactionban = ip route add <blocktype> <ip>\n"
    assert judge("route", files(tmp_path, route_DOT_conf=stock).action).errors == []
    own = files(
        tmp_path, route_DOT_conf=stock, route_DOT_local="[Definition]\nactionban = /root/my-route <ip>\n"
    )
    assert len(judge("route", own.action).errors) == 1
    blocktype = files(tmp_path, route_DOT_local="[Init]\nblocktype = blackhole\n")
    assert judge("route", blocktype.action).errors == []


def test_an_action_that_lets_somebody_in_is_refused(tmp_path: Path) -> None:
    text = "iptables-allports[name=x, blocktype=RETURN, returntype=DROP]"
    assert "lets somebody in" in judge(text, files(tmp_path).action).errors[0]


def test_an_action_that_is_nowhere_is_named(tmp_path: Path) -> None:
    assert "action gone is not there" in judge("gone", files(tmp_path).action).missing[0]
