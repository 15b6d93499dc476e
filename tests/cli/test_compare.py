"""`zmban replay --against`: two configurations over the same logs, through the real command."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.app.plain import BEGIN, write
from tests.cli.running import on_terminal, records, zmban

CONFIG = Path(__file__).parents[2] / "config"
NOW = datetime(2026, 1, 6, tzinfo=UTC).timestamp()
SASL = "Jan  5 {} mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"
LOGIN = "Jan  5 {} mail postfix/smtps/smtpd[1]: 3F2A1BC: client=h[{}], sasl_method=LOGIN, sasl_username={}"
SENT = "Jan  5 {} mail postfix/smtp[1]: 3F2A1BC: to=<a@example.org>, relay=mx.example.org[{}]:25, status=sent (ok)"
HELO = "Jan  5 {} mail postfix/smtpd[1]: warning: non-SMTP command from unknown[{}]: GET / HTTP/1.1"
A, B, C, OFFICE, SERVER = "198.51.100.1", "198.51.100.2", "198.51.100.3", "203.0.113.7", "203.0.113.25"

Logged = list[str]
Jails = Mapping[str, str]


def configured(directory: Path, jails: str, filters: Mapping[str, str] | None = None) -> Path:
    """A configuration directory that stands alone: the shipped filters and one jail.local."""
    shutil.copytree(CONFIG / "filter.d", directory / "filter.d")
    for name, text in (filters or {}).items():
        (directory / f"filter.d/{name}.conf").write_text(text, encoding="utf-8")
    (directory / "jail.local").write_text(jails, encoding="utf-8")
    return directory


def smtp(log: Path, options: str = "maxretry = 2", name: str = "smtp") -> str:
    return f"[{name}]\nenabled = 1\nfilter = zimbra-smtp\nlogpath = {log}\nfindtime = 1d\n{options}\n"


def written(log: Path, lines: Logged) -> Path:
    log.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A fails once, B twice, C four times over the day; the office logs in, and fails eleven times."""
    lines = [LOGIN.format("08:00:00", OFFICE, "Bob@example.com"), SENT.format("08:00:01", SERVER)]
    lines += [SASL.format("09:00:00", A)]
    lines += [SASL.format(f"10:00:0{n}", B) for n in (0, 1)]
    lines += [SASL.format(f"11:0{n}:00", C) for n in range(4)]
    lines += [SASL.format(f"12:00:{n:02}", OFFICE) for n in range(11)]
    lines += [HELO.format(f"13:00:{n:02}", SERVER) for n in range(2)]
    return written(tmp_path / "zimbra.log", lines)


def compared(before: Path, after: Path, *options: object) -> list[dict[str, Any]]:
    common = ("--timezone", "UTC", "--now", NOW, *options)
    done = zmban("--config", before, "replay", "--against", after, "--jsonl", *common)
    assert done.returncode == 0, done.stderr
    return records(done)


def of(found: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [one for one in found if one["event"] == event]


def networks(found: list[dict[str, Any]], event: str) -> list[tuple[str, str]]:
    return [(one["jail"], one["network"]) for one in of(found, event)]


def test_a_lower_maxretry_gains_and_a_higher_one_loses(tmp_path: Path, log: Path) -> None:
    two = configured(tmp_path / "two", smtp(log))
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1"))
    found = compared(two, one)
    (gained,) = of(found, "gained")
    assert gained.items() >= {"jail": "smtp", "network": f"{A}/32", "failures": 1, "other_jails": []}.items()
    assert gained["evidence"] == [SASL.format("09:00:00", A)]
    assert gained["at"] == datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp()
    assert gained["until"] == gained["at"] + 600
    (jail,) = of(found, "jail")
    assert jail.items() >= {"networks_before": 4, "networks_after": 5, "gained": 1, "lost": 0}.items()
    assert jail["options"] == ["maxretry"]
    # B, C, the office and the server are banned one failure earlier.
    assert (jail["earlier"], jail["later"]) == (4, 0)
    found = compared(one, two)
    assert (networks(found, "gained"), networks(found, "lost")) == ([], [("smtp", f"{A}/32")])
    assert of(found, "jail")[0]["later"] == 4


def test_a_removed_jail_loses_all_of_its_bans_and_a_new_one_gains_all(tmp_path: Path, log: Path) -> None:
    both = configured(tmp_path / "both", smtp(log) + smtp(log, "maxretry = 3", "slow"))
    one = configured(tmp_path / "one", smtp(log))
    found = compared(both, one)
    assert networks(found, "lost") == [("slow", f"{C}/32"), ("slow", f"{OFFICE}/32")]
    # Both are banned by the other jail still.
    assert [one["other_jails"] for one in of(found, "lost")] == [["smtp"], ["smtp"]]
    assert {jail["jail"]: jail["in"] for jail in of(found, "jail")} == {"smtp": "both", "slow": "before"}
    summary = found[-1]
    assert summary.items() >= {"event": "summary", "gained": 0, "lost": 2, "networks_lost": 0}.items()
    found = compared(one, both)
    assert networks(found, "gained") == [("slow", f"{C}/32"), ("slow", f"{OFFICE}/32")]
    assert {jail["jail"]: jail["in"] for jail in of(found, "jail")} == {"smtp": "both", "slow": "after"}


def test_a_changed_filter_changes_what_is_banned(tmp_path: Path, log: Path) -> None:
    before = configured(tmp_path / "before", smtp(log))
    regex = r"^.* warning: non-SMTP command from \S+\[<HOST>\]:"
    only = f"[Definition]\nfailregex = {regex}\n"
    after = configured(tmp_path / "after", smtp(log), {"zimbra-smtp": only})
    found = compared(before, after)
    assert networks(found, "gained") == []
    assert networks(found, "lost") == [("smtp", f"{one}/32") for one in (B, C, OFFICE)]
    assert of(found, "jail")[0]["options"] == ["filter"]
    assert (found[-1]["before"]["matches"], found[-1]["after"]["matches"]) == (20, 2)


def test_bans_that_both_make_are_counted_by_their_time_and_length(tmp_path: Path) -> None:
    lines = [SASL.format(f"{hour:02}:00:00", A) for hour in (1, 3, 5)]
    log = written(tmp_path / "zimbra.log", [*lines, SASL.format("06:00:00", B)])
    growing = "maxretry = 1\nbantime = 1h\nbantime.increment = true\nbantime.rndtime = 600"
    fixed = configured(tmp_path / "fixed", smtp(log, "maxretry = 1\nbantime = 1h"))
    grows = configured(tmp_path / "grows", smtp(log, growing))
    (jail,) = of(compared(fixed, grows), "jail")
    # A is banned three times, B once; the time of a first ban does not grow.
    assert jail.items() >= {"bans_before": 4, "networks_before": 2, "networks_after": 2}.items()
    assert (jail["longer"], jail["shorter"], jail["earlier"], jail["later"]) == (1, 0, 0, 0)
    (jail,) = of(compared(grows, fixed), "jail")
    assert (jail["longer"], jail["shorter"]) == (0, 1)
    # The random part of a ban time is no difference.
    (jail,) = of(compared(grows, grows), "jail")
    assert (jail["longer"], jail["shorter"]) == (0, 0)
    for_ever = configured(tmp_path / "ever", smtp(log, "maxretry = 1\nbantime = -1"))
    (jail,) = of(compared(fixed, for_ever), "jail")
    assert (jail["longer"], jail["shorter"]) == (2, 0)
    assert of(compared(for_ever, for_ever), "jail")[0]["longer"] == 0


def test_a_known_good_client_and_a_mail_server_that_are_hit_are_named(tmp_path: Path, log: Path) -> None:
    # The office has patience times maxretry tries: 5 * 3 = 15 before, 5 * 1 after.
    count = "zmban.count = logins\nmaxretry = "
    before = configured(tmp_path / "before", smtp(log, f"{count}3"))
    after = configured(tmp_path / "after", smtp(log, f"{count}1"))
    found = compared(before, after)
    hit = {one["network"]: one for one in of(found, "gained") if one["known_good"]}
    assert set(hit) == {f"{OFFICE}/32", f"{SERVER}/32"}
    office, server = hit[f"{OFFICE}/32"], hit[f"{SERVER}/32"]
    assert (office["accounts"], office["mail_server"]) == (["bob@example.com"], False)
    assert (server["accounts"], server["mail_server"]) == ([], True)
    assert (
        found[-1].items() >= {"known_good_before": 0, "known_good_after": 2, "known_good_gained": 2}.items()
    )
    # Those that both ban are told too.
    two = configured(tmp_path / "two", smtp(log, f"{count}2"))
    hits = of(compared(two, after), "hit")
    assert [one["network"] for one in hits] == [f"{OFFICE}/32", f"{SERVER}/32"]
    assert hits[0]["accounts"] == ["bob@example.com"]
    assert hits[0]["at_after"] < hits[0]["at_before"]


def test_a_login_too_long_before_a_ban_does_not_count_and_one_after_it_does(tmp_path: Path) -> None:
    lines = [LOGIN.format("08:00:00", A, "a"), SASL.format("09:00:00", A), SASL.format("09:00:00", B)]
    log = written(tmp_path / "zimbra.log", [*lines, LOGIN.format("10:00:00", B, "b")])
    none = configured(tmp_path / "none", "")
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1"))
    (one / "zmban.toml").write_text("[good]\ndays = 0\n", encoding="utf-8")
    known = {found["network"]: found["known_good"] for found in of(compared(none, one), "gained")}
    assert known == {f"{A}/32": False, f"{B}/32": True}


def test_refusals_that_differ_are_counted_by_jail_and_reason(tmp_path: Path, log: Path) -> None:
    before = configured(tmp_path / "before", smtp(log))
    after = configured(tmp_path / "after", smtp(log, f"maxretry = 2\nignoreip = {C}"))
    found = compared(before, after)
    (jail,) = of(found, "jail")
    assert (jail["refused_before"], jail["refused_after"]) == ({}, {"ignored": 4})
    assert networks(found, "lost") == [("smtp", f"{C}/32")]


def test_a_wider_prefix_gains_the_network_and_loses_its_addresses(tmp_path: Path, log: Path) -> None:
    before = configured(tmp_path / "before", smtp(log))
    after = configured(tmp_path / "after", smtp(log, "maxretry = 2\nzmban.ipv4_prefix = 24"))
    found = compared(before, after)
    gained, lost = of(found, "gained"), of(found, "lost")
    assert [one["network"] for one in gained] == ["198.51.100.0/24", "203.0.113.0/24"]
    # No address is reachable that was not before; logins inside a banned network hit known-good clients.
    assert {one["network"]: one["other_jails"] for one in lost}[f"{B}/32"] == ["smtp"]
    assert gained[1]["accounts"] == ["bob@example.com"]
    assert (found[-1]["networks_gained"], found[-1]["networks_lost"]) == (2, 0)


def test_the_bans_of_a_replay_under_each_configuration_are_those_compared(tmp_path: Path) -> None:
    """A generated log: the comparison is the difference of two plain replays."""
    log = tmp_path / "zimbra.log"
    right = write(log, 60_000)
    options = ("--jsonl", "--timezone", "UTC", "--now", BEGIN.timestamp() + 3 * 86400)
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1\nbantime = 1d"))
    two = configured(tmp_path / "two", smtp(log, "maxretry = 2\nbantime = 1y"))
    single, double = (records(zmban("--config", each, "replay", *options)) for each in (one, two))
    bans = [{b["network"]: b for b in reversed(found) if b["event"] == "ban"} for found in (single, double)]
    assert bans[1].keys() == right.keys()
    found = records(zmban("--config", two, "replay", "--against", one, *options))
    gained = {record["network"]: record for record in of(found, "gained")}
    assert gained.keys() == bans[0].keys() - bans[1].keys()
    assert len(gained) > 50
    for network, record in gained.items():
        assert (
            record.items() >= {key: bans[0][network][key] for key in ("at", "failures", "evidence")}.items()
        )
    times = [record["at"] for record in gained.values()]
    assert times == sorted(times)
    for name, alone in (("after", single), ("before", double)):
        mine, theirs = found[-1][name], alone[-1]
        assert {k: mine[k] for k in ("lines", "matches", "failures", "bans", "refused")} == {
            k: theirs[k] for k in ("lines", "matches", "failures", "bans", "refused")
        }


def test_a_directory_replaces_the_last_one_and_the_shipped_one_stays(tmp_path: Path, log: Path) -> None:
    for name, text in (
        ("before", "[zimbra-smtp]\nmaxretry = 2\n"),
        ("after", "[zimbra-smtp]\nmaxretry = 1\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jail.local").write_text(text, encoding="utf-8")
    given = ("--log", f"zimbra-smtp={log}", "--jsonl", "--timezone", "UTC", "--now", NOW)
    layered: list[tuple[list[str], list[str]]] = [
        (["before"], ["after"]),
        ([], ["after"]),
        (["before"], [str(CONFIG), "after"]),
    ]
    for config, against in layered:
        layers = [part for name in (str(CONFIG), *config) for part in ("--config", tmp_path / name)]
        tried = [part for name in against for part in ("--against", tmp_path / name)]
        found = records(zmban(*layers, "replay", *tried, *given))
        assert networks(found, "gained") == [("zimbra-smtp", f"{A}/32")], (config, against)
        assert found[-1]["after"]["config"] == [str(CONFIG), str(tmp_path / "after")]


def test_a_log_that_is_given_is_read_under_both_configurations(tmp_path: Path, log: Path) -> None:
    elsewhere = Path("/nowhere/zimbra.log")
    before = configured(tmp_path / "before", smtp(elsewhere))
    after = configured(tmp_path / "after", smtp(elsewhere) + smtp(elsewhere, "maxretry = 3", "new"))
    found = compared(before, after, "--log", f"smtp={log}", "--log", f"new={log}")
    assert [jail["networks_after"] for jail in of(found, "jail")] == [4, 2]
    done = zmban("--config", before, "replay", "--against", after, "--log", f"other={log}")
    assert (done.returncode, "no enabled jail other" in done.stderr) == (64, True)


def test_a_jail_that_cannot_run_is_told_with_all_faults_and_nothing_is_compared(
    tmp_path: Path, log: Path
) -> None:
    before = configured(tmp_path / "before", smtp(log))
    after = configured(tmp_path / "after", smtp(log, "maxretrie = 2").replace("zimbra-smtp", "gone"))
    done = zmban("--config", before, "replay", "--against", after)
    assert done.returncode == 78
    assert f"{after}/jail.local:3: filter gone not found" in done.stderr
    assert f"{after}/jail.local:6: warning: maxretrie" in done.stderr
    assert "smtp cannot run" in done.stderr
    assert done.stdout == ""
    done = zmban("--config", before, "replay", "--against", "/nowhere")
    assert (done.returncode, "/nowhere: no such configuration directory" in done.stderr) == (78, True)
    # A jail that cannot run in force either is no difference.
    assert zmban("--config", after, "replay", "--against", after).returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--html", "x"],
        ["--against", "{}", "--html", "/nowhere/page"],
        ["--against", "{}", "--html", "-", "--json"],
    ],
)
def test_a_page_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, log: Path, options: list[str]
) -> None:
    one = configured(tmp_path / "one", smtp(log))
    done = zmban("--config", one, "replay", *(text.format(one) for text in options))
    assert (done.returncode, "--html" in done.stderr) == (64, True)


def test_the_table_names_the_jails_the_bans_and_how_many_more_there_are(tmp_path: Path) -> None:
    lines = [SASL.format(f"10:00:{n:02}", f"198.51.100.{n}") for n in range(1, 31)]
    log = written(tmp_path / "zimbra.log", [*lines, LOGIN.format("11:00:00", "198.51.100.30", "bob")])
    two = configured(tmp_path / "two", smtp(log))
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1"))
    common = ("--timezone", "UTC", "--now", NOW)
    done = zmban("--config", two, "replay", "--against", one, *common)
    assert done.returncode == 0
    out = done.stdout
    assert re.search(r"^smtp +0 +30 +30 +0 .* 0 → 1 +maxretry$", out, re.MULTILINE)
    rows = re.findall(r"^gained +\S+ \S+ +(\S+) +smtp +(.*)$", out, re.MULTILINE)
    assert len(rows) == 20
    # A known-good address is never among those that are left out.
    assert rows[0][0] == "198.51.100.30/32"
    assert rows[0][1].startswith("KNOWN-GOOD: logins of bob; 1 failure, until ")
    assert "and 10 more; --jsonl lists all" in out
    assert "30 bans gained, 0 lost" in out
    code, text = on_terminal(60, "--config", two, "replay", "--against", one, *common)
    assert code == 0
    rows_shown = [line for line in text.splitlines() if line.startswith(("gained", "smtp"))]
    assert len(rows_shown) == 21
    assert all(len(line) <= 60 for line in rows_shown)
    same = zmban("--config", two, "replay", "--against", two, *common).stdout
    assert "No ban gained or lost" in same
    assert "event" not in same


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\"'\x1b[31m\u202e"


def test_no_text_of_a_log_is_markup_on_the_page(tmp_path: Path) -> None:
    account = "<img src=x onerror=alert(1)>@example.com"
    lines = [LOGIN.format("08:00:00", A, account), LOGIN.format("08:00:00", B, account)]
    lines += [SASL.format("09:00:00", A) + HOSTILE]
    lines += [SASL.format(f"09:00:0{n}", B) + HOSTILE for n in range(2)]
    log = written(tmp_path / "zimbra.log", lines)
    two = configured(tmp_path / "two", smtp(log))
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1"))
    page = tmp_path / "page.html"
    options = ("--timezone", "UTC", "--now", NOW, "--html", page)
    assert zmban("--config", two, "replay", "--against", one, *options).returncode == 0
    text = page.read_text(encoding="utf-8")
    read = Page(text)
    assert not {tag for tag, _ in read.tags} & {"script", "img", "link", "iframe", "a", "form"}
    names = {name for _, attributes in read.tags for name in attributes}
    assert names <= {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "data-label"}
    whole = "".join(read.texts)
    assert account in whole
    # Control codes and marks that turn the direction of text are shown as escapes.
    assert HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e") in whole
    assert all(c.isprintable() or c == "\n" for c in text)
    assert re.search(r"url\(|@import|https?:", text) is None
    assert whole.count("198.51.100.1/32") == 1
    assert "KNOWN-GOOD: logins of" in whole


def test_the_page_is_also_written_beside_json_and_to_standard_output(tmp_path: Path, log: Path) -> None:
    two = configured(tmp_path / "two", smtp(log))
    one = configured(tmp_path / "one", smtp(log, "maxretry = 1"))
    page = tmp_path / "page.html"
    options = ("--timezone", "UTC", "--now", NOW)
    done = zmban("--config", two, "replay", "--against", one, *options, "--html", page, "--json")
    assert json.loads(done.stdout)[-1]["event"] == "summary"
    printed = zmban("--config", two, "replay", "--against", one, *options, "--html", "-").stdout

    def stable(text: str) -> str:
        return re.sub(r"Made \S+ \S+ by|in \d+\.\d\d s", "", text)

    assert stable(printed) == stable(page.read_text(encoding="utf-8"))
    assert printed.startswith("<!doctype html>")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_of_the_page_has_enough_contrast_in_light_dark_and_print(
    tmp_path: Path, log: Path
) -> None:
    one = configured(tmp_path / "one", smtp(log))
    text = zmban("--config", one, "replay", "--against", one, "--html", "-").stdout
    assert "prefers-color-scheme: dark" in text
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    ]
    assert len(schemes) == 3
    for scheme in schemes:
        for ink in ("ink", "soft", "bad"):
            for paper in ("paper", "panel"):
                light, dark = sorted(
                    (luminance({**schemes[0], **scheme}[c]) for c in (ink, paper)), reverse=True
                )
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, ink, paper)
