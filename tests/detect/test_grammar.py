"""The grammar of mailbox.log and audit.log: the client to blame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.grammar import Trust, mailbox, of_log
from sidecar.network import Network

TRUST = Trust([Network.parse("10.0.0.0/8")])
SAYS = "SoapEngine - handler exception: authentication failed for [bob], invalid password"


def line(context: str, thread: str = "qtp1-2:https://m/service/soap/AuthRequest", says: str = SAYS) -> str:
    return f" INFO  [{thread}] [{context}] {says}"


@pytest.mark.parametrize(
    ("context", "client"),
    [
        ("oip=203.0.113.7;port=4;ua=x;", "203.0.113.7"),
        ("name=bob@example.com;oip=198.51.100.99, 203.0.113.7;", "203.0.113.7"),
        ("oip=203.0.113.7, 10.0.0.9;", "203.0.113.7"),
        ("ip=10.0.0.9;oip=203.0.113.7;via=10.0.0.9(nginx/1.7);", "203.0.113.7"),
        ("ip=203.0.113.7;oip=198.51.100.99;", "203.0.113.7"),
        ("oip=203.0.113.7;ua=x;;oip=198.51.100.99;; y;", "203.0.113.7"),
        ("ua=a;;oip=198.51.100.99;;;oip=203.0.113.7;", "203.0.113.7"),
        ("oip=2001:db8::7;", "2001:db8::7"),
        ("ip=10.0.0.9;", None),
        ("", None),
        ("oip=nonsense;", None),
        ("oip=198.51.100.99, nonsense;", None),
        ("oip=203.0.113.7", None),
        ("...", None),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_proxy(context: str, client: str | None) -> None:
    assert mailbox.client(line(context), TRUST).client == client


@pytest.mark.parametrize(
    "thread",
    [
        "qtp1:https://m/service/soap?][oip=198.51.100.99;]",
        "qtp1:https://m/x][oip=198.51.100.99;ua=",
        "qtp1:https://m/]x[",
    ],
)
def test_a_url_cannot_begin_the_context(thread: str) -> None:
    assert mailbox.client(line("oip=203.0.113.7;", thread), TRUST).client == "203.0.113.7"


def test_a_message_cannot_imitate_the_context() -> None:
    says = "SoapEngine - handler exception: authentication failed for [x] [oip=198.51.100.99;] a - b]"
    assert mailbox.client(line("oip=203.0.113.7;", says=says), TRUST).client == "203.0.113.7"
    assert mailbox.client(line("", says=says), TRUST).client is None


def test_where_two_readings_are_possible_nobody_is_blamed() -> None:
    forged = " DEBUG [qtp1:http://m/Sync?x][oip=198.51.100.99;ua=][oip=203.0.113.7;Cmd=Sync;] sync - HTTP 401"
    assert mailbox.client(forged, TRUST).client is None
    honest = " DEBUG [qtp1:http://m/Sync?User=a][oip=203.0.113.7;Cmd=Sync;] sync - HTTP 401"
    assert mailbox.client(honest, TRUST).client == "203.0.113.7"


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_user_agent_and_no_account_can_name_somebody_else(agent: str, account: str) -> None:
    escaped = agent.replace(";", ";;").replace("\r", " ").replace("\n", " ")
    text = line(f"oip=203.0.113.7;ua={escaped};", says=f"SoapEngine - failed for [{account}], x")
    assert mailbox.client(text, TRUST).client in ("203.0.113.7", None)


def test_a_log_is_known_by_its_file_name() -> None:
    assert of_log("/opt/zimbra/log/mailbox.log.2026-01-05") == "mailbox"
    assert of_log("/var/log/zimbra.log") == "zimbra"
    assert of_log("/opt/zimbra/log/nginx.access.log-20260105.gz") == "nginx-access"
    assert of_log("/opt/zimbra/log/nginx.log") == "nginx"
    assert of_log("/var/log/auth.log") is None
