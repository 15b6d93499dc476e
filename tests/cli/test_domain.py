"""`zmban domain`: needs no service; one clear error for each mistake, and the others go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import records, zmban
from tests.domains.postfix_maps import found


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "maps"
    directory.mkdir()
    monkeypatch.setenv("ZMBAN_DOMAINS_DIRECTORY", str(directory))
    monkeypatch.setenv("ZMBAN_DOMAINS_PROTECT", "own.example")
    monkeypatch.setenv("SUDO_USER", "eve")
    return directory


def test_a_domain_is_added_listed_tested_and_removed(place: Path) -> None:
    done = zmban(
        "domain",
        "add",
        "Bücher.example",
        "--reason",
        "spam",
        "--for",
        "2d",
        "--evidence",
        "a",
        "--evidence",
        "b",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "xn--bcher-kva.example (bücher.example) is refused from now on\n"
    (one,) = records(zmban("domain", "list", "--jsonl"))
    assert (one["domain"], one["unicode"], one["by"]) == ("xn--bcher-kva.example", "bücher.example", "eve")
    assert (one["reason"], one["evidence"]) == ("spam", ["a", "b"])
    assert one["until"] - one["since"] == pytest.approx(2 * 86400, abs=2)
    listed = zmban("domain", "list")
    assert "xn--bcher-kva.example (bücher.example)" in listed.stdout
    said = zmban("domain", "test", "x@mail.bücher.example").stdout
    assert said.startswith(
        "x@mail.bücher.example: rejected by sender_access.pcre: xn--bcher-kva.example is refused"
    )
    assert "by eve" in said
    assert zmban("domain", "remove", "bücher.example").stdout.endswith("is not refused any more\n")
    assert zmban("domain", "list").stdout == "no domain is refused\n"
    assert zmban("domain", "remove", "bücher.example").returncode == 0


def test_each_domain_that_cannot_be_refused_has_its_sentence_and_the_rest_goes_on(place: Path) -> None:
    done = zmban(
        "domain",
        "add",
        "com",
        "co.uk",
        "x@y.example",
        "192.0.2.1",
        "own.example",
        "gmail.com",
        "",
        "ok.example",
    )
    assert done.returncode == 65
    assert done.stdout == "ok.example is refused from now on\n"
    assert done.stderr.splitlines() == [
        "com is a single label, a whole top-level domain; give a domain with a dot",
        "co.uk is a public suffix, under which anybody registers domains",
        "x@y.example is an address; give its domain, y.example, which refuses all its senders",
        "192.0.2.1 is an IP address; zmban ban refuses addresses",
        "own.example is protected",
        "gmail.com sends the mail of very many people; --yes refuses it",
        "'' is empty; give a domain, such as bad.example",
    ]
    assert zmban("domain", "add", "gmail.com", "--yes").returncode == 0
    answers = records(zmban("domain", "add", "com", "ok.example", "--jsonl"))
    assert [(one["domain"], one["result"]) for one in answers] == [
        ("com", "rejected"),
        ("ok.example", "standing"),
    ]


def test_evidence_is_read_from_standard_input(place: Path) -> None:
    done = zmban("domain", "add", "bad.example", "--evidence", "-", stdin="one\n\x1b[31mtwo\n")
    assert done.returncode == 0
    (one,) = records(zmban("domain", "list", "--jsonl"))
    assert one["evidence"] == ["one", "\x1b[31mtwo"]
    assert "\x1b" not in (place / "sender_access.pcre").read_text()
    assert "  \\x1b[31mtwo\n" in zmban("domain", "test", "bad.example").stdout


@pytest.mark.parametrize(
    ("subject", "verdict"),
    [
        ("x@good.example", "accepted: no rule of zmban refuses it"),
        ("bad.example", "rejected by sender_access.pcre: bad.example is refused"),
        ("From: x@bad.example", "rejected by header_checks.pcre: bad.example is refused"),
        (
            'From: "x@own.example" <y@z.example>',
            "rejected by header_checks.pcre: its name shows an address of a prot",
        ),
        ('"a@b.example" <y@z.example>', "accepted with a warning in the log by header_checks.pcre"),
        ("Subject: x@bad.example", "accepted: the maps look at"),
    ],
)
def test_a_test_says_what_happens_and_why(place: Path, subject: str, verdict: str) -> None:
    zmban("domain", "add", "bad.example")
    done = zmban("domain", "test", subject)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{subject}: {verdict}")


def test_a_map_is_imported_from_a_file_and_from_standard_input(place: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.pcre"
    old.write_text("# mine\r\n/@bad\\.example$/ REJECT spam\r\n/^x@/ OK\r\n/@co\\.uk$/ REJECT\r\n")
    done = zmban("domain", "import", old)
    assert done.returncode == 65
    assert done.stdout.splitlines() == [
        "line 2: bad.example is refused from now on",
        "/^x@/ OK is not a simple rule for a domain",
    ]
    assert done.stderr == "line 4: co.uk is a public suffix, under which anybody registers domains\n"
    assert found(place / "sender_access.pcre", "x@bad.example") == "OK"
    assert found(place / "sender_access.pcre", "y@bad.example").endswith(": spam")
    assert zmban("domain", "list").stderr == "2 rules in the maps not of zmban, kept as they are\n"
    assert zmban("domain", "import", "-", stdin="b.example\nc.example REJECT\n").returncode == 0
    assert len(records(zmban("domain", "list", "--jsonl"))) == 3
    (one,) = records(zmban("domain", "list", "--jsonl", "mail.b.example"))
    assert one["domain"] == "b.example"


def test_a_long_list_is_summed_up(place: Path) -> None:
    listed = "".join(f"d{n}.example\n" for n in range(500)) + "co.uk\n" * 30
    done = zmban("domain", "import", "-", stdin=listed)
    assert done.returncode == 65
    assert done.stdout == "530: 500 refused-now, 30 rejected\n"
    assert len(done.stderr.splitlines()) == 21


def test_refresh_writes_the_maps_before_postfix_is_wired(place: Path) -> None:
    assert zmban("domain", "refresh").stdout == "0 domains are refused; 0 dropped\n"
    assert found(place / "sender_access.pcre", "x@bad.example") == ""
    assert found(place / "header_checks.pcre", 'From: "x@own.example" <y@z.example>').startswith("REJECT")


def test_without_a_directory_the_error_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ZMBAN_DOMAINS_DIRECTORY")
    done = zmban("domain", "list")
    assert (done.returncode, len(done.stderr.splitlines())) == (78, 1)
    assert "ZMBAN_DOMAINS_DIRECTORY" in done.stderr
    done = zmban("domain", "add", "bad.example", "--directory", tmp_path / "none")
    assert (done.returncode, done.stderr) == (
        78,
        f"zmban: {tmp_path}/none: No such file or directory; create it, and mount it in the mail server too "
        "(docs/domains.md)\n",
    )


def test_the_directory_may_stand_in_the_configuration_and_config_behind_the_command(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZMBAN_DOMAINS_DIRECTORY")
    (tmp_path / "zmban.toml").write_text(f'[domains]\ndirectory = "{place}"\n')
    assert zmban("domain", "add", "bad.example", "--config", tmp_path).returncode == 0
    assert zmban("--config", tmp_path, "domain", "list").stdout.splitlines()[1].startswith("bad.example ")


@pytest.mark.parametrize(
    "arguments", [["add"], ["remove"], ["test"], ["import"], ["add", "a.example", "--for", "x"], ["x"]]
)
def test_a_wrong_call_is_a_matter_of_usage(place: Path, arguments: list[str]) -> None:
    assert zmban("domain", *arguments).returncode == 64


def test_a_file_that_is_no_source_of_a_map_is_bad_data(place: Path, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"a\0b")
    for file in (tmp_path / "x.db", tmp_path / "none"):
        done = zmban("domain", "import", file)
        assert done.returncode == 65, json.dumps(done.stderr)
    assert list(place.iterdir()) == []
