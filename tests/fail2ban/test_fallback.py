"""A typing error never unprotects a host: the effect of each kind of fault on the configuration."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.configuration import loading
from sidecar.fail2ban import jails
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.syntax import ini
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.network import Network
from tests.fail2ban.outcome import assert_fault

SHIPPED = Path(__file__).parents[2] / "config"


def over(root: Path, text: str, **filters: str) -> jails.Configuration:
    """The shipped jails with this jail.local over them."""
    (root / "filter.d").mkdir(exist_ok=True)
    (root / "jail.local").write_text(text, encoding="utf-8")
    for name, content in filters.items():
        (root / f"filter.d/{name}.local").write_text(content, encoding="utf-8")
    return loading.load([str(SHIPPED), str(root)]).jails


def errors(found: jails.Configuration) -> list[str]:
    return list(dict.fromkeys(str(f).partition("jail.local:")[2] for f in found.faults if not f.warning))


SMTP = "[zimbra-smtp]\n"
WHOLE = "is not a whole number from 1 to 1000000"
TIME = "is not a time value; write seconds or a number with a unit, such as 10m or 1d12h"


@pytest.mark.parametrize(
    ("text", "message", "field", "value"),
    [
        ("maxretry = two", f"2: maxretry = 'two' {WHOLE}; using 2", "maxretry", 2),
        ("maxretry =", f"2: maxretry = '' {WHOLE}; using 2", "maxretry", 2),
        ("findtime = 1 dya", f"2: findtime: '1 dya' {TIME}; using 86400", "findtime", 86400.0),
        ("findtime = 0", "2: findtime = 0 is not a positive time; using 86400", "findtime", 86400.0),
        ("bantime = -5", "2: bantime = -5 never bans; write -1 for ever; using 360000000", "bantime", 3.6e8),
        ("bantime = %(gone)s", "2: %(gone)s in bantime is not set anywhere; using 360000000", "bantime", 3.6e8),
        (
            "enabled = ture",
            "2: enabled = 'ture' is neither true nor false; write true or false; using true",
            "name", "zimbra-smtp",
        ),
        (
            "logtimezone = Mars",
            "2: logtimezone = 'Mars' is unknown; write a zone such as Europe/Zurich or +0200; using none",
            "logtimezone", None,
        ),
        (
            "zmban.count = login",
            "2: zmban.count = 'login' is unknown; known are: lines, logins; using logins",
            "count", "logins",
        ),
        (
            "action = rout",
            "2: action rout not found; write action = route; using route",
            "dry_run", False,
        ),
        (
            "zmban.dry_run = treu",
            "2: zmban.dry_run = 'treu' is neither true nor false; write true or false; using true",
            "dry_run", True,
        ),
        (
            "zmban.dryrun = true",
            "2: zmban.dryrun is not a jail option; did you mean zmban.dry_run? until fixed, the jail bans nobody",
            "dry_run", True,
        ),
    ],
)  # fmt: skip
def test_an_invalid_value_is_replaced_by_that_of_the_layer_below(
    tmp_path: Path, text: str, message: str, field: str, value: object
) -> None:
    found = over(tmp_path, f"{SMTP}{text}\n")
    assert errors(found) == [message]
    assert getattr(found.jails["zimbra-smtp"], field) == value
    assert found.degraded == {"zimbra-smtp"}
    assert not found.stopped


@pytest.mark.parametrize(
    ("text", "message", "ignored"),
    [
        ("ignoreip = 192.0.2.1 203.0.113.300", "2: ignoreip: '203.0.113.300' is not an address, network, "
         "host name or file:PATH; until fixed, 203.0.113.0/24 is ignored", ["192.0.2.1/32", "203.0.113.0/24"]),
        ("ignoreip = 192.0.2.1 @@", "2: ignoreip: '@@' is not an address, network, host name or file:PATH", ["192.0.2.1/32"]),
        ("ignoreip = 192.0.2.1 file:/nowhere", "2: ignoreip: file:/nowhere cannot be read", ["192.0.2.1/32"]),
        ("ignoreip 192.0.2.1", "2: 'ignoreip 192.0.2.1' is not an option; write: name = value", ["192.0.2.1/32"]),
        ("ignoreip = %(gone)s 192.0.2.1", "2: %(gone)s in ignoreip is not set anywhere; using none",
         ["192.0.2.1/32"]),
    ],
)  # fmt: skip
def test_an_invalid_ignoreip_entry_is_dropped_and_networks_it_may_mean_are_ignored(
    tmp_path: Path, text: str, message: str, ignored: list[str]
) -> None:
    found = over(tmp_path, f"[DEFAULT]\n{text}\n")
    assert errors(found) == [message]
    assert len(found.jails) > 10
    for jail in found.jails.values():
        assert [str(network) for network in jail.ignoreip] == ignored


A, B = "192.0.2.1/32", "192.0.2.2/32"


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("[DEFAULT]\nignoreip = 192.0.2.1\n192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1\n\n192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1\n@@\n  192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1\n<<<<<<< HEAD\n  192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1\n=======\n  192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1\n  192.0.2.2\0\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.2\0\n", {B}),
        ("[DEFAULT]\nips = 192.0.2.2 %(x)s\nignoreip = 192.0.2.1 %(ips)s\n", {A, B}),
        ("[DEFAULT]\nips = 192.0.2.2\nignoreip = 192.0.2.1 %(isp)s\n", {A, B}),
        ("[DEFAULT]\nips = 192.0.2.2 %(ignoreip)s\nignoreip = 192.0.2.1 %(ips)s\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.0 / 24\n", {"192.0.2.0/32", "192.0.2.0/24"}),
        ("[DEFAULT]\nignoreip = 192.0.2.1-192.0.2.2\n", {A, B}),
        ("[DEFAULT]\nignoreip = 192.0.2.1-2\n", {A, B}),
        ("[DEFAULT]\nignoreip = \uff11\uff19\uff12.0.2.1\n", {A}),
        ("[DEFAULT]\nignoreip = 192.0.2.x\n", {"192.0.2.0/24"}),
        ("[Default]\nignoreip = 192.0.2.1\n", {A}),
        ("[DEFAULTS]\nignoreip = 192.0.2.1\n", {A}),
        ("[ DEFAULT ]\nignoreip = 192.0.2.1\n", {A}),
        ("[GLOBAL]\nignoreip = 192.0.2.1\n", {A}),
        ("[zimbra_smtp]\nignoreip = 192.0.2.1\n", {A}),
        ("[DEFAULT\nignoreip = 192.0.2.1\n", {A}),
    ],
)
def test_no_jail_bans_the_hosts_of_an_ignoreip_in_a_faulty_place(
    tmp_path: Path, text: str, ignored: set[str]
) -> None:
    for jail in over(tmp_path, text).jails.values():
        assert {*map(str, jail.ignoreip)} >= ignored, jail.name


def test_host_names_of_a_lost_section_are_resolved_but_other_words_are_not(tmp_path: Path) -> None:
    found = over(tmp_path, "[DEFAULT\nignoreip = mail.example.com\nwhat is this\n")
    assert {jail.ignored.names for jail in found.jails.values()} == {("mail.example.com",)}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_no_encoding_of_windows_loses_an_ignoreip(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "filter.d").mkdir()
    (tmp_path / "jail.local").write_bytes("[DEFAULT]\nignoreip = 192.0.2.1\n".encode(encoding))
    (tmp_path / "zmban.toml").write_bytes('[trust]\nnodes = ["192.0.2.2"]\n'.encode(encoding))
    found = loading.load([str(SHIPPED), str(tmp_path)])
    assert {jail.ignoreip for jail in found.jails.jails.values()} == {(Network.parse("192.0.2.1"),)}
    assert found.settings.trust.nodes == (Network.parse("192.0.2.2"),)


@pytest.mark.parametrize("line", ["{zimbra-smtp}", "zimbra-smtp:", "<zimbra-smtp>", "(zimbra-smtp"])
def test_options_below_a_header_in_wrong_brackets_do_not_go_to_another_section(
    tmp_path: Path, line: str
) -> None:
    found = over(tmp_path, f"[DEFAULT]\nfindtime = 1h\n\n{line}\nmaxretry = 1\nbantime = -1\n")
    shipped = loading.load([str(SHIPPED)]).jails.jails
    assert {name: described(jail) for name, jail in found.jails.items()} == {
        name: described(jail if "findtime" in found.ini.sections[name] else replace(jail, findtime=3600.0))
        for name, jail in shipped.items()
    }
    assert len(errors(found)) == 1


@pytest.mark.parametrize("line", ["enabled true", "enable\ttrue", "enabled"])
def test_a_jail_with_an_unreadable_enabled_line_is_stopped_with_an_error(tmp_path: Path, line: str) -> None:
    found = over(tmp_path, f"[x]\n{line}\nfilter = zimbra-smtp\nlogpath = /x.log\n")
    assert found.stopped == {"x"}
    assert errors(found)


def test_a_misspelt_ignoreip_still_ignores_its_hosts(tmp_path: Path) -> None:
    found = over(tmp_path, f"{SMTP}ignorip = 192.0.2.1\n")
    assert found.jails["zimbra-smtp"].ignoreip == (Network.parse("192.0.2.1"),)


def test_an_invalid_logpath_entry_is_dropped_and_without_a_valid_one_the_layer_below_applies(
    tmp_path: Path,
) -> None:
    found = over(tmp_path, f"{SMTP}logpath = /x.log\n   y.log\n[zimbra-mail]\nlogpath = z.log\n")
    assert [log.glob for log in found.jails["zimbra-smtp"].logpath] == ["/x.log"]
    assert "/opt/zimbra/log/mailbox.log" in [log.glob for log in found.jails["zimbra-mail"].logpath]
    assert [error.partition(";")[0] for error in errors(found)] == [
        "2: logpath: 'y.log' is a relative path",
        "5: logpath: 'z.log' is a relative path",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[zimbra-smtp]\nmaxretry 5\nfindtime = 3h\n",
            "2: 'maxretry 5' is not an option; write: name = value",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\n\nmaxretry 5\n",
            "4: 'maxretry 5' is not an option; write: name = value, or indent it deeper if it belongs to findtime",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\nfindtime = 4h\n",
            "3: option findtime is set twice in [zimbra-smtp]; the first value applies, remove one",
        ),
        (
            "[zimbra-mail\nmaxretry = 9\n[zimbra-smtp]\nfindtime = 3h\n",
            "1: '[zimbra-mail' is not a complete header; write [NAME]; everything from line 1 to the next [section] is ignored",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\n\nzimbra-mail]\nmaxretry = 9\nbantime = 1\n",
            "4: 'zimbra-mail]' is not a complete header; write [NAME]; everything from line 4 to the next [section] is ignored",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\n\n%%%%\nmaxretry = 9\n",
            "4: '%%%%' is neither an option nor a [NAME]; everything from line 4 to the next [section] is ignored",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\n\nmaxretry = 9\nfindtime = 1\n",
            "5: option findtime is set twice in [zimbra-smtp]; remove one, or write the missing [NAME] of another "
            "jail above it; everything from line 4 to the next [section] is ignored",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\n\n%(gone)s (x)\nmaxretry = 9\n",
            "4: '%(gone)s (x)' is neither an option nor a [NAME]; everything from line 4 to the next [section] is ignored",
        ),
        (
            "maxretry = 9\n[zimbra-smtp]\nfindtime = 3h\n",
            "1: text before the first [section]; a filter begins with [Definition], a jail with [NAME], "
            "defaults for all jails with [DEFAULT]",
        ),
        (
            "[zimbra-smtp]\nfindtime = 3h\nx\0y\n",
            "3: binary data instead of text; rewrite the file, or move it away",
        ),
    ],
)
def test_an_unreadable_line_is_dropped_a_broken_header_with_all_below_it_and_lower_layers_stay(
    tmp_path: Path, text: str, message: str
) -> None:
    found = over(tmp_path, text)
    assert errors(found) == [message]
    shipped = loading.load([str(SHIPPED)]).jails.jails
    changed = {name for name, jail in found.jails.items() if jail != shipped[name]}
    assert changed == {"zimbra-smtp"}
    assert found.jails["zimbra-smtp"] == replace(shipped["zimbra-smtp"], findtime=10800.0)


def test_every_jail_ignores_the_ignoreip_of_a_lost_section(tmp_path: Path) -> None:
    found = over(tmp_path, "ignoreip = 192.0.2.1\n[zimbra-mail\nignoreip = 192.0.2.2\n")
    assert {jail.ignoreip for jail in found.jails.values()} == {
        (Network.parse("192.0.2.2"), Network.parse("192.0.2.1"))
    }


def test_a_jail_disabled_below_a_broken_header_is_a_dry_run(tmp_path: Path) -> None:
    found = over(tmp_path, "[zimbra-mail\nenabled = false\n")
    assert [name for name, jail in found.jails.items() if jail.dry_run] == ["zimbra-mail"]


FILTER = "[Definition]\nfailregex = ^mail bad from <HOST>$\n"


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("failregex = ^a from <HOST>$\n  ^b ( <HOST>$\n", ["^a from <HOST>$"]),
        ("failregex = ^a from <HOST>$\n  ^b from nobody$\n", ["^a from <HOST>$"]),
        ("failregex = ^a from <HOST>$\n  ^b <HOST>\n(?:cut off)$\n", ["^a from <HOST>$"]),
        ("failregex = ^a ( <HOST>$\n", None),
        ("failregex = %(gone)s <HOST>$\n", None),
        ("maxlines = many\n", None),
        ("datepattern = ^%%Y(\n", None),
    ],
)
def test_an_invalid_regex_is_dropped_and_without_a_valid_one_the_layer_below_applies(
    tmp_path: Path, lines: str, left: list[str] | None
) -> None:
    found = over(tmp_path, "", **{"zimbra-smtp": f"[Definition]\n{lines}"})
    shipped = loading.load([str(SHIPPED)]).jails.jails["zimbra-smtp"].filter
    texts = [pattern.text for pattern in found.jails["zimbra-smtp"].filter.failregex]
    assert texts == (left or [pattern.text for pattern in shipped.failregex])
    assert found.degraded == {"zimbra-smtp"}


@pytest.mark.parametrize(
    ("jail", "lines"),
    [
        ("", "ignoreregex = (\n"),
        ("", "ignoreregex = ^a\n^b$\n"),
        ("", "prefregex = ^(<F-CONTENT>\n"),
        ("ignorecommand = /bin/true\n", ""),
    ],
)
def test_a_jail_that_would_match_too_much_stops_alone(tmp_path: Path, jail: str, lines: str) -> None:
    found = over(tmp_path, SMTP + jail, **{"zimbra-smtp": f"[Definition]\n{lines}"})
    assert found.stopped == {"zimbra-smtp"}
    assert len(found.jails) > 10


def test_an_own_jail_without_filter_or_log_stops_alone(tmp_path: Path) -> None:
    found = over(tmp_path, "[own]\nenabled = true\nlogpath = /x\n[other]\nenabled=1\nfilter = zimbra-smtp\n")
    assert found.stopped == {"own", "other"}
    assert [error.partition(";")[0] for error in errors(found)][1] == "5: jail other has no logpath"


# What a typing error, a merge conflict or a copy may leave of a line.
RUBBISH = st.one_of(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from([
        "", "[", "]", "[[", "[zimbra", "zimbra-smtp]", "<<<<<<< HEAD", "=======", ">>>>>>> x", "= 5", ": x",
        "%", "%(gone)s", "  deeper", "\tx", "\0", "enabled", "failregex", "x = %(y)s", "}", "- a: b",
    ]),
)  # fmt: skip


def sections_of(text: str) -> list[str]:
    """The section of each line of a file."""
    found, section = [], ""
    for line in text.split("\n"):
        section = line[1:-1] if line.startswith("[") else section
        found.append(section)
    return found


FILES = sorted(
    p.relative_to(SHIPPED) for p in (*SHIPPED.glob("jail*"), *SHIPPED.glob("*.d/*.conf")) if p.is_file()
)


def depends(name: str, jail: JailSpec, file: Path, section: str) -> bool:
    """Whether a line of this file and section may affect a jail."""
    if file.parent.name == "filter.d":
        return file.stem in (jail.filter.name, "zimbra-common")
    return section in (name, "DEFAULT")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(file=st.sampled_from(FILES), number=st.integers(0, 10_000), line=RUBBISH)
@example(file=Path("jail.d/zimbra.conf"), number=0, line="[")
# The first line that enables a jail.
@example(file=Path("jail.d/zimbra.conf"), number=30, line="enabled")
@example(file=Path("jail.d/zimbra.conf"), number=30, line="enabled tru")
def test_rubbish_in_any_line_leaves_every_other_jail_unchanged(file: Path, number: int, line: str) -> None:
    if ini.parse(f"{line}\n", "x").sections:
        # A complete header is not rubbish, but another jail.
        return
    lines = (SHIPPED / file).read_text(encoding="utf-8").split("\n")
    number %= len(lines)
    section = sections_of("\n".join(lines))[number]
    before, lines[number] = lines[number], line
    shipped = jails.load(ConfigFiles([SHIPPED])).jails
    with tempfile.TemporaryDirectory() as root:
        place = Path(root, "config")
        shutil.copytree(SHIPPED, place)
        (place / file).write_text("\n".join(lines), encoding="utf-8")
        loaded = jails.load(ConfigFiles([place]))
        for fault in loaded.faults:
            assert_fault(fault, place)
    found = loaded.jails
    # No jail is lost without a word, but one whose header or line enabled was replaced.
    assert loaded.enabled - loaded.stopped == set(found)
    lost = shipped.keys() - found.keys() - loaded.stopped
    assert not lost or all(fault.warning or fault.line != number + 1 for fault in loaded.faults)
    assert lost <= {section} and (not lost or before.startswith(("enabled", "[")))
    for name, jail in shipped.items():
        if not depends(name, jail, file, section):
            assert described(found[name]) == described(jail), (section, name)
        elif file.name == "jail.conf":
            # An ignorecommand, which may spare hosts, is the only option of [DEFAULT] that stops every jail.
            spares = any("ignorecommand" in fault.message for fault in loaded.faults)
            assert name in found or spares


def described(jail: JailSpec) -> str:
    """A jail without the files and lines of its regexes."""
    texts = [pattern.text for pattern in (*jail.filter.failregex, *jail.filter.ignoreregex)]
    return f"{texts} {replace(jail, filter=jail.filter.__class__('', ()))}"
