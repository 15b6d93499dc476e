"""What strangers write into a log can neither mention anybody nor add markup, a header or a recipient."""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.app.notify import templates, wording
from sidecar.app.notify.message import MOST_LINES, Message
from sidecar.model import Ban
from sidecar.network import Network

NASTY = [
    "<!channel> <@U024BE7LH> <https://evil.example|bank> & <b>bold</b>",
    "@channel @here @everyone @all @room hello",
    "``` *bold* [bank](https://evil.example) ~x~ `code`",
    "\r\nBcc: victim@example.com\r\n\r\nbody",
    "\u202egnp.exe \u2066 \x1b[2J \x00 \u2028 \ud800",
    "</code></pre><img src=x onerror=alert(1)>",
]
hostile = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=400), st.lists(st.sampled_from(NASTY)).map("".join)
)
EVERYBODY = re.compile(r"(?<!\w)@(all|channel|everyone|here|room)\b", re.IGNORECASE)


def about(text: str) -> Message:
    """A message about a ban whose reason and log line are this text."""
    ban = Ban(Network.parse("203.0.113.0/24"), "smtp", 1.0, None, "log", text, 2, ("x", text))
    return wording.of_rows("wide-ban", 1.0, [wording.wide_ban(ban, 3)], 1)


@given(hostile)
def test_slack_and_mattermost_see_plain_text(text: str) -> None:
    sent = templates.body("slack", about(text), "mail", "1")
    head, fence, rest = sent["text"].partition("\n```\n")
    assert fence and rest.endswith("\n```") and "`" not in rest.removesuffix("```")
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", sent["text"])
    assert not EVERYBODY.search(sent["text"])
    assert sent["link_names"] is False and sent["unfurl_links"] is False
    assert "wide ban" in head


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert attrs == []


@given(hostile)
def test_matrix_sees_no_markup_and_no_mention_of_the_room(text: str) -> None:
    sent = templates.body("matrix", about(text), "mail", "1")
    parser = Tags()
    parser.feed(sent["html"])
    assert parser.tags == ["p", "pre", "code"]
    assert not EVERYBODY.search(sent["html"]) and not EVERYBODY.search(sent["text"])


@given(hostile)
def test_every_body_is_json_of_printable_lines_and_bounded(text: str) -> None:
    for kind in ("json", "slack", "matrix"):
        sent = templates.body(kind, about(text), "mail", "1")
        encoded = json.dumps(sent).encode()
        assert len(encoded) < 8000
        shown = sent["text"].replace("\u200b", "")
        assert all(line.isprintable() for line in shown.split("\n"))


@given(hostile)
def test_mail_has_our_headers_and_recipients_only(text: str) -> None:
    made = templates.mail(about(text), "mail", "7", "zmban@example.net", ("a@example.com", "b@example.com"))
    read = message_from_bytes(made.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert {name.lower() for name in dict(read)} == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "content-type", "mime-version",
        "content-transfer-encoding",
    }  # fmt: skip
    assert [a.addr_spec for a in read["To"].addresses] == ["a@example.com", "b@example.com"]
    assert read["Message-ID"] == "<zmban.7@example.net>"
    assert all(line.isprintable() for line in read.get_content().splitlines())


def test_the_generic_body_has_the_record_of_each_event() -> None:
    sent = templates.body("json", about("2 failures"), "mail", "7")
    assert sent.pop("items") == [
        {
            "event": "ban", "at": 1.0, "network": "203.0.113.0/24", "jail": "smtp", "until": None,
            "failures": 2, "evidence": ["2 failures"], "reason": "2 failures",
        }
    ]  # fmt: skip
    assert sent == {
        "source": "zmban", "host": "mail", "id": "7", "event": "wide-ban", "at": 1.0, "number": 1,
        "text": "zmban on mail: wide ban\n[smtp] Ban 203.0.113.0/24 (256 addresses, recent logins from 3 networks "
        "inside): 2 failures; 2 failures",
    }  # fmt: skip


def test_of_many_events_the_first_are_shown_and_the_others_counted() -> None:
    joined = about("x")
    for _ in range(99):
        joined = joined.joined(about("y"))
    assert len(joined.items) == MOST_LINES
    text = templates.body("json", joined, "mail", "1")["text"].splitlines()
    assert (text[0], text[-1]) == ("zmban on mail: wide ban (100 events)", "and 80 more")
    assert Message.loaded(joined.dumped()) == joined


@pytest.mark.parametrize("name", ["bob@example.com", "all@example.com", "x@here.example", "r@room"])
def test_an_address_of_mail_stays_as_it_is(name: str) -> None:
    assert name in templates.body("slack", about(name), "mail", "1")["text"]
