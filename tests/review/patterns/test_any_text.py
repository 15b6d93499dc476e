"""Whatever text a client writes into a line: nothing fails, and no failregex can be made to blame somebody else."""

from __future__ import annotations

from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.detect.match.forged_example import VICTIM, forged
from sidecar.detect.match.matcher import Matcher
from sidecar.fail2ban import filters
from sidecar.review.patterns.reading.masking import literal, masked, plain, regex
from sidecar.review.patterns.soundness import spec
from tests.review.patterns.logs import NOW, attackers, patterns

_PIECES = (
    "<HOST>", "[198.51.100.99]", "unknown[198.51.100.99]: ", "; from=<", "> ", '"', '", client: 198.51.100.99, server: ',
    "%", "%(x)s", "#", " ;", ";;", "\\", "\\x00", "(", ")", "(?:", "[", "]", "{9}", "*", "+", "?", "^", "$", "|", "\ue000",
    "\ue00b", "\r", "\t", "\0", "\x1b[31m", "\u202e", "\u2028", "denied", "attack", " failed ", "554 5.7.1 ", "=", "@", "a@b",
    "198.51.100.99", "<x>", "<F-ID>", "~", "é", "\N{PILE OF POO}", "message repeated 2 times: [", " - - [] ", "HTTP/1.1", "/",
)  # fmt: skip
TEXT = (
    st.lists(st.sampled_from(_PIECES) | st.text(max_size=12), max_size=8)
    .map("".join)
    .map(lambda text: text.replace("\n", " "))
)
FORMS = {
    "zimbra.log": (
        "Jan  5 10:00:0{n} mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[{c}]: 554 5.7.1 <{t}>: {t} refused by policy; from=<{t}> to=<{t}> proto=ESMTP helo=<{t}>",
        "2026-01-05T10:00:0{n}+00:00 mail postfix/smtps/smtpd[1]: warning: Illegal address syntax from unknown[{c}] in MAIL command: {t}",
        "Jan  5 10:00:0{n} mail postfix/postscreen[1]: NOQUEUE: reject: RCPT from [{c}]:4{n}: 550 5.7.1 Access refused to {t}; from=<{t}>, to=<{t}>, proto=ESMTP, helo=<{t}>",
    ),
    "mailbox.log": (
        "2026-01-05 10:00:0{n},001 WARN  [ImapServer-{n}] [ip={c};ua={t};] imap - {t} authentication refused: invalid mechanism {t}",
    ),
    "nginx.log": (
        '2026/01/05 10:00:0{n} [info] 1#1: *{n} client sent invalid header line: "{t}" while reading, client: {c}, server: s, request: "{t}"',
        '2026/01/05 10:00:0{n} [error] 1#1: *{n} access forbidden by rule, client: {c}, server: {t}, request: "{t}", host: "{t}"',
    ),
    "nginx.access.log": (
        '{c}:4{n} - {t} [05/Jan/2026:10:00:0{n} +0000]  "GET /remote/{t} HTTP/1.1" 404 1 "{t}" "{t}" "-" "-"',
    ),
}  # fmt: skip
CASES = st.sampled_from([(log, form) for log, forms in FORMS.items() for form in forms])


@given(CASES, TEXT, st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_in_every_field_is_survived_and_blames_nobody_else(
    case: tuple[str, str], text: str, varies: bool
) -> None:
    log, form = case
    lines = [
        form.format(c=client, n=i, t=text if not varies else f"{text}{i}")
        for i, client in enumerate(attackers(10)[:10])
    ]
    for pattern in patterns(log, lines):
        assert pattern.template.isprintable()
        assert bool(pattern.failregex) != bool(pattern.why_not)
        if not pattern.failregex:
            continue
        assert pattern.failregex.isascii() and pattern.failregex.isprintable()
        found = spec(pattern.failregex, pattern.kind)
        assert forged(found.failregex[0].regex) is None
        matcher = Matcher(found, UTC)
        for sample in pattern.samples:
            outcome = matcher.match(sample.line, NOW)
            assert outcome.matched and outcome.host in (None, sample.client)
            assert outcome.host != VICTIM


@given(TEXT)
def test_a_literal_is_exactly_its_text_and_safe_in_a_file(text: str) -> None:
    written = literal(text)
    assert written.isascii() and written.isprintable() and not set("<>;#") & set(written)
    spec_of, faults = filters.inline(f"^{written}<HOST>", usedns="no")
    assert faults == [] and spec_of.failregex[0].regex.search(f"{text}203.0.113.7\n")


@given(st.text(max_size=300))
def test_the_regex_of_masked_text_matches_the_text(text: str) -> None:
    text = plain(text.replace("\n", " "))
    spec_of, _ = filters.inline(f"^<HOST> {regex(masked(text))}$", usedns="no")
    assert spec_of.failregex[0].regex.search(f"203.0.113.7 {text}\n")
