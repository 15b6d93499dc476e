"""Jails and filters of a configuration."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.fail2ban import jails
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.fail2ban.syntax.naming import split_name
from sidecar.model import LONGEST, ConfigError
from sidecar.network import Network

FILTER = "[Definition]\nfailregex = ^ host \\S+: bad from <HOST>$\n"


def write(root: Path, **files: str) -> ConfigFiles:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return ConfigFiles([root])


def load(root: Path, jail: str, filter_text: str = FILTER) -> jails.Configuration:
    return jails.load(write(root, filter_DOT_d__a_DOT_conf=filter_text, jail_DOT_local=jail))


def test_a_jail_is_read_with_all_its_options(tmp_path: Path) -> None:
    text = (
        "[DEFAULT]\nfindtime = 1d\n[a]\nenabled = yes\nlogpath = /var/log/x*.log\n  /y.log tail\nmaxretry = 2\n"
        "bantime = -1\nignoreip = 127.0.0.1/8, 2001:db8::/32 10.0.0.0/255.0.0.0\nlogtimezone = Asia/Kolkata\n"
        "zmban.ipv6_prefix = 56\nzmban.dry_run = true\n"
    )
    found = load(tmp_path, text)
    assert found.faults == []
    jail = found.jails["a"]
    assert (jail.maxretry, jail.findtime, jail.bantime) == (2, 86400, None)
    assert [(p.glob, p.tail) for p in jail.logpath] == [("/var/log/x*.log", False), ("/y.log", True)]
    assert jail.ignoreip == tuple(Network.parse(t) for t in ("127.0.0.0/8", "2001:db8::/32", "10.0.0.0/8"))
    assert (jail.ipv6_prefix, jail.dry_run) == (56, True)


def test_a_regex_that_does_not_compile_is_named_by_its_own_line(tmp_path: Path) -> None:
    found = load(
        tmp_path, "[a]\nenabled=1\nlogpath=/x\n", "[Definition]\nfailregex = <HOST> a\n    <HOST> (b\n"
    )
    (fault,) = found.faults
    assert (fault.file, fault.line) == (str(tmp_path / "filter.d/a.conf"), 3)


def test_a_port_is_accepted_with_the_warning_that_a_route_blocks_all_ports(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\nport = 25,465\n")
    assert list(found.jails) == ["a"]
    assert [f.warning for f in found.faults] == [True]
    assert "all ports" in found.faults[0].message


def test_a_later_directory_overrides_a_jail_option_by_option(tmp_path: Path) -> None:
    write(
        tmp_path / "shipped",
        filter_DOT_d__a_DOT_conf=FILTER,
        jail_DOT_d__z_DOT_conf="[a]\nenabled=1\nlogpath=/x\nmaxretry=2\n",
    )
    write(tmp_path / "own", jail_DOT_local="[a]\nmaxretry = 7\n")
    found = jails.load(ConfigFiles([tmp_path / "shipped", tmp_path / "own"]))
    assert found.jails["a"].maxretry == 7
    assert found.jails["a"].logpath[0].glob == "/x"


def test_a_jail_gives_its_filter_parameters_and_they_reach_the_regex(tmp_path: Path) -> None:
    text = "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^<_who> helo=<<helo>> from <HOST>$\n[Init]\nhelo = (?!)\n"
    write(tmp_path, filter_DOT_d__common_DOT_conf="[DEFAULT]\n_who = \\S+ %(__name__)s\n")
    found = load(tmp_path, '[a]\nenabled=1\nlogpath=/x\nfilter = a[helo="x\\.example"]\n', text)
    assert [str(f) for f in found.faults] == []
    regex = found.jails["a"].filter.failregex[0].regex
    assert regex.search("h Definition helo=<x.example> from 203.0.113.7")


def test_a_parameter_that_refers_to_itself_is_a_fault_and_not_an_endless_loop(tmp_path: Path) -> None:
    found = load(
        tmp_path, "[a]\nenabled=1\nlogpath=/x\n", "[Definition]\nx = <y>\ny = <x>\nfailregex = <x> <HOST>\n"
    )
    assert "refers to itself" in str(found.faults[0])


@pytest.mark.parametrize("text", ["a[b=c", "a]b", "", "a[=]"])
def test_an_invalid_filter_name_is_rejected(text: str) -> None:
    with pytest.raises(ConfigError):
        split_name(text)


def test_options_of_a_filter_keep_their_quoted_commas() -> None:
    assert split_name("sshd[mode=normal, x=\"a,b\"][y='c']") == (
        "sshd",
        {"mode": "normal", "x": "a,b", "y": "c"},
    )


def test_the_shipped_jails_use_the_ignoreip_of_the_administrator_s_default(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config"
    write(tmp_path, jail_DOT_local="[DEFAULT]\nignoreip = 203.0.113.0/24\n")
    found = jails.load(ConfigFiles([shipped, tmp_path]))
    assert {j.ignoreip for j in found.jails.values()} == {(Network.parse("203.0.113.0/24"),)}


def test_an_umlaut_in_another_encoding_loses_no_option(tmp_path: Path) -> None:
    write(tmp_path, filter_DOT_d__a_DOT_conf=FILTER)
    text = "\ufeff[a]\nenabled=1\nlogpath=/x\n"
    (tmp_path / "jail.conf").write_text(text, encoding="utf-8")
    (tmp_path / "jail.local").write_bytes(b"# B\xfcro\n[a]\nignoreip = 203.0.113.7\n")
    found = jails.load(ConfigFiles([tmp_path]))
    assert found.jails["a"].ignoreip == (Network.parse("203.0.113.7"),)
    assert [(f.line, f.warning) for f in found.faults] == [(1, True)]


@pytest.mark.parametrize(
    "option",
    [
        "maxretry = --5",
        "maxretry = \u0665",
        "failregex = x{99999999999999999999} <HOST>",
        "failregex = " + "(" * 3000 + "<HOST>",
        "logencoding = utf-16",
        "logencoding = rot13",
        "datepattern = {UNB}%Y",
    ],
)
def test_no_value_breaks_the_parser(tmp_path: Path, option: str) -> None:
    found = load(tmp_path, f"[a]\nenabled=1\nlogpath=/x\n{option}\n")
    assert found.degraded | found.stopped == {"a"}


def test_an_include_is_found_in_another_layer_and_a_missing_one_is_reported(tmp_path: Path) -> None:
    text = "[INCLUDES]\nbefore = common.conf\n  gone.conf\n  quiet.local\n[Definition]\nfailregex = ^<_who> <HOST>$\n"
    write(tmp_path / "one", filter_DOT_d__common_DOT_conf="[DEFAULT]\n_who = root\n")
    (tmp_path / "one/filter.d/common.local").symlink_to("/nowhere")
    write(tmp_path / "two", filter_DOT_d__a_DOT_conf=text, jail_DOT_local="[a]\nenabled=1\nlogpath=/x\n")
    found = jails.load(ConfigFiles([tmp_path / "one", tmp_path / "two"]))
    assert found.jails["a"].filter.failregex[0].regex.search("root 203.0.113.7")
    assert ["gone.conf" in f.message and f.warning for f in found.faults] == [True]


def test_an_include_that_is_a_directory_or_itself_ends(tmp_path: Path) -> None:
    text = f"[INCLUDES]\nbefore = /\n  a.conf\n{FILTER}"
    assert load(tmp_path, "[a]\nenabled=1\nlogpath=/x\n", text).jails


def test_a_ban_of_more_than_a_hundred_years_is_for_ever(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\nbantime = 99999999999999999\n")
    assert found.jails["a"].bantime is None
    (fault,) = found.faults
    assert fault.warning
    assert str(fault).endswith("bantime = 1e+17 is longer than 100 years and counts as for ever; write -1")


def test_a_longer_findtime_counts_as_a_hundred_years_with_a_warning(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\nfindtime = 99999y\n")
    assert found.jails["a"].findtime == LONGEST
    assert [fault.warning for fault in found.faults] == [True]


@pytest.mark.parametrize(
    "option", ["bantime.maxtime = 0", "bantime.maxtime = -5", "bantime.rndtime = -1m", "bantime = --1"]
)
def test_a_time_that_would_end_bans_at_once_is_not_used(tmp_path: Path, option: str) -> None:
    found = load(tmp_path, f"[a]\nenabled=1\nlogpath=/x\nbantime.increment = true\n{option}\n")
    assert (found.jails["a"].bantime, found.jails["a"].increment) == (600, Increment())
    assert option.split(" ")[0] in str(found.faults[0])


def test_a_maxtime_of_more_than_a_hundred_years_is_no_limit(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\nbantime.increment = true\nbantime.maxtime = 500y\n")
    assert found.jails["a"].increment == Increment()
    assert [fault.warning for fault in found.faults] == [True]


def test_a_jail_that_is_neither_enabled_nor_disabled_is_named(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled = true # yes\nlogpath=/x\n")
    assert [str(f).split("jail.local:")[1].partition(";")[0] for f in found.faults] == [
        "2: enabled = 'true # yes' is neither true nor false"
    ]


def test_the_image_s_defaults_are_those_of_a_stock_jail_conf_and_none_are_built_in() -> None:
    """A jail.local that omits a value has the same value as over Fail2Ban's own jail.conf."""
    text = "[a]\nenabled=1\nfilter=zimbra-smtp\nlogpath=%(sshd_log)s\naction=%(action_mwl)s\n"
    shipped = Path(__file__).parents[2] / "config"
    with TemporaryDirectory() as place:
        write(Path(place), jail_DOT_local=text)
        jail = jails.load(ConfigFiles([shipped, Path(place)])).jails["a"]
    assert (jail.maxretry, jail.findtime, jail.bantime, jail.maxmatches) == (5, 600, 600, 5)
    assert (jail.logpath[0].glob, jail.dry_run, jail.filter.usedns) == ("/var/log/auth.log", False, "warn")


def test_without_any_default_the_built_in_ones_apply(tmp_path: Path) -> None:
    jail = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\n").jails["a"]
    assert (jail.maxretry, jail.findtime, jail.bantime, jail.maxmatches) == (3, 600, 600, 5)


def test_all_options_of_growing_ban_times_are_read(tmp_path: Path) -> None:
    text = (
        "bantime.increment = true\nbantime.factor = 2.0 / 2.885385\nbantime.multipliers = 1 2 4\n"
        "bantime.maxtime = 5w\nbantime.rndtime = 30m\nbantime.overalljails = yes\n"
    )
    found = load(tmp_path, f"[a]\nenabled=1\nlogpath=/x\n{text}").jails["a"].increment
    assert found == Increment(2.0 / 2.885385, None, (1, 2, 4), 3024000, 1800, True)
    assert load(tmp_path, "[a]\nenabled=1\nlogpath=/x\n").jails["a"].increment is None


def test_a_jail_sets_its_regexes_itself_and_extends_those_of_its_filter(tmp_path: Path) -> None:
    text = "[a]\nenabled=1\nlogpath=/x\nfailregex = %(known/failregex)s\n  more <HOST>\n[b]\nenabled=1\nlogpath=/x\nfailregex = own <HOST>\nfilter =\n"
    found = load(tmp_path, text).jails
    assert [p.text for p in found["a"].filter.failregex] == [r"^ host \S+: bad from <HOST>$", "more <HOST>"]
    assert [p.text for p in found["b"].filter.failregex] == ["own <HOST>"]


def test_a_jail_of_the_user_overrides_a_shipped_one_option_by_option(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config"
    write(tmp_path, jail_DOT_local="[zimbra-smtp]\nmaxretry = 9\n")
    jail = jails.load(ConfigFiles([shipped, tmp_path])).jails["zimbra-smtp"]
    assert (jail.maxretry, jail.findtime, jail.bantime) == (9, 86400, 360000000)


def test_one_jail_is_read_whether_it_is_enabled_or_not(tmp_path: Path) -> None:
    files = write(tmp_path, filter_DOT_d__a_DOT_conf=FILTER, jail_DOT_local="[a]\nlogpath=/x\n")
    spec, faults = jails.one(files, "a")
    assert spec is not None
    assert (spec.name, faults) == ("a", [])
    assert jails.one(files, "gone") == (None, [])


def test_a_fault_of_an_unset_option_names_the_line_that_enables_the_jail(tmp_path: Path) -> None:
    (fault,) = load(tmp_path, "[gone]\nenabled=1\nlogpath=/x\n").faults
    assert str(fault).startswith(f"{tmp_path}/jail.local:2: filter gone not found")
