"""A message as JSON for each kind of webhook, and as mail. Text of others can add no mention, markup or
header."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from sidecar.app.notify.message import Message
from sidecar.settings.notify_urls import WebhookKind

# Words that notify everybody in Slack, Mattermost, Rocket.Chat and Matrix, also within plain text.
_EVERYBODY = re.compile(r"(?<!\w)@(?=(?:all|channel|everyone|here|room)\b)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


def body(kind: WebhookKind, message: Message, host: str, key: str) -> dict[str, Any]:
    """The JSON for a webhook of this kind. `key` is the same if a message is sent twice."""
    if kind == "slack":
        return _slack(message, host)
    if kind == "matrix":
        return _matrix(message, host)
    return {
        "source": "zmban",
        "host": host,
        "id": key,
        "event": message.event,
        "at": message.at,
        "number": message.number,
        "text": _text(message, host),
        "items": list(message.items),
    }


def _heading(message: Message, host: str) -> str:
    return f"zmban on {host}: {message.heading}"


def _text(message: Message, host: str) -> str:
    return "\n".join([_heading(message, host), *message.rows])


def _harmless(text: str) -> str:
    return _EVERYBODY.sub(f"@{_ZERO_WIDTH_SPACE}", text)


def _slack(message: Message, host: str) -> dict[str, Any]:
    """Slack's text format: `&<>` are escaped as it asks. The lines stand in a code block, in which neither
    Slack nor Mattermost looks for markup, links or names."""
    text = html.escape(_heading(message, host), quote=False)
    if message.rows:
        rows = html.escape("\n".join(message.rows), quote=False).replace("`", "'")
        text += f"\n```\n{rows}\n```"
    return {
        "text": _harmless(text), "parse": "none", "link_names": False, "unfurl_links": False,
        "unfurl_media": False,
    }  # fmt: skip


def _matrix(message: Message, host: str) -> dict[str, Any]:
    """The format of hookshot's inbound webhooks: with `html`, `text` is not read as Markdown."""
    formatted = f"<p>{html.escape(_heading(message, host))}</p>"
    if message.rows:
        formatted += f"<pre><code>{html.escape(chr(10).join(message.rows))}</code></pre>"
    return {"text": _harmless(_text(message, host)), "html": _harmless(formatted)}


def mail(
    message: Message, host: str, key: str, sender: str, to: tuple[str, ...], page: str = ""
) -> EmailMessage:
    """The message as mail, with `page` as HTML. If it is sent twice, the Message-ID is the same, by which
    Zimbra drops the second."""
    made = EmailMessage()
    made["From"] = Address("zmban", addr_spec=sender)
    made["To"] = ", ".join(to)
    made["Subject"] = f"[zmban] {host}: {message.heading}"
    made["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
    made["Message-ID"] = f"<zmban.{key}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(_text(message, host) + "\n")
    if page:
        made.add_alternative(page, subtype="html")
    return made
