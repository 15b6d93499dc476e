"""The grammars of zimbra.log, nginx.log and the access logs: the client to blame, and other facts."""

from __future__ import annotations

import pytest

from sidecar.detect.grammar import Trust, access, chosen, mailbox, nginx, postfix
from sidecar.model import NOBODY, LineFacts
from sidecar.network import Network

TRUST = Trust(())
A, V = "203.0.113.7", "198.51.100.99"
SMTPD = " mail postfix/submission/smtpd[4711]: "


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (f"{SMTPD}warning: unknown[{A}]: SASL LOGIN authentication failed: x", A),
        (f"{SMTPD}warning: host.example.net[2001:db8::7]:4711: SASL LOGIN authentication failed: x", "2001:db8::7"),
        (f"{SMTPD}warning: unknown[unknown]: SASL LOGIN authentication failed: x", None),
        (f"{SMTPD}warning: hostname x.example.net does not resolve to address {A}: Name or service not known", A),
        (f"{SMTPD}warning: hostname x.example.net does not resolve to address {V}.evil", None),
        (f"{SMTPD}NOQUEUE: lost connection after CONNECT from unknown[{A}]", A),
        (f"{SMTPD}E1988A367B: client=host.example.net[{A}], sasl_method=PLAIN, sasl_username=bob", A),
        (f"{SMTPD}warning: lmdb:/x is unavailable. open database /x[{V}]: no", None),
        (f" mail postfix/postscreen[1]: CONNECT from [{A}]:21600 to [10.0.0.1]:25", A),
        (f" mail postfix/postscreen[1]: NOQUEUE: reject: RCPT from [{A}]:21600: 550 5.7.1 x", A),
        (f" mail postfix/dnsblog[1]: addr {A} listed by domain zen.example.org as 127.0.0.4", A),
        (f" mail postfix/anvil[1]: statistics: max connection rate 53/60s for (submission:{A}) at May  7", A),
        (f" mail amavis[1]: (1-02) Passed CLEAN {{RelayedInbound}}, [{A}]:48460 [{A}] <a@x> -> <b@y>", A),
        # amavis continues a long entry on the next line, with text of the sender and recipient.
        (f" mail amavis[1]: (1-02) ...[{V}]:48460 [{V}] <a@x> -> <b@y>, Passed CLEAN, [{V}]:25 [{V}]", None),
        (f" mail amavis[1]: (1-02) Passed CLEAN {{RelayedInbound}}, [{A}]:48460 [{A}] <a@x> -> <b@y>,...", A),
        (f" mail postfix/smtp[1]: CF06: to=<x@example.com>, relay=mx.example.com[{V}]:25, status=sent", None),
        (" mail saslauthd[1]: auth_zimbra: bob auth failed: authentication failed for [bob]", None),
        (f" <mail.info> mail postfix/smtpd[1]: [ID 197553 mail.info] connect from unknown[{A}]", A),
        (f" mail postfix/smtpd[1]: message repeated 2 times: [ lost connection after AUTH from unknown[{A}]]", A),
        (f" mail sshd[1]: Failed password for invalid user x from {V} port 1 ssh2 from {A} port 22 ssh2", A),
        (f"{SMTPD}connect from unknown[::ffff:{A}]", A),
        (f"{SMTPD}connect from unknown[2001:DB8:0::7]:25", "2001:db8::7"),
        (f"{SMTPD}connect from unknown[fe80::7%eth0]", "fe80::7"),
        (" mail postfix/postscreen[1]: CONNECT from [fe80::7%eth0]:21600 to [::1]:25", "fe80::7"),
        (" mail amavis[1]: (1-02) Passed CLEAN {RelayedInbound}, [IPv6:2001:db8::7]:4 [x] <a@x> -> <b@y>", "2001:db8::7"),
        # A load balancer that sends the PROXY protocol to a server that does not expect it.
        (f"{SMTPD}warning: non-SMTP command from unknown[10.0.0.9]: PROXY TCP4 {A} 10.0.0.2 40001 25", None),
        (f"{SMTPD}warning: non-SMTP command from unknown[{A}]: PROXY TCP4 {V} 10.0.0.2 40001 25", A),
        (f"{SMTPD}warning: non-SMTP command from unknown[10.0.0.9]: GET /x: PROXY TCP4 {V} 10.0.0.2 1 25", "10.0.0.9"),
    ],
)  # fmt: skip
def test_the_client_of_a_line_of_zimbra_log(line: str, client: str | None) -> None:
    facts = postfix.client(line, TRUST)
    assert facts is not None
    assert facts.client == client


def test_for_an_unknown_program_the_filter_alone_decides() -> None:
    assert postfix.client(f" mail dovecot[1]: auth failed from {A}", TRUST) is None
    assert postfix.client(" mail sshd[1]: Connection closed", TRUST) is None
    assert postfix.client(" mail slapd[1]: slapd starting", TRUST) == NOBODY


def test_a_line_of_mailboxd_in_syslog_is_one_of_mailbox_log() -> None:
    context = f"[oip=198.51.100.1, {A};ua=x;]"
    line = (
        f" mail mailboxd: 2026-01-05 10:00:01,041 INFO  [qtp1-2:https://m/x] {context} SoapEngine - handler"
    )
    facts = postfix.client(line, TRUST)
    assert facts is not None and facts.client == A
    assert postfix.client(" mail mailboxd: something", TRUST) == NOBODY


def test_proxies_set_later_are_added_to_the_configured_ones() -> None:
    trust = Trust([Network.parse("10.0.0.9")])
    line = " WARN  [ImapServer-1] [ip=172.28.0.5;oip=203.0.113.7;] security - x"
    assert mailbox.client(line, trust).relay == "172.28.0.5"
    trust.trust_also([Network.parse("172.28.0.5")], ())
    assert mailbox.client(line, trust).client == A
    trust.trust_also((), ())
    assert mailbox.client(line, trust).relay == "172.28.0.5"
    assert trust.is_proxy("10.0.0.9")


def test_other_facts_of_a_line_of_postfix() -> None:
    failed = postfix.client(
        f"{SMTPD}warning: unknown[{A}]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=bob@x",
        TRUST,
    )
    assert failed is not None
    assert (failed.account, failed.protocol, failed.good, failed.excused) == ("bob@x", "smtp", False, False)
    outage = postfix.client(
        f"{SMTPD}warning: unknown[{A}]: SASL PLAIN authentication failed: Connection lost to authentication server",
        TRUST,
    )
    assert outage is not None and outage.excused
    good = postfix.client(f"{SMTPD}DDDD44: client=h[{A}], sasl_method=PLAIN, sasl_username=bob@x", TRUST)
    assert good is not None and good.good and good.account == "bob@x"
    reject = postfix.client(
        f"{SMTPD}NOQUEUE: reject: RCPT from h[{A}]: 550 5.1.1 <y@x>: Recipient address rejected: x; "
        "from=<a@b> to=<y@x> proto=ESMTP helo=<c>",
        TRUST,
    )
    assert reject is not None
    assert {key: reject.fields[key] for key in ("from", "to", "helo")} == {
        "from": "a@b",
        "to": "y@x",
        "helo": "c",
    }


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (
            f" [info] 1#1: *7 client sent invalid method while reading client request line, client: {A}, server: _",
            A,
        ),
        (f' [error] 1#1: *7 open() "/x" failed (2: No), client: {A}, server: m, request: "GET /x"', A),
        (
            f' [error] 1#1: *7 open() "/x", client: {V}, server: y" failed, client: {A}, server: m, request: "x"',
            None,
        ),
        (
            f' [error] 1#1: *7 open() "/x" failed (2: No), client: {A}, server: m, referrer: "x, client: {V}, server"',
            A,
        ),
        (f" [info] 1#1: *7 client {A}:54928 connected to 0.0.0.0:25", A),
        (f" [info] 1#1: *7 client logged in, client: {A}, server: 0.0.0.0:25", A),
        (" [notice] 1#1: signal process started", None),
        (" [info] 1#1: *7 client [2001:db8::7]:54928 connected to [::]:25", "2001:db8::7"),
        (" [info] 1#1: *7 client 2001:db8::7:54928 connected to [::]:25", "2001:db8::7"),
        (" [info] 1#1: *7 client logged in, client: [2001:db8::7]:54928, server: [::]:25", "2001:db8::7"),
        (" [info] 1#1: *7 client timed out, client: [2001:db8::7]:40001, server: m", "2001:db8::7"),
        (" [info] 1#1: *7 client timed out, client: [2001:db8::7], server: m", "2001:db8::7"),
        (" [info] 1#1: *7 client timed out, client: 2001:db8::7:4001, server: m", "2001:db8::7:4001"),
        (" [info] 1#1: *7 client timed out, client: [fe80::7%eth0]:40001, server: m", "fe80::7"),
        (f" [info] 1#1: *7 client timed out, client: [::ffff:{A}]:40001, server: m", A),
        (f" [info] 1#1: *7 client timed out, client: ::ffff:{A}, server: m", A),
        (f" [info] 1#1: *7 client timed out, client: {A}:40001", A),
        (
            f' [error] 1#1: *7 open() "/x", client: [{V}]:1, server: y" no, client: [{A}]:2, server: m, request: "x"',
            None,
        ),
        (" [info] 1#1: *7 client timed out, client: unix:, server: m", None),
    ],
)
def test_the_client_of_a_line_of_nginx_log(line: str, client: str | None) -> None:
    assert nginx.client(line, TRUST).client == client


def test_a_login_through_nginx_names_its_account_and_protocol() -> None:
    rest = f', client: {A}, server: 0.0.0.0:11143, login: "bob@x"'
    failed = nginx.client(f' [info] 8#8: *2 client login failed: "no" while in http auth state{rest}', TRUST)
    assert (failed.account, failed.protocol, failed.good) == ("bob@x", "imap", False)
    assert nginx.client(f" [info] 8#8: *2 client logged in{rest}, upstream: 10.0.0.2:143", TRUST).good


@pytest.mark.parametrize("behind", ["", ":5555", ":5555 using starttls", " using starttls"])
def test_the_mail_proxy_of_zimbra_writes_the_client_s_port_and_whether_it_is_encrypted(behind: str) -> None:
    told = f" [info] 8#8: *2 client logged in, client: {A}{behind}, server: 0.0.0.0:143"
    via = "10.0.0.2:7143 (10.0.0.1:3344->10.0.0.2:7143) <=> (203.0.113.7:41234->10.0.0.1:143)"
    facts = nginx.client(f'{told}, login: "joe@x", upstream: {via}', TRUST)
    assert (facts.client, facts.account, facts.protocol, facts.good) == (A, "joe@x", "imap", True)


@pytest.mark.parametrize("component", ["imap", "pop", "pop3"])
def test_a_login_in_mailbox_log_is_one_in_every_protocol(component: str) -> None:
    line = f" INFO  [Server-1] [ip={A};] {component} - user joe smith@x authenticated, mechanism=PLAIN [TLS]"
    facts = mailbox.client(line, TRUST)
    assert (facts.client, facts.account, facts.good) == (A, "joe smith@x", True)


def test_a_url_with_many_separators_is_not_parsed_and_blames_nobody() -> None:
    line = f" INFO  [qtp3:https://h/{'][a=' * 4000}][oip={A};] sync - x"
    assert mailbox.client(line, TRUST) == NOBODY


@pytest.mark.parametrize(
    ("token", "with_port", "without"),
    [
        (f"{A}:40003", A, A),
        (A, A, A),
        ("2001:db8::7:40003", "2001:db8::7", None),
        ("[2001:db8::7]:40003", "2001:db8::7", "2001:db8::7"),
        ("[attacker_ip]", "attacker_ip", "attacker_ip"),
        ("mail.example.com:1", None, None),
    ],
)
def test_the_first_word_of_an_access_log_is_an_address_with_or_without_a_port(
    token: str, with_port: str | None, without: str | None
) -> None:
    line = f'{token} - bob []  "GET /x HTTP/1.1" 404 100 "-" "x \\x22y"'
    assert access.with_port(line, TRUST).client == with_port
    assert access.without_port(line, TRUST).client == without


@pytest.mark.parametrize(
    ("first", "user", "account"),
    [(A, "-", ""), (A, "- ", ""), (A, "bob", "bob"), (A, "bob ", "bob"), (f"{V}, {A}", "- ", "")],
)
def test_jetty_writes_two_spaces_for_no_user_and_the_forwarded_client(
    first: str, user: str, account: str
) -> None:
    facts = access.without_port(f'{first} - {user} [] "GET /x HTTP/1.1" 404 100 "-" "x" 12', TRUST)
    assert (facts.client, facts.account, facts.fields["request"]) == (A, account, "GET /x HTTP/1.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client", "relay"),
    [
        (f"{A}:1", V, A, None),
        ("10.0.0.9:1", f"{V}, {A}", A, None),
        ("10.0.0.9:1", "-", "10.0.0.9", None),
        ("192.168.1.1:1", A, None, "192.168.1.1"),
        ("10.0.0.9:1", f"{A}, 192.168.1.1", None, "192.168.1.1"),
        # Older formats of Zimbra end with the upstream server.
        ("192.168.1.1:1", "10.0.0.2:8443", "192.168.1.1", None),
        ("192.168.1.1:1", "[fd00::2]:8443", "192.168.1.1", None),
        ("192.168.1.1:1", f"{A}:40001", None, "192.168.1.1"),
        ("10.0.0.9:1", "[2001:db8::7]:40001", "2001:db8::7", None),
    ],
)
def test_nginx_s_default_format_ends_with_x_forwarded_for(
    peer: str, forwarded: str, client: str | None, relay: str | None
) -> None:
    trust = Trust([Network.parse("10.0.0.9")])
    facts = access.with_port(f'{peer} - - [] "GET /x HTTP/1.1" 404 1 "-" "x" "{forwarded}"', trust)
    assert (facts.client, facts.relay) == (client, relay)


@pytest.mark.parametrize("request_", ["PROXY TCP4 203.0.113.7 10.0.0.2 4000 443", "PROXY UNKNOWN", "\\x00"])
def test_an_internal_load_balancer_that_sends_nginx_the_proxy_protocol_is_not_blamed(
    request_: str,
) -> None:
    for peer, client in (("10.0.0.9", None), (A, A)):
        facts = access.with_port(f'{peer}:1 - - []  "{request_}" 400 1 "-" "-" "-" "10.0.0.2:443"', TRUST)
        assert (facts.client, facts.relay is None) == (client, client is not None)


def test_other_facts_of_a_line_of_an_access_log() -> None:
    facts = access.with_port(f'{A}:1 - bob []  "GET /x HTTP/1.1" 404 100 "r" "a \\x22b"', TRUST)
    assert facts.account == "bob"
    assert dict(facts.fields) == {
        "user": "bob", "request": "GET /x HTTP/1.1", "status": "404", "bytes": "100", "referer": "r",
        "agent": "a \\x22b",
    }  # fmt: skip


def audit(says: str) -> LineFacts:
    return mailbox.client(f" WARN  [ImapServer-1] [ip={A};] security - {says}", TRUST)


def test_logins_in_audit_log() -> None:
    good = audit("cmd=Auth; account=bob@x; protocol=imap;")
    assert (good.account, good.protocol, good.good) == ("bob@x", "imap", True)
    failed = audit(
        "cmd=Auth; account=bob@x; protocol=imap; error=authentication failed for [bob@x], invalid password;"
    )
    assert (failed.good, failed.excused) == (False, False)
    for reason in (
        "account lockout",
        "must change password",
        "external LDAP auth failed, LDAP error: data 51f",
    ):
        assert audit(
            f"cmd=Auth; account=b; protocol=soap; error=authentication failed for [b], {reason};"
        ).excused
    assert audit("cmd=AdminAuth; account=; error=invalid request: must be valid email address: ;").excused


@pytest.mark.parametrize(
    ("reason", "excused"),
    [
        ("account not found", False),
        ("invalid password", False),
        ("empty password", False),
        ("external LDAP auth failed, LDAP error: 80090308: x, data 52e, v3839", False),
        ("", False),
        ("account lockout", True),
        ("account(or domain) status is maintenance", True),
        ("account not active", True),
        ("alias login not enabled", True),
        ("no two-factor code provided", True),
        ("preauth timestamp is too old, server time: 1", True),
        ("spnego authenticate failed", True),
        ("HTTP request to remote authentication server failed", True),
        ("external LDAP auth failed, LDAP error: unable to connect", True),
    ],
)
@pytest.mark.parametrize("component", ["security", "account"])
def test_the_additional_logging_has_account_and_reason(component: str, reason: str, excused: bool) -> None:
    told = "Error occurred during authentication: authentication failed for [bob@x]."
    line = f" INFO  [qtp1-2:https://m/service/soap/AuthRequest] [oip={A};ua=x;] {component} - {told} Reason: {reason}."
    facts = mailbox.client(line, TRUST)
    assert (facts.client, facts.account, facts.good, facts.excused) == (A, "bob@x", False, excused)


def test_an_account_named_like_a_reason_does_not_excuse_a_login() -> None:
    named = "error=authentication failed for [account lockout], invalid password;"
    assert not audit(f"cmd=Auth; account=account lockout; protocol=soap; {named}").excused
    assert not audit(f"cmd=Auth; account=x;; error=must change password; protocol=soap; {named}").excused


def test_a_filter_with_grammar_log_gets_that_of_its_log_or_blames_nobody() -> None:
    assert chosen("log", "/x/nginx.access.log") is access.with_port
    assert chosen("log", "/x/access_log.2026-01-05") is access.without_port
    unknown = chosen("log", "/x/other.log")
    assert unknown is not None and unknown("anything", TRUST) == NOBODY
    assert chosen(None, "/x/other.log") is None
    assert chosen("mailbox", "/x/other.log") is mailbox.client
