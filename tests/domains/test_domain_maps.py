"""The maps as files: lines of others, ends, changes by two writers, and what is wrong with a directory."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domains.domain_maps import DomainMaps
from sidecar.domains.map_files import DomainMapError
from sidecar.model import ConfigError, StoreError
from tests.domains.postfix_maps import found, found_all, postmap

NOW = 1_790_000_000.0
DAY = 86400.0
# A map as administrators have it: comments, an exception, a block, a rule of several lines, other delimiters.
FOREIGN = r"""# our rules, do not touch
/^friend@bad\.example$/ DUNNO

if /@.*\.test$/
/^boss@/ OK
  # still the block
/@evil\.test$/ REJECT  in a block
endif
/^(.*)@long\.example$/
    REJECT a rule
# a comment inside
    of several lines
#/@off\.example$/ REJECT
!/@/ DUNNO
=^weird@=i REJECT 5.1.1 no
"""


def refuse(directory: Path, *domains: str, until: float | None = None) -> DomainMaps:
    maps = DomainMaps(directory)
    maps.add(domains, reason="spam", until=until, now=NOW)
    return maps


def senders(directory: Path) -> Path:
    return directory / "sender_access.pcre"


def test_a_map_of_the_administrator_is_kept_around_our_rules(tmp_path: Path) -> None:
    senders(tmp_path).write_text(FOREIGN)
    maps = refuse(tmp_path, "bad.example")
    assert senders(tmp_path).read_text().startswith(FOREIGN)
    keys = ["friend@bad.example", "x@bad.example", "x@evil.test", "x@long.example", "x@off.example"]
    answers = found_all(senders(tmp_path), keys)
    assert answers["friend@bad.example"] == "DUNNO"
    assert answers["x@bad.example"].startswith("REJECT 5.7.1 Mail from bad.example")
    assert answers["x@long.example"].split() == "REJECT a rule of several lines".split()
    assert "x@off.example" not in answers
    maps.remove(["bad.example"])
    assert senders(tmp_path).read_text().startswith(FOREIGN)
    assert maps.foreign() == 6


@pytest.mark.parametrize("map_name", ["sender_access.pcre", "header_checks.pcre"])
def test_lines_that_somebody_adds_into_our_section_are_kept_behind_it(tmp_path: Path, map_name: str) -> None:
    maps = refuse(tmp_path, "bad.example", "worse.example")
    file = tmp_path / map_name
    lines = file.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if "worse" in line)
    mine = ["# mine", "/mine/ DUNNO", "if /x/", "/y/", "  OK", "endif", "/last/ OK"]
    file.write_text("\n".join([*lines[:place], *mine, *lines[place:], "/after/ OK", ""]))
    maps.add(["third.example"], reason="", until=None, now=NOW)
    assert file.read_text().split("# zmban end\n")[1] == "\n".join([*mine, "/after/ OK", ""])
    assert {one.domain for one in maps.refusals()} == {"bad.example", "worse.example", "third.example"}
    before = file.read_text()
    maps.expire(NOW)
    assert file.read_text() == before
    assert postmap("-q", "nobody", f"pcre:{file}").stderr == b""


def test_a_rule_of_ours_that_somebody_changed_is_theirs(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example")
    text = senders(tmp_path).read_text()
    changed = text.replace("/@(?:[^@]*\\.)?bad", "/@(?:eu\\.)?bad").replace(
        ": spam\n", ": spam\n  and more\n"
    )
    senders(tmp_path).write_text(changed)
    assert maps.refusals() == []
    maps.expire(NOW)
    assert found(senders(tmp_path), "x@eu.bad.example").endswith("spam  and more")
    assert found(senders(tmp_path), "x@us.bad.example") == ""


def test_a_line_that_would_continue_our_last_rule_becomes_a_comment(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example")
    text = senders(tmp_path).read_text()
    senders(tmp_path).write_text(text.replace("# zmban end\n", "# zmban end\n\n   $(nonsense) /x/ OK\n"))
    maps.add(["b.example"], reason="", until=None, now=NOW)
    assert "nonsense" in senders(tmp_path).read_text()
    assert (
        found(senders(tmp_path), "x@bad.example")
        == "REJECT 5.7.1 Mail from bad.example is refused here: spam"
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["/a/ OK", "# c", "", "  more", "if /x/", "endif", "IF /y/", "/b/", "\tREJECT", "é", "\ufffd"]
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_no_line_of_others_is_lost(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], at: int
) -> None:
    directory = tmp_path_factory.mktemp("maps")
    maps = refuse(directory, "bad.example")
    ours = senders(directory).read_text().splitlines()
    senders(directory).write_text("\n".join([*ours[:at], *lines, *ours[at:], ""]))
    try:
        maps.add(["b.example"], reason="", until=None, now=NOW)
    except ConfigError:
        assert {"if /x/", "IF /y/", "endif"} & set(lines)
        return
    text = senders(directory).read_text()
    kept = [line for line in lines if line.strip() and line != "endif"]
    assert [line for line in kept if line not in text] == []
    assert "b.example" in {one.domain for one in maps.refusals()}
    again = DomainMaps(directory)
    again.add(["c.example"], reason="", until=None, now=NOW)
    assert "b.example" in {one.domain for one in again.refusals()}


def test_an_if_that_is_left_open_before_our_rules_is_named(tmp_path: Path) -> None:
    senders(tmp_path).write_text("# mine\nif /x/\n/y/ OK\n")
    with pytest.raises(ConfigError, match=r"sender_access\.pcre:2: this if has no endif"):
        refuse(tmp_path, "bad.example")
    assert senders(tmp_path).read_text() == "# mine\nif /x/\n/y/ OK\n"


def test_bytes_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    senders(tmp_path).write_bytes(b"# M\xfcller\n/x/ OK\n")
    refuse(tmp_path, "bad.example")
    assert senders(tmp_path).read_bytes().startswith(b"# M\xfcller\n/x/ OK\n# zmban begin")


# ---- import ----

IMPORTED = r"""# spammers of May
/@bad\.example$/ REJECT
/^.*@(.*\.)?worse\.example$/i   REJECT 5.7.1 too much $$
/^friend@third\.example$/ DUNNO
/[@.]third.example$/ 550 no
if /@com$/
/@inside\.example$/ REJECT
endif
/@discarded\.example$/ DISCARD
/@open\.example/ REJECT
/@co\.uk$/ REJECT all of them
fourth.example REJECT from a hash map
*.fifth.example
user@sixth.example REJECT
/./ DUNNO
"""


def test_simple_rules_of_a_map_become_ours_and_the_rest_is_kept_word_for_word(tmp_path: Path) -> None:
    maps = DomainMaps(tmp_path)
    answers = maps.import_map(IMPORTED, "old.pcre", now=NOW, by="eve")
    named = {one.domain: one for one in maps.refusals()}
    assert set(named) == {f"{name}.example" for name in ("bad", "worse", "third", "fourth", "fifth")}
    assert named["worse.example"].reason == "too much $"
    assert named["bad.example"].reason == "imported from old.pcre"
    lines = senders(tmp_path).read_text().splitlines()
    begin, end = (
        next(n for n, one in enumerate(lines) if one.startswith(mark))
        for mark in ("# zmban begin", "# zmban end")
    )
    taken = ("/@bad", "/^.*@(.*", "/[@.]third", "fourth", "*.fifth", "user@")
    kept = [line for line in IMPORTED.splitlines() if not line.startswith(taken)]
    assert lines[:begin] + lines[end + 1 :] == kept
    # What stood behind the last simple rule still does: it would else hide our rules.
    assert lines[end + 1 :] == ["/./ DUNNO"]
    results = {(one.domain, one.result) for one in answers}
    assert ("co.uk", "rejected") in results
    assert ("user@sixth.example REJECT", "rejected") in results
    assert ("/@open\\.example/ REJECT", "kept") in results
    assert next(one.place for one in answers if one.domain == "fourth.example") == "line 12"
    keys = [
        "x@bad.example",
        "friend@third.example",
        "x@third.example",
        "x@discarded.example",
        "x@open.example.org",
    ]
    answers_now = [found(senders(tmp_path), key).split(" ")[0] for key in keys]
    assert answers_now == ["REJECT", "DUNNO", "REJECT", "DISCARD", "REJECT"]
    again = maps.import_map("/@bad\\.example$/ REJECT\n", "old.pcre", now=NOW)
    assert [one.result for one in again] == ["standing"]
    before = senders(tmp_path).read_text()
    maps.import_map(IMPORTED, "old.pcre", now=NOW)
    assert senders(tmp_path).read_text() == before


def test_a_map_that_zmban_wrote_is_imported_with_its_times(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = refuse(tmp_path / "one", "bad.example", until=NOW + DAY), DomainMaps(tmp_path / "two")
    two.import_map(senders(tmp_path / "one").read_text(), "one", now=NOW + 5)
    assert two.refusals() == one.refusals()
    two.remove(["bad.example"])
    assert two.import_map(senders(tmp_path / "one").read_text(), "one", now=NOW + DAY) == []


def test_a_map_whose_blocks_do_not_pair_up_changes_nothing(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example")
    before = senders(tmp_path).read_text()
    with pytest.raises(StoreError, match=r"old:2: if and endif do not pair up"):
        maps.import_map("/@a\\.example$/ REJECT\nendif\n", "old", now=NOW)
    assert senders(tmp_path).read_text() == before


# ---- ends, and changes ----


def test_a_domain_whose_end_is_reached_is_dropped(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example", until=NOW + DAY)
    refuse(tmp_path, "b.example")
    assert maps.expire(NOW + DAY - 1) == []
    assert [one.domain for one in maps.expire(NOW + DAY)] == ["bad.example"]
    assert found(senders(tmp_path), "x@bad.example") == ""
    assert found(tmp_path / "header_checks.pcre", "From: x@bad.example") == ""
    assert [one.domain for one in maps.refusals()] == ["b.example"]


def test_a_domain_that_ended_is_dropped_by_any_later_change(tmp_path: Path) -> None:
    refuse(tmp_path, "bad.example", until=NOW + DAY)
    maps = DomainMaps(tmp_path)
    (answer,) = maps.add(["bad.example"], reason="again", until=None, now=NOW + 2 * DAY)
    assert answer.result == "refused-now"
    assert maps.refusals()[0].since == NOW + 2 * DAY


def test_a_domain_that_is_protected_by_now_is_dropped(tmp_path: Path) -> None:
    refuse(tmp_path, "bad.example")
    assert [one.domain for one in DomainMaps(tmp_path, ["mail.bad.example"]).expire(NOW)] == ["bad.example"]


def test_a_second_refusal_extends_the_first_and_never_shortens_it(tmp_path: Path) -> None:
    maps = DomainMaps(tmp_path)

    def add(domain: str, until: float | None) -> str:
        (answer,) = maps.add([domain], reason=f"until {until}", until=until, evidence=["x"], now=NOW)
        return answer.result

    assert add("bad.example", NOW + DAY) == "refused-now"
    assert add("bad.example", NOW + 60) == "standing"
    assert add("BAD.example", NOW + 2 * DAY) == "extended"
    assert add("bad.example", None) == "extended"
    assert add("bad.example", NOW + DAY) == "standing"
    assert add("mail.bad.example", None) == "standing"
    (one,) = maps.refusals()
    assert (one.until, one.reason, one.since) == (None, "until None", NOW)


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example", until=NOW + DAY)
    files = ["sender_access.pcre", "header_checks.pcre", "changed.lmdb"]
    before = [(tmp_path / name).stat().st_ino for name in files]
    maps.expire(NOW)
    refuse(tmp_path, "bad.example", until=NOW + DAY)
    DomainMaps(tmp_path).expire(NOW)
    assert [(tmp_path / name).stat().st_ino for name in files] == before
    maps.remove(["bad.example"])
    assert [(tmp_path / name).stat().st_ino for name in files] != before


def test_missing_or_outdated_maps_are_written_by_expire(tmp_path: Path) -> None:
    maps = DomainMaps(tmp_path)
    maps.expire(NOW)
    assert {file.name for file in tmp_path.iterdir()} == {
        "sender_access.pcre",
        "header_checks.pcre",
        "changed.lmdb",
    }
    header = 'From: "a@own.example" <x@evil.example>'
    assert found(tmp_path / "header_checks.pcre", header).startswith("WARN")
    DomainMaps(tmp_path, ["own.example"]).expire(NOW)
    assert found(tmp_path / "header_checks.pcre", header).startswith("REJECT")
    (tmp_path / "header_checks.pcre").unlink()
    maps.expire(NOW)
    assert found(tmp_path / "header_checks.pcre", header).startswith("WARN")


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example")
    refuse(tmp_path, "b.example")
    assert maps.lookup("x@b.example") is not None
    DomainMaps(tmp_path).remove(["b.example"])
    assert maps.lookup("x@b.example") is None


ADDING = """
import sys, time
from pathlib import Path
from sidecar.domains.domain_maps import DomainMaps
maps = DomainMaps(Path(sys.argv[1]))
for n in range(40):
    maps.add([f"{sys.argv[2]}{n}.example"], reason="", until=None, now=time.time())
"""


def test_two_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(tmp_path), name], cwd=Path(__file__).parents[2])
        for name in ("a", "b")
    ]
    assert [one.wait(120) for one in running] == [0, 0]
    wanted = {f"{name}{n}.example" for name in "ab" for n in range(40)}
    assert {one.domain for one in DomainMaps(tmp_path).refusals()} == wanted
    assert len(found_all(tmp_path / "header_checks.pcre", [f"From: x@{one}" for one in wanted])) == 80


def test_the_maps_are_readable_by_postfix_and_keep_their_owner(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        maps = refuse(tmp_path, "bad.example")
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o644
        senders(tmp_path).chmod(0o664)
        os.chown(senders(tmp_path), 4321, 4322)
        maps.add(["b.example"], reason="", until=None, now=NOW)
    finally:
        os.umask(before)
    status = senders(tmp_path).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o664, 4321, 4322)


def test_a_missing_directory_is_named_with_the_cure(tmp_path: Path) -> None:
    maps = DomainMaps(tmp_path / "none")
    for work in (maps.refusals, lambda: maps.expire(NOW), lambda: maps.remove(["bad.example"])):
        with pytest.raises(ConfigError, match=r"none: No such file or directory; create it"):
            work()


def test_a_map_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    maps = refuse(tmp_path, "bad.example")
    (tmp_path / "header_checks.pcre").unlink()
    written = os.fsync

    def full(descriptor: int) -> None:
        if "header_checks" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(descriptor)

    with pytest.MonkeyPatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(DomainMapError, match=r"header_checks\.pcre: No space left"):
            maps.add(["b.example"], reason="", until=None, now=NOW)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".new"]
    maps.expire(NOW)
    assert found(tmp_path / "header_checks.pcre", "From: x@b.example").startswith("REJECT")
