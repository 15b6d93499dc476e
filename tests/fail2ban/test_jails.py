"""Jails and filters of a configuration."""

from pathlib import Path

import pytest

from sidecar.fail2ban import filters, jails
from sidecar.fail2ban.files import ConfigFiles
from sidecar.model import ConfigError, Network

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


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("maxretry = five", "maxretry"),
        ("maxretry = 5 # five", "' ;'"),
        ("bantime =", "bantime"),
        ("findtime = abc", "findtime"),
        ("logtimezone = Europe/Nowhere", "Europe/Zurich"),
        ("logencoding = utf-99", "logencoding"),
        ("ignorecommand = /bin/true", "ignoreip"),
        ("action = mycommand", "action = route"),
        ("filter = nowhere", "nowhere is not there"),
        ("filter = a[b", "write name"),
        ("failregex = (", "does not compile"),
        ("failregex = no host", "no <HOST>"),
        ("maxmatches = %(gone)s", "not set anywhere"),
        ("maxmatches = 5%", "write %%"),
    ],
)
def test_one_bad_jail_is_named_with_file_and_line_and_stops_only_itself(
    tmp_path: Path, option: str, words: str
) -> None:
    text = f"[bad]\nenabled = true\nfilter = a\nlogpath = /x\n{option}\n[a]\nenabled = true\nlogpath = /x\n"
    if option.startswith("filter"):
        text = text.replace("filter = a\n", "", 1)
    found = load(tmp_path, text)
    assert list(found.jails) == ["a"]
    assert found.broken == {"bad"}
    assert any(words in str(f) and "jail.local:" in str(f) for f in found.faults)


def test_a_regex_that_does_not_compile_is_named_by_its_own_line(tmp_path: Path) -> None:
    found = load(
        tmp_path, "[a]\nenabled=1\nlogpath=/x\n", "[Definition]\nfailregex = <HOST> a\n    <HOST> (b\n"
    )
    (fault,) = found.faults
    assert (fault.file, fault.line) == (str(tmp_path / "filter.d/a.conf"), 3)


def test_a_port_is_accepted_with_the_warning_that_a_route_closes_every_port(tmp_path: Path) -> None:
    found = load(tmp_path, "[a]\nenabled=1\nlogpath=/x\nport = 25,465\n")
    assert list(found.jails) == ["a"]
    assert [f.warning for f in found.faults] == [True]
    assert "every port" in found.faults[0].message


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


def test_a_parameter_that_leads_back_to_itself_is_a_fault_and_no_endless_loop(tmp_path: Path) -> None:
    found = load(
        tmp_path, "[a]\nenabled=1\nlogpath=/x\n", "[Definition]\nx = <y>\ny = <x>\nfailregex = <x> <HOST>\n"
    )
    assert "refers to itself" in str(found.faults[0])


@pytest.mark.parametrize("text", ["a[b=c", "a]b", "", "a[=]"])
def test_a_filter_name_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        filters.split_name(text)


def test_options_of_a_filter_keep_their_quoted_commas() -> None:
    assert filters.split_name("sshd[mode=normal, x=\"a,b\"][y='c']") == (
        "sshd",
        {"mode": "normal", "x": "a,b", "y": "c"},
    )
