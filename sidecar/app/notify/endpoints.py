"""The targets of [notify]: each webhook, and the mail, from the settings and the files that they name."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.app.notify import templates
from sidecar.app.notify.message import Message
from sidecar.delivery import smtp_client, webhook_client
from sidecar.delivery.secret_file import read_secret
from sidecar.delivery.smtp_client import SmtpAccess
from sidecar.settings import NotifySettings
from sidecar.settings.notify_urls import WebhookUrl
from sidecar.threads import run_detached

_MOST_WEBHOOKS = 20
WEBHOOK, MAIL = "webhook", "mail"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One target. `name` says which, without a secret: it begins with `webhook` or is `mail`, and stays the
    same if only the path of a URL changes."""

    name: str
    settings: NotifySettings
    sender: str = ""
    webhook: WebhookUrl | None = None

    @property
    def kind(self) -> str:
        """`webhook` or `mail`."""
        return MAIL if self.webhook is None else WEBHOOK

    async def send(self, message: Message, key: str, page: str = "") -> str:
        """Send a message; returns a warning. DeliveryError if it was not accepted. Mail has `page` as HTML,
        or the file that the message names."""
        host, settings = socket.gethostname(), self.settings
        if self.webhook is not None:
            body = templates.body(self.webhook.kind, message, host, key)
            await webhook_client.post(self.webhook, body, settings.ca_file)
            return ""
        page = page or (await run_detached(_page, message.page) if message.page else "")
        mail = templates.mail(message, host, key, self.sender, settings.mail_to, page)
        access = SmtpAccess(settings.smtp, settings.smtp_user, settings.smtp_password_file, settings.ca_file)
        return await smtp_client.send(access, mail)


def found(settings: NotifySettings) -> tuple[list[Endpoint], dict[str, str]]:
    """The targets, and faults by key. Reads files, so call it in a thread."""
    faults: dict[str, str] = {}
    webhooks = list(settings.webhooks)
    if settings.webhooks_file:
        try:
            lines = read_secret(settings.webhooks_file).splitlines()
        except ValueError as error:
            faults["webhooks_file"], lines = str(error), []
        webhooks += _in_lines(lines, settings.webhooks_file, faults)
    if len(webhooks) > _MOST_WEBHOOKS:
        faults["webhooks"] = f"only the first {_MOST_WEBHOOKS} of {len(webhooks)} are used"
    every = list(_endpoints(dict.fromkeys(webhooks[:_MOST_WEBHOOKS]), settings))
    if settings.mail_to:
        every.append(Endpoint(MAIL, settings, settings.mail_from or _sender()))
    return every, faults


def _in_lines(lines: Iterable[str], path: str, faults: dict[str, str]) -> Iterator[WebhookUrl]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield WebhookUrl.parse(line)
            except ValueError as error:
                faults["webhooks_file"] = f"{path}:{number}: {error}"


def _endpoints(webhooks: Iterable[WebhookUrl], settings: NotifySettings) -> Iterator[Endpoint]:
    hosts: Counter[str] = Counter()
    for webhook in webhooks:
        hosts[webhook.host] += 1
        number = hosts[webhook.host]
        name = f"{WEBHOOK} {webhook.host}" + (f" {number}" if number > 1 else "")
        yield Endpoint(name, settings, webhook=webhook)


def _page(path: str) -> str:
    """An HTML file; "" if it is gone, since the text of the message says the most important."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sender() -> str:
    """zmban@ and the name of the host. Zimbra needs the full one; a name server is not asked."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip(".-")
    return f"zmban@{name or 'localhost'}"
