"""`ignoreip`: networks, names and files."""

import pytest

from sidecar.fail2ban.ignore.ignoring import filled, is_name, lines, read, words
from sidecar.network import Network


def test_entries_are_told_apart_and_what_is_nothing_is_given_back() -> None:
    entries = words(
        "127.0.0.1/8, 2001:db8::/32\n10.0.0.0/255.0.0.0 office.example.com file:/etc/hosts.allow 1.2.3.4/40 a..b"
    )
    found, wrong = read(entries)
    # Whom an entry may mean that is nothing is ignored as well.
    meant = "127.0.0.0/8", "2001:db8::/32", "10.0.0.0/8", "1.2.3.4"
    assert found.networks == tuple(map(Network.parse, meant))
    assert (found.names, found.files) == (("office.example.com",), ("/etc/hosts.allow",))
    assert wrong == ["1.2.3.4/40", "a..b"]


def test_a_file_adds_what_it_holds_now_and_a_missing_one_nothing() -> None:
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
def test_a_name_is_no_address_that_was_written_wrong(word: str, name: bool) -> None:
    assert is_name(word) is name
