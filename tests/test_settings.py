"""Settings: the shipped file contains every key with its default; layers, faults and their cures."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar import settings
from sidecar.network import Network
from sidecar.settings import NotifySettings

CONFIG = Path(__file__).parents[1] / "config"


def test_the_shipped_file_names_every_key_with_its_default() -> None:
    shipped, default = settings.read([CONFIG]).settings, settings.read([]).settings
    assert shipped == default
    text = (CONFIG / "zmban.toml").read_text(encoding="utf-8")
    for name in settings.Settings.model_fields:
        assert f"[{name}]" in text
        for key in type(getattr(default, name)).model_fields:
            assert f"\n{key} = " in text


def test_a_later_directory_overrides_key_by_key_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zmban.toml").write_text(
        '[kernel]\non_stop = "flush"\ntable = "main"\n[trust]\nadmins = ["203.0.113.0/24"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("ZMBAN_KERNEL_TABLE", "2521")
    monkeypatch.setenv("ZMBAN_TRUST_NODES", "198.51.100.1, 2001:db8::/32")
    found = settings.read([CONFIG, tmp_path]).settings
    assert (found.kernel.table, found.kernel.on_stop, found.kernel.preference) == (2521, "flush", 252)
    assert found.trust.admins == (Network.parse("203.0.113.0/24"),)
    assert found.trust.nodes == (Network.parse("198.51.100.1"), Network.parse("2001:db8::/32"))


def test_protected_domains_are_read_and_a_wrong_one_is_left_out_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "ZMBAN_DOMAINS_PROTECT", "example.com, x@example.com, Bücher.example,com,*.example.org"
    )
    monkeypatch.setenv("ZMBAN_DOMAINS_NESTED", "reject")
    found = settings.read([CONFIG])
    domains = found.settings.domains
    assert (domains.protect, domains.nested) == (("example.com", "Bücher.example"), "reject")
    assert len(found.faults) == 3
    assert all("is not a domain; write example.com" in fault.message for fault in found.faults)


def test_targets_of_notify_are_read_and_a_wrong_one_is_left_out_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "ZMBAN_NOTIFY_WEBHOOKS",
        "https://h.example/a, slack+http://s.example, matrix+https://[2001:db8::1]:8443/x, x",
    )
    monkeypatch.setenv("ZMBAN_NOTIFY_MAIL_TO", "a@example.com,Bob <b@example.com>")
    monkeypatch.setenv("ZMBAN_NOTIFY_SMTP", "smtp+starttls://mail.example.com")
    found = settings.read([CONFIG])
    notify = found.settings.notify
    assert [(one.kind, one.url, one.host) for one in notify.webhooks] == [
        ("json", "https://h.example/a", "h.example"),
        ("slack", "http://s.example", "s.example"),
        ("matrix", "https://[2001:db8::1]:8443/x", "2001:db8::1"),
    ]
    assert notify.mail_to == ("a@example.com",)
    assert (notify.smtp.scheme, notify.smtp.port) == ("smtp+starttls", 587)
    assert len(found.faults) == 2
    monkeypatch.setenv("ZMBAN_NOTIFY_SMTP", "")
    assert settings.read([]).settings.notify.smtp.port == 25


@pytest.mark.parametrize(
    "line",
    [
        'webhooks = ["https://u:SECRET@h.example:x/SECRET"]',
        'webhooks = ["https:///SECRET", "SECRET", "slack+SECRET://h.example"]',
        'webhooks = ["https://h.example/SECRET", 5, "https://h.example/SECRET two"]',
        'webhooks = "mailto:SECRET"',
        'webhooks = {a = "SECRET"}',
        'webhooks = ["https://u:SECRET@h.example/SECRET"',
        "webhooks = https://h.example/SECRET",
        'webhook = ["https://h.example/SECRET"]',
        'smtp = "smtp://u:SECRET@h.example"',
        'smtp = "smtps://h.example/SECRET"',
    ],
)
def test_no_fault_shows_a_secret_of_notify(tmp_path: Path, line: str) -> None:
    (tmp_path / "zmban.toml").write_text(f"[notify]\n{line}\n", encoding="utf-8")
    below = tmp_path / "below"
    below.mkdir()
    (below / "zmban.toml").write_text('[notify]\nwebhooks = ["https://h.example/SECRET"]\n', encoding="utf-8")
    found = settings.read([below, tmp_path])
    assert found.faults and not [fault for fault in found.faults if "SECRET" in str(fault)]
    assert all(str(fault).startswith(f"{tmp_path}/zmban.toml:2: ") for fault in found.faults)
    assert "SECRET" not in repr(found.settings)


@pytest.mark.parametrize(
    "address",
    ["a", "a@", "@b", "a@b\nBcc: c@d", "a@b,c@d", "Bob <a@b>", "a b@c", "a@b>", "a@-", "ä@b", 5, None],
)
def test_no_address_of_mail_can_add_another(address: object) -> None:
    with pytest.raises(ValidationError):
        NotifySettings(mail_to=(address,))


@pytest.mark.parametrize("name", ["ZMBAN_TRUST_PROXY", "ZMBAN_KERNEL_TABEL", "ZMBAN_TRUST"])
def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "5")
    (fault,) = settings.read([CONFIG]).faults
    assert str(fault).startswith(f"variable {name}:1: ")
    assert "unknown key; known are: " in str(fault) or "unknown section; known are: " in str(fault)


def test_unrelated_variables_are_ignored_and_names_are_case_insensitive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZMBAN_STATE", "/x")
    monkeypatch.setenv("ZMBAN_FOO_BAR", "x")
    monkeypatch.setenv("zmban_kernel_table", "77")
    assert settings.read([CONFIG]).settings.kernel.table == 77


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[kernel]\ntabel = 1\n",
            "2: [kernel] tabel: unknown key; known are: backend, table, namespace, preference,",
        ),
        (
            "[kernal]\ntable = 1\n",
            "1: [kernal]: unknown section; known are: trust, kernel, good, store, serve",
        ),
        (
            '[serve]\nlisten = "9177"\n',
            "2: [serve] listen: '9177' is not HOST:PORT; using the default",
        ),
        (
            '[trust]\nown = ["10.0.0.0/40"]\n',
            "2: [trust] own: '10.0.0.0/40' does not appear to be an IPv4 or IPv6 network; "
            "until fixed, 10.0.0.0/16 is never banned",
        ),
        ("table = 1\n", "1: table is outside any [section]; write [kernel] or another section header"),
        ("[kernel\ntable = 1\n", "1: '[kernel' is not a [section]; everything up to the next one is ignored"),
        ("[kernel]\ntable = \n", "2: 'table =' cannot be parsed (Invalid value); write: name = value"),
        (
            "[kernel]\ntable = 0\n",
            "2: [kernel] table: 0 is the kernel's own table unspec; write an unused number",
        ),
        (
            "[kernel]\ntable = 253\n",
            "2: [kernel] table: 253 is the kernel's own table default; write an unused number",
        ),
        (
            '[kernel]\ntable = "255"\n',
            "2: [kernel] table: '255' is the kernel's own table local; write an unused number",
        ),
        (
            "[kernel]\ntable = -4\n",
            "2: [kernel] table: -4 is not a routing table; write an unused number such as",
        ),
        (
            '[kernel]\nbackend = "nft"\n',
            "2: [kernel] backend: Input should be 'route'",
        ),
        (
            '[kernel]\non_stop = "kep"\n',
            "2: [kernel] on_stop: Input should be 'keep' or 'flush'; using the default",
        ),
        ("[good]\ndays = 1\n\ndays = 2\n", "4: days is set twice in [good]; the first value applies, remove"),
        (
            "[trust]\nproxies = 5\n",
            "2: [trust] proxies: Input should be a valid tuple; using the default",
        ),
    ],
)
def test_a_fault_names_line_and_cure_and_stops_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "zmban.toml").write_text(text, encoding="utf-8")
    (fault,) = settings.read([tmp_path]).faults
    assert str(fault).startswith(f"{tmp_path}/zmban.toml:{message}")


def test_table_254_is_main(tmp_path: Path) -> None:
    (tmp_path / "zmban.toml").write_text("[kernel]\ntable = 254\n", encoding="utf-8")
    found = settings.read([tmp_path])
    assert (found.settings.kernel.table, found.faults) == ("main", ())


def test_an_invalid_value_is_replaced_by_that_of_the_layer_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zmban.toml").write_text("[kernel]\ntable = 77\n[good]\ndays = -1\n", encoding="utf-8")
    monkeypatch.setenv("ZMBAN_KERNEL_TABLE", "many")
    found = settings.read([CONFIG, tmp_path])
    assert (found.settings.kernel.table, found.settings.good.days) == (77, 30)
    assert [fault.file for fault in found.faults] == ["variable ZMBAN_KERNEL_TABLE", f"{tmp_path}/zmban.toml"]
    assert "using 77" in found.faults[0].message


BAD = """\
[trust]
proxies = [
    "198.51.100.1",
    "198.51.100.300",
    198.51.100.9,
]
nodes = ["203.0.113.9", "rubbish"]
what is this 192.0.2.7
admins = ["203.0.113.0/28"]
[kernel]
preference = 300
"""


def test_an_invalid_entry_or_line_is_dropped_and_its_networks_are_not_banned(tmp_path: Path) -> None:
    (tmp_path / "zmban.toml").write_text(BAD, encoding="utf-8")
    found = settings.read([CONFIG, tmp_path])
    trust = found.settings.trust
    assert [str(n) for n in trust.proxies] == ["198.51.100.1/32"]
    assert [str(n) for n in trust.admins] == ["203.0.113.0/28"]
    assert {str(n) for n in trust.nodes} == {
        "203.0.113.9/32", "198.51.100.0/24", "198.51.100.9/32", "192.0.2.7/32",
    }  # fmt: skip
    assert found.settings.kernel.preference == 300
    assert sorted(fault.line for fault in found.faults) == [4, 5, 7, 8]


@given(line=st.integers(0, 200), rubbish=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_rubbish_in_any_line_of_the_shipped_file_affects_at_most_its_own_section(
    line: int, rubbish: str
) -> None:
    lines = (CONFIG / "zmban.toml").read_text(encoding="utf-8").splitlines()
    # Values that differ from the defaults, so that losing one shows.
    lines = [text.replace("days = 30", "days = 7").replace("port = [22]", "port = [2]") for text in lines]
    lines = [text.replace("preference = 252", "preference = 99") for text in lines]
    place = line % len(lines)
    sections = [text[1:-1] for text in lines[: place + 1] if text.startswith("[")]
    lines[place] = rubbish
    with tempfile.TemporaryDirectory() as root:
        Path(root, "zmban.toml").write_text("\n".join(lines), encoding="utf-8")
        read = settings.read([Path(root)])
        for fault in read.faults:
            assert fault.file == f"{root}/zmban.toml"
            assert 1 <= fault.line <= len(lines)
            assert str(fault).isprintable() and len(fault.message) < 1000
    found = read.settings
    near = {*sections[-2:]}
    assert found.good.days == 7 or "good" in near
    assert found.kernel.preference == 99 or "kernel" in near


@pytest.mark.parametrize(("name", "section"), [("ZMBAN_NODES", "nodes"), ("ZMBAN_TRUSTED_NODES", "nodes")])
def test_a_variable_without_its_section_is_reported_and_bans_nobody(
    monkeypatch: pytest.MonkeyPatch, name: str, section: str
) -> None:
    monkeypatch.setenv(name, "192.0.2.7")
    found = settings.read([CONFIG])
    assert [str(f) for f in found.faults] == [
        f"variable {name}:1: unknown variable; did you mean ZMBAN_TRUST_{section.upper()}?"
    ]
    assert found.settings.trust.nodes == (Network.parse("192.0.2.7"),)


@pytest.mark.parametrize("text", ["[kernel]\npreference = " + "9" * 5000, "[trust]\nnodes = " + "[" * 3000])
def test_a_line_that_breaks_the_toml_parser_is_dropped_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "zmban.toml").write_text(f"{text}\n[good]\ndays = 3\n", encoding="utf-8")
    found = settings.read([tmp_path])
    assert found.settings.good.days == 3
    assert len(found.faults) == 1


def test_thousands_of_unknown_keys_are_all_reported(tmp_path: Path) -> None:
    text = "[trust]\n" + "".join(f"key{n} = {n}\n" for n in range(5000))
    (tmp_path / "zmban.toml").write_text(text, encoding="utf-8")
    assert len(settings.read([tmp_path]).faults) == 5000


def test_a_named_pipe_instead_of_the_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "zmban.toml")
    assert "is not a regular file" in str(settings.read([tmp_path]).faults[0])
