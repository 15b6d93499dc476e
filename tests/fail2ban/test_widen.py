"""`zmban.widen`: a list of prefix lengths with numbers of units and times."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.fail2ban.zmban_options import WidenRule
from tests.fail2ban.test_jails import load

JAIL = "[a]\nenabled=1\nlogpath=/x\n"
DAY = 86400.0


def test_each_entry_is_a_prefix_a_number_of_units_and_a_time(tmp_path: Path) -> None:
    found = load(tmp_path, f"[DEFAULT]\nzmban.widen = 24:5:7d, 22:20:1d12h\n  56:4:3600 24:5:7d\n{JAIL}")
    assert found.faults == []
    assert found.jails["a"].widen == (
        WidenRule(24, 5, 7 * DAY, "7d"),
        WidenRule(22, 20, 1.5 * DAY, "1d12h"),
        WidenRule(56, 4, 3600.0, "3600"),
    )
    assert [rule.version for rule in found.jails["a"].widen] == [4, 4, 6]


def test_no_prefix_is_banned_by_default_and_a_jail_can_leave_the_option_of_all_out(tmp_path: Path) -> None:
    assert load(tmp_path, JAIL).jails["a"].widen == ()
    assert load(tmp_path, f"[DEFAULT]\nzmban.widen = 24:5:7d\n{JAIL}zmban.widen =\n").jails["a"].widen == ()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("24", "is not a prefix length, a number of units and a time"),
        ("24:5", "is not a prefix length, a number of units and a time"),
        ("/24:5:7d", "is not a prefix length, a number of units and a time"),
        ("24:5:7d:1", "is not a time value"),
        ("15:5:7d", "a prefix length is 16 to 30 (IPv4) or 32 to 63 (IPv6)"),
        ("31:2:7d", "a prefix length is 16 to 30 (IPv4) or 32 to 63 (IPv6)"),
        ("64:5:7d", "a prefix length is 16 to 30 (IPv4) or 32 to 63 (IPv6)"),
        ("28:5:7d", "a /28 is not wider than the /28 that the jail bans anyway"),
        ("57:5:7d", "a /57 is not wider than the /56 that the jail bans anyway"),
        ("24:1:7d", "the number of units of a /24 is 2 to 256"),
        ("27:33:7d", "the number of units of a /27 is 2 to 32"),
        ("16:10001:7d", "the number of units of a /16 is 2 to 10000"),
        ("24:5:0", "the time is longer than 0"),
        ("24:5:-1", "the time is longer than 0"),
        ("24:5:101y", "the time is longer than 0 and up to 100 years"),
        ("24:5:x", "'x' is not a time value"),
        ("24:5:1/0", "is not a time value"),
        ("24:\u0665:7d", "is not a prefix length"),
        ("# 24:9:9d", "a comment after a value starts with ' ;'"),
    ],
)
def test_a_wrong_entry_is_a_fault_with_its_cure_and_the_others_apply(
    tmp_path: Path, entry: str, says: str
) -> None:
    text = f"{JAIL}zmban.ipv4_prefix = 28\nzmban.ipv6_prefix = 56\nzmban.widen = 20:50:1d {entry}\n"
    found = load(tmp_path, text)
    (fault,) = found.faults
    assert says in fault.message
    assert fault.message.endswith("; write PREFIX:UNITS:TIME, such as 24:5:7d")
    assert (fault.line, fault.stops, fault.warning) == (6, False, False)
    assert found.jails["a"].widen == (WidenRule(20, 50, DAY, "1d"),)
    assert found.degraded == {"a"}
