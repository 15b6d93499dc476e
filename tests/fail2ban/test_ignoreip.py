"""`ignoreip`: networks, names and files."""

import pytest

from sidecar.fail2ban.ignore.ignoreip import filled, is_name, lines, read, words
from sidecar.network import Network


def test_entries_are_sorted_by_kind_and_invalid_ones_are_returned() -> None:
    entries = words(
        "127.0.0.1/8, 2001:db8::/32\n10.0.0.0/255.0.0.0 office.example.com file:/etc/hosts.allow 1.2.3.4/40 a..b"
    )
    found, wrong = read(entries)
    # A network that an invalid entry probably means is ignored as well.
    meant = "127.0.0.0/8", "2001:db8::/32", "10.0.0.0/8", "1.2.3.4"
    assert found.networks == tuple(map(Network.parse, meant))
    assert (found.names, found.files) == (("office.example.com",), ("/etc/hosts.allow",))
    assert wrong == ["1.2.3.4/40", "a..b"]


def test_a_file_adds_its_current_entries_and_a_missing_one_none() -> None:
    found, _ = read(["203.0.113.1", "file:/a", "file:/gone"])
    texts = {"/a": "# our offices\n198.51.100.0/24 ; main\nhome.example.org, 203.0.113.9\n"}
    full = filled(found, texts.get)
    assert [str(n) for n in full.networks] == ["203.0.113.1/32", "198.51.100.0/24", "203.0.113.9/32"]
    assert full.names == ("home.example.org",)
    assert lines("a b # c\n;d\n") == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("a.example", True),
        ("localhost", True),
        ("999.1.1.1", False),
        ("a/b", False),
        ("::1", False),
        ("x" * 300, False),
    ],
)
def test_an_invalid_address_is_not_taken_for_a_host_name(word: str, name: bool) -> None:
    assert is_name(word) is name
