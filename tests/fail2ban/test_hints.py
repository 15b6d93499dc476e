"""Suggestions for misspelt names: a similar name, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fail2ban.syntax import hints
from sidecar.fail2ban.syntax.files import ConfigFiles
from tests.cli.running import zmban

SHIPPED = Path(__file__).parents[2] / "config"
FILTERS = [*ConfigFiles([SHIPPED]).filter_names(), "sshd", "postfix"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("zimbra-smpt", "zimbra-smtp"),
        ("zimbra-stmp", "zimbra-smtp"),
        ("zimbra_smtp", "zimbra-smtp"),
        ("zimbrasmtp", "zimbra-smtp"),
        ("Zimbra.SMTP", "zimbra-smtp"),
        ("smtp-zimbra", "zimbra-smtp"),
        ("zimbra-smtpd", "zimbra-smtp"),
        ("zimbra-smtp.conf", "zimbra-smtp"),
        ("zmibra-mail", "zimbra-mail"),
        ("zimbra-ngnix", "zimbra-nginx"),
        ("zimbra-nginx_mail", "zimbra-nginx-mail"),
        ("zimbra-recipents", "zimbra-recipient"),
        ("ssh", "sshd"),
        ("posfix", "postfix"),
        # A common prefix alone is no similarity.
        *((word, None) for word in (
            "zimbra-web", "zimbra-audit", "zimbra-imap", "zimbra-submission", "zimbra-webmail", "zimbra-account",
            "zimbra-nginx-scanners", "zimbra-postfix-submission", "zimbra", "dovecot", "recidive", "postfix-sasl",
            "mail", "nginx", "x", "", "-", "zz", "漢字", "a" * 5000,
        )),
    ],
)  # fmt: skip
def test_a_suggestion_is_similar_or_none(word: str, meant: str | None) -> None:
    assert hints.closest(word, FILTERS) == meant
    assert hints.near(word, FILTERS) == (f"; did you mean {meant}?" if meant else "")


@given(st.sampled_from(FILTERS), st.data())
def test_one_typing_error_in_a_longer_name_leads_back_to_it(name: str, data: st.DataObject) -> None:
    family, _, rest = name.rpartition("-")
    if len(rest) < 5:
        return
    at = data.draw(st.integers(1, len(rest) - 2))
    letter = data.draw(st.sampled_from("qxz"))
    typos = [rest[:at] + rest[at + 1 :], rest[:at] + letter + rest[at:], rest[:at] + letter + rest[at + 1 :]]
    typos.append(rest[:at] + rest[at + 1] + rest[at] + rest[at + 2 :])
    for typo in typos:
        wrong = f"{family}-{typo}" if family else typo
        if wrong not in FILTERS:
            assert hints.closest(wrong, FILTERS) == name


@given(st.text(max_size=100), st.lists(st.text(max_size=30), max_size=5))
def test_the_suggestion_for_any_word_is_a_known_name(word: str, known: list[str]) -> None:
    found = hints.closest(word, known)
    assert found is None or (found in known and found != word)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("enable", "enabled"),
        ("enbled", "enabled"),
        ("active", "enabled"),
        ("disabled", "enabled"),
        ("bantme", "bantime"),
        ("ban-time", "bantime"),
        ("max_retries", "maxretry"),
        ("maxretires", "maxretry"),
        ("findtimes", "findtime"),
        ("ignore_ip", "ignoreip"),
        ("ignoreips", "ignoreip"),
        ("whitelist", "ignoreip"),
        ("log_path", "logpath"),
        ("logfile", "logpath"),
        ("filters", "filter"),
        ("bantime.maxtme", "bantime.maxtime"),
        # Variables of Fail2Ban's own files.
        *((key, None) for key in ("port", "ports", "banaction", "ban_action", "sshd_backend", "sender", "mode", "chain")),
        *((option, None) for option in hints.JAIL_OPTIONS),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_recognised(key: str, meant: str | None) -> None:
    assert hints.misspelt(key) == meant


@pytest.mark.parametrize(
    ("name", "ending"), [("zimbra-web", "zimbra-web.conf"), ("zimbra-smpt", "; did you mean zimbra-smtp?")]
)
def test_a_missing_filter_is_reported_with_a_similar_name_only(
    tmp_path: Path, name: str, ending: str
) -> None:
    text = f"[x]\nenabled = true\nfilter = {name}\nlogpath = /var/log/zimbra.log\n"
    (tmp_path / "jail.local").write_text(text, encoding="utf-8")
    done = zmban("check", "--config", SHIPPED, "--config", tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if f"filter {name} not found" in line]
    assert line.endswith(ending)
