"""`check` reports configuration without effect, with its place, and nothing else."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.configuration import loading
from sidecar.detect.grammar import of_log
from sidecar.fail2ban import jails
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host import regex_budget
from sidecar.offline.check import lint
from sidecar.offline.check.typical import LINES, taken
from tests.app.running import SHIPPED
from tests.cli.running import zmban
from tests.conformance import package
from tests.conformance.oracle import forced_on

PUBLISHED = Path(__file__).with_name("published")
CURE = "the longest ban applies; write enabled = false into the redundant jail"
SMTP = "zimbra-smtp bans first, after 2 logins within 1 day, for 11.4 years"
MAIL = "zimbra-mail after 3 logins within 1 day, for 11.4 years"
ADMIN = MAIL.replace("mail", "admin")
ENUM = "zimbra-enum after 5 different users within 1 hour, for 11.4 years"
NAME = "rename or link the log to the name that Zimbra uses"
OWN = (
    "zmban.confirms, zmban.count, zmban.distinct, zmban.dry_run, zmban.excused_by, zmban.ipv4_prefix, zmban.ipv6_prefix, zmban.log, "
    "zmban.most_addresses, zmban.report_only, zmban.shared, zmban.spare_good, zmban.spare_peers, zmban.widen"
)
KNOWN = "successful logins there do not count as known-good, and forgeable lines are not confirmed"
LOOSE = "the filter alone decides which address is banned, even if a client wrote it into the line"
ANY = (
    "one of zimbra.log, carbonio.log, maillog, mailbox.log, audit.log, sync.log, nginx.log, nginx.access.log, "
    "access_log, zmmailboxd.out"
)
MAILBOX, SYSLOG = "/opt/zimbra/log/mailbox.log", "/var/log/zimbra.log"


def told(*directories: Path) -> list[str]:
    """The lint warnings of these directories over the shipped one, with paths relative to the last."""
    loaded = loading.load([str(SHIPPED), *map(str, directories)])
    texts = (str(fault).replace(f"{directories[-1]}/", "") for fault in lint.passed_over(loaded))
    # However many jails are shipped.
    return [re.sub(r"and \d+ more", "and N more", text) for text in texts]


def written(directory: Path, text: str, **filters: str) -> Path:
    (directory / "filter.d").mkdir(exist_ok=True)
    (directory / "jail.local").write_text(text, encoding="utf-8")
    for name, regex in filters.items():
        path = directory / f"filter.d/{name}.conf"
        path.write_text(f"[Definition]\nfailregex = {regex}\n", encoding="utf-8")
    return directory


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[zimbra-session]\nenable = true",
         "2: warning: enable is not a jail option, so that [zimbra-session] stays off; did you mean enabled?"),
        ("[zimbra-session]\nActive = yes",
         "2: warning: active is not a jail option, so that [zimbra-session] stays off; did you mean enabled?"),
        ("[zimbra-session]\ndisabled = no",
         "2: warning: disabled is not a jail option, so that [zimbra-session] stays off; did you mean enabled?"),
        ("[zimbra-session]\nenabled = false\nbantme = 1h",
         "3: warning: bantme is not a jail option; did you mean bantime?"),
        ("[zimbra-session]\nmax_retries = 3", "2: warning: max_retries is not a jail option; did you mean maxretry?"),
        ("[zimbra-session]\nlog-file = /x", "2: warning: log-file is not a jail option; did you mean logpath?"),
        ("[zimbra-session]\nzmban.dryrun = 1",
         f"2: warning: zmban.dryrun is not a jail option; known are: {OWN}"),
        ("[of-ones-own]\nlogpath = /x\nfilter = zimbra-smtp\nenabeld = true",
         "4: warning: enabeld is not a jail option, so that [of-ones-own] stays off; did you mean enabled?"),
        ("[zimbra_smtp]\nmaxretry = 5",
         "2: warning: [zimbra_smtp] is never enabled and has no filter: maxretry has no effect; "
         "did you mean [zimbra-smtp]?"),
        ("[zimbra-stmp]\nmaxretry = 5\nenabled = false",
         "2: warning: [zimbra-stmp] is never enabled and has no filter: maxretry, enabled have no effect; "
         "did you mean [zimbra-smtp]?"),
        ("[Zimbra-Mail ]\nfindtime = 1h\nbantime = 1h\nmaxretry = 9\nignoreip = 203.0.113.7",
         "2: warning: [Zimbra-Mail ] is never enabled and has no filter: findtime, bantime, maxretry and more "
         "have no effect; did you mean [zimbra-mail]?"),
        ("[zimbra-sesion]\nfilter = gone\nlogpath = /x",
         "2: warning: [zimbra-sesion] is never enabled and has no filter: filter, logpath have no effect; "
         "did you mean [zimbra-session]?"),
        ("[Default]\nignoreip = 203.0.113.0/24",
         "2: warning: [Default] is never enabled and has no filter: ignoreip has no effect; "
         "did you mean [DEFAULT]?"),
        ("[zimbra-audit]\nmaxretry = 5\nbantime = 1h",
         "2: warning: [zimbra-audit] is never enabled and has no filter: maxretry, bantime have no effect; "
         "there is no jail of this name to override"),
        *((f"[{section}]\n{options}",
           f"2: warning: [{section}] is never enabled and has no filter: {named} have no effect; there is no jail of "
           "this name to override")
          for section, options, named in (
              ("mailserver", "maxretry = 3\nport = 25\nbantime = 1h", "maxretry, bantime"),
              ("zimbra-web", "findtime = 1h\nlogpath = /x", "findtime, logpath"),
              ("imap", "maxretry = 3\nbantime = 1h\nlogpath = /x", "maxretry, bantime, logpath"),
              ("postoffice", "filter = gone\nmaxretry = 3", "filter, maxretry"),
              ("postoffice", "failregex = x <HOST>\nmaxretry = 3", "failregex, maxretry"))),
        ("[mailserver]\nmaxretry = 3\nport = 25",
         "2: warning: [mailserver] is never enabled and has no filter: maxretry has no effect; there is no jail of "
         "this name to override"),
        *((f"[zimbra-session]\n{word} = {value}",
           f"2: warning: {word} is not a jail option, so that [zimbra-session] stays off; did you mean enabled?")
          for word, value in (("enabling", "true"), ("on", "1"), ("state", "enabled"), ("status", "active"),
                              ("run", "yes"), ("turned-on", "True"), ("jail", "ON"))),
        ("[Definition]\nfailregex = bad from <HOST>",
         "2: warning: [Definition] is not read in a jail file; move it to filter.d/NAME.conf"),
        ("[zimbra-mail]\nlogpath = /data/mbox.log",
         f"2: warning: no grammar for a log named /data/mbox.log: {KNOWN}; {NAME}: /data/mailbox.log"),
        *((f"[x]\nenabled = 1\nfilter = {filter_}\nlogpath = /opt/zimbra/log/{name}",
           f"4: warning: no grammar for a log named /opt/zimbra/log/{name}: {why}; {NAME}: {cure}")
          for filter_, name, why, cure in (
              ("zimbra-mail", "mailboxd.log", KNOWN, MAILBOX),
              ("zimbra-smtp", "mailboxd.log", LOOSE, MAILBOX),
              ("zimbra-probe", "mailboxd.log", LOOSE, MAILBOX),
              ("f", "mailboxd.log", LOOSE, MAILBOX),
              ("f", "mailboxd-2026*.log", LOOSE, MAILBOX),
              ("zimbra-probe", "nginx_acces.log", LOOSE, "/opt/zimbra/log/nginx.access.log"),
              ("zimbra-smtp", "postoffice.log", LOOSE, ANY),
              ("zimbra-mail", "postoffice.log", KNOWN, MAILBOX))),
        ("[zimbra-scan]\nlogpath = /data/web*.log\nzmban.log =",
         "2: warning: no grammar for a log named /data/web*.log: its filter uses the grammar of the log, so "
         f"it finds no client; {NAME}: /data/nginx.access.log"),
        ("[zimbra-probe]\nlogpath = /data/syslog\nzmban.log =",
         f"2: warning: no grammar for a log named /data/syslog: {LOOSE}; {NAME}: /data/zimbra.log"),
        ("[x]\nenabled = 1\nfilter = f\nlogpath = /opt/zimbra/log/my.log",
         f"4: warning: no grammar for a log named /opt/zimbra/log/my.log: {LOOSE}; {NAME}: {ANY}"),
    ],
)  # fmt: skip
def test_each_option_without_effect_is_reported_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    written(tmp_path, text, f="^ bad thing from <HOST>$")
    assert told(tmp_path) == [f"jail.local:{message}"]


JAIL = "[own]\nenabled = true\nfilter = {}\nlogpath = {}\nport = {}\nmaxretry = {}\nfindtime = {}\nbantime = {}\n"


@pytest.mark.parametrize(
    ("jail", "message"),
    [
        (("zimbra-smtp", SYSLOG, "25,465,587", 5, "1d", "1h"),
         f"the shipped jail zimbra-smtp, which is still enabled: {SMTP}; own after 5 lines within 1 day, for 1 hour"),
        (("zimbra-smtp", SYSLOG, "smtp", 1, "10m", "-1"),
         "the shipped jail zimbra-smtp, which is still enabled: own bans first, after 1 line within 10 minutes, for ever; "
         f"{SMTP.replace('bans first, ', '')}"),
        (("zimbra-smtp", SYSLOG, "smtp", 2, "90", "1y\nbantime.increment = true"),
         f"the shipped jail zimbra-smtp, which is still enabled: {SMTP.replace('first, ', '')}; own at the same time, after "
         "2 lines within 1.5 minutes, for 1 year and longer each time"),
        # Each failed login leaves two lines in mailbox.log.
        (("loose", MAILBOX, "443", 5, "1d", "1d"),
         f"the shipped jails zimbra-mail, zimbra-admin and zimbra-enum, which are still enabled: {MAIL.replace('after', 'bans after')}; "
         f"{ADMIN.replace('after', 'at the same time, after')}; own at the same time, after 5 lines within 1 day, "
         f"for 1 day; {ENUM}"),
        (("loose", MAILBOX, "443", 2, "1d", "1d"),
         "the shipped jails zimbra-mail, zimbra-admin and zimbra-enum, which are still enabled: own bans first, after 2 lines "
         f"within 1 day, for 1 day; {MAIL}; {ADMIN}; {ENUM}"),
        # A filter that matches no example line is compared with all jails of the log.
        (("strange", "/opt/zimbra/log/nginx.log", "all", 9, "1d", "1d"),
         "the shipped jails zimbra-nginx and zimbra-nginx-mail, which are still enabled: zimbra-nginx bans first, after 1 line within "
         "1 day, for 11.4 years; zimbra-nginx-mail after 5 logins within 1 day, for 11.4 years; own after 9 lines within "
         "1 day, for 1 day"),
        (("strange", "/var/log/*.log", "all", 9, "1d", "1d"),
         "the shipped jails zimbra-inject, zimbra-smtp, zimbra-probe and N more, which are still enabled: zimbra-inject bans first, "
         "after 1 line within 1 day, for 11.4 years; zimbra-smtp after 2 logins within 1 day, for 11.4 years; zimbra-probe "
         "after 3 lines within 1 day, for 30 days; own after 9 lines within 1 day, for 1 day"),
    ],
)  # fmt: skip
def test_a_jail_beside_a_shipped_one_is_reported_with_the_order_and_length_of_bans(
    tmp_path: Path, jail: tuple[object, ...], message: str
) -> None:
    loose = r".*ip=<HOST>;.*authentication failed for .*$"
    written(tmp_path, JAIL.format(*jail), loose=loose, strange="^ bad thing from <HOST>$")
    assert told(tmp_path) == [f"jail.local:4: warning: reads {jail[1]} like {message}; {CURE}"]


@pytest.mark.parametrize(
    "text",
    [
        # Another log, other lines of the same log, a jail without bans, one that replaces the shipped one.
        JAIL.format("zimbra-smtp", "/srv/other/zimbra.log", "25", 5, "1d", "1h"),
        JAIL.format("zimbra-session", SYSLOG, "25", 5, "1d", "1h"),
        JAIL.format("zimbra-smtp", SYSLOG, "25", 5, "1d", "1h") + "zmban.dry_run = true\n",
        JAIL.format("zimbra-smtp", SYSLOG, "25", 5, "1d", "1h") + "zmban.report_only = true\n",
        JAIL.format("zimbra-smtp", SYSLOG, "25", 5, "1d", "1h") + "[zimbra-smtp]\nenabled = false\n",
        JAIL.format("zimbra-smtp", SYSLOG, "25", 5, "1d", "1h") + "[zimbra-smtp]\nzmban.dry_run = true\n",
        JAIL.format("zimbra-smtp", SYSLOG, "465", 5, "1d", "1h") + "[zimbra-smtp]\nport = 25,587\n",
        JAIL.format("zimbra-smtp", SYSLOG, "25", 5, "1d", "1h").replace("own", "zimbra-smtp"),
        # Variables, names of actions, and sections that others refer to.
        "[zimbra-session]\nbanned_for = 1h\nsender = root@example.com\nports = 1\nenable = 1\nlogpath = %(enable)s\n",
        "[times]\nbantime = 1h\n[zimbra-session]\nbantime = %(times/bantime)s\n",
        "[zimbra-session]\nenabled = false\n[pass]\nenabled = false\nport = 25\nmaxretry = 3\n",
        "[zimbra-session]\nport = true\nmode = on\nskip_if_nologs = true\nenabled = false\nkeep = true\n",
        "".join(f"[copied-{i}]\nport = 25\nlogpath = /x\nmaxretry = 3\n" for i in range(11)),
        # Logs with a grammar, also by a glob, and logs of other programs.
        "[zimbra-smtp]\nlogpath = /data/zimbra.log\n  /data/*.log\n  /data/zimbra.log-2026*\n",
        "[web]\nenabled = true\nfilter = strange\nlogpath = /srv/app/app.log\n",
        "[mta]\nenabled = true\nfilter = smtp\nlogpath = %(postfix_log)s\n",
    ],
)  # fmt: skip
def test_a_correct_configuration_causes_no_warning(tmp_path: Path, text: str) -> None:
    smtp = (SHIPPED / "filter.d/zimbra-smtp.conf").read_text(encoding="utf-8")
    written(tmp_path, text, strange="^ bad thing from <HOST>$")
    (tmp_path / "filter.d/smtp.conf").write_text(smtp, encoding="utf-8")
    assert told(tmp_path) == []


def test_the_shipped_configuration_causes_no_warning() -> None:
    assert lint.passed_over(loading.load([str(SHIPPED)])) == []


@pytest.mark.conformance
def test_debian_s_stock_configuration_causes_no_warning(tmp_path: Path) -> None:
    assert lint.passed_over(loading.load([str(package.stock())])) == []
    assert told(package.stock()) == []
    # A complete copy as jail.local, as many administrators make it.
    shutil.copy(package.stock() / "jail.conf", tmp_path / "jail.local")
    assert told(package.stock(), tmp_path) == []
    assert told(tmp_path) == []


@pytest.mark.conformance
def test_with_every_stock_jail_enabled_none_is_misspelt_or_without_effect(tmp_path: Path) -> None:
    directory = tmp_path / "fail2ban"
    forced_on(package.stock(), directory)
    found = told(directory)
    assert not [text for text in found if "did you mean" in text or "never enabled" in text]
    assert not [text for text in found if "no grammar for" in text]


RIVALS = {
    "accounts": {
        "7": "zimbra-mail and zimbra-enum",
        "15": "zimbra-mail, zimbra-admin and zimbra-enum",
        "24": "zimbra-recipient",
    },
    # Its jails have the names of the shipped ones, and so override them.
    "article": {},
    "requests": {
        "4": "zimbra-exploit, zimbra-scan and zimbra-malformed",
        "13": "zimbra-scan",
        "20": "zimbra-probe",
    },
    "webmail": {
        "5": "zimbra-mail and zimbra-admin",
        "14": "zimbra-mail and zimbra-admin",
        "23": "zimbra-smtp",
        "32": "zimbra-mail",
    },
    "wiki": {"15": "zimbra-mail, zimbra-admin and zimbra-enum"},
}


@pytest.mark.parametrize("name", sorted(path.name for path in PUBLISHED.iterdir()))
def test_published_filters_cause_warnings_about_rival_jails_only(name: str) -> None:
    found = {text.split(":")[1]: text for text in told(PUBLISHED / name)}
    assert found.keys() == RIVALS[name].keys()
    for line, names in RIVALS[name].items():
        assert re.search(f" like the shipped jails? {names}, which (is|are) still enabled", found[line])


def test_each_shipped_jail_that_bans_matches_example_lines_of_its_own_logs_only() -> None:
    files = ConfigFiles([SHIPPED])
    every: set[tuple[str, str]] = set()
    with regex_budget.limited():
        for name in files.jails().sections.keys() - {"DEFAULT"}:
            jail, _ = jails.one(files, name)
            assert jail is not None
            if not (jail.report_only or jail.confirms):
                every |= taken(jail.filter)
                kinds = {of_log(log) for log, _ in taken(jail.filter)}
                assert kinds == {of_log(log.glob) for log in jail.logpath}, name
    assert {log for log, _ in every} == LINES.keys()


def test_check_prints_each_lint_warning_once_and_exits_with_0(tmp_path: Path) -> None:
    written(tmp_path, "[DEFAULT]\nignore_ip = 203.0.113.7\n[zimbra-session]\nenable = true\n")
    done = zmban("check", "--config", SHIPPED, "--config", tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("ignore_ip is not a jail option; did you mean ignoreip?") == 1
    assert done.stdout.count("enable is not a jail option, so that [zimbra-session] stays off") == 1


def test_a_runaway_regex_is_aborted_on_an_example_line(tmp_path: Path) -> None:
    evil = r"(?:\S+\s*)+never from <HOST>$"
    written(tmp_path, JAIL.format("evil", SYSLOG, "25", 5, "1d", "1h"), evil=evil)
    assert len(told(tmp_path)) == 1


def test_lint_works_with_a_running_regex_budget_and_in_a_thread_without_one(tmp_path: Path) -> None:
    loose = r".*ip=<HOST>;.*authentication failed for .*$"
    written(tmp_path, JAIL.format("loose", SYSLOG, "443", 5, "1d", "1d"), loose=loose)
    assert told(tmp_path) == [], "the filter matches no example line of this log"
    with regex_budget.limited():
        assert told(tmp_path) == []
        assert regex_budget.is_limited()
    with ThreadPoolExecutor() as thread:
        (text,) = thread.submit(told, tmp_path).result()
    assert "and N more, which are still enabled" in text, "example lines cannot be tried without a budget"
    assert not regex_budget.is_limited()


def test_a_kind_of_log_that_is_not_there_is_a_fault_with_those_that_are(tmp_path: Path) -> None:
    written(tmp_path, "[web]\nenabled = true\nfilter = web\nlogpath = journal:postfix\n", web="^ x <HOST>$")
    done = zmban("--config", tmp_path, "check")
    assert "jail.local:4: logpath: journal:postfix: journal is no kind of log; there are: file" in done.stdout
    assert done.returncode == 78


def test_a_jail_may_name_the_log_whose_lines_its_own_carry(tmp_path: Path) -> None:
    for text in ("zmban.log = mailbox.log", "zmban.log = chat.log"):
        written(
            tmp_path,
            f"[web]\nenabled = true\nfilter = web\nlogpath = /x/zimbra-mailboxd\n{text}\n",
            web="^ x <HOST>$",
        )
        done = zmban("--config", tmp_path, "check")
        assert ("chat.log' is no log of Zimbra; there are: zimbra.log" in done.stdout) == ("chat" in text)
        assert "no grammar for a log named" not in done.stdout
