"""Lines of mailbox.log: log4j records, some with Java stack traces, and failed logins."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from bench.scan.generate import Kind
from bench.scan.words import client, user

_REQUESTS = (
    "SearchRequest GetMsgRequest NoOpRequest SyncRequest BatchRequest GetInfoRequest SendMsgRequest".split()
)
_CLASSES = (
    "com.zimbra.soap.SoapEngine.dispatchRequest(SoapEngine.java:{n})",
    "com.zimbra.soap.SoapEngine.dispatch(SoapEngine.java:{n})",
    "com.zimbra.cs.service.mail.SendMsg.handle(SendMsg.java:{n})",
    "com.zimbra.cs.mailbox.Mailbox.getItemById(Mailbox.java:{n})",
    "org.eclipse.jetty.servlet.ServletHolder.handle(ServletHolder.java:{n})",
    "org.eclipse.jetty.server.handler.HandlerWrapper.handle(HandlerWrapper.java:{n})",
    "java.base/java.lang.Thread.run(Thread.java:{n})",
)
_TROUBLES = (
    "com.zimbra.cs.mailbox.MailServiceException$NoSuchItemException: no such message: {n}",
    "com.zimbra.common.service.ServiceException: permission denied: can not access account {u}",
    "com.zimbra.cs.account.AccountServiceException$AuthFailedServiceException: authentication failed for [{u}]",
)


def _thread(c: random.Random) -> str:
    return f"[qtp{c.getrandbits(30)}-{c.randint(10, 9999)}:https://mail.example.com/service/soap/{c.choice(_REQUESTS)}]"


def _context(c: random.Random, who: str) -> str:
    return f"[name={user(c)};mid={c.randint(1, 999)};oip={who};ua=ZimbraWebClient - FF{c.randint(90, 140)} (Linux)/10.1.0_GA_4655;soapId={c.getrandbits(32):x};]"


def _request(c: random.Random) -> str:
    return f"INFO  {_thread(c)} {_context(c, client(c))} soap - {c.choice(_REQUESTS)} elapsed={c.randint(0, 900)}"


def _imap(c: random.Random) -> str:
    return (
        f"INFO  [ImapSSLServer-{c.randint(1, 900)}] [name={user(c)};ip=10.0.0.5;oip={client(c)};via=10.0.0.5(nginx/1.24.0);"
        f"ua=Thunderbird/128.0;cid={c.randint(1, 99999)};] imap - selected folder INBOX, elapsed={c.randint(0, 90)}"
    )


def _lmtp(c: random.Random) -> str:
    return (
        f"INFO  [LmtpServer-{c.randint(1, 900)}] [name={user(c)};mid={c.randint(1, 999)};ip=10.0.0.5;] mailop - Adding Message: "
        f"id={c.randint(1, 99999)}, Message-ID=<{c.getrandbits(64):x}@example.org>, parentId=-1, folderId=2, folderName=Inbox."
    )


def _trace(c: random.Random) -> str:
    """An error with its Java stack trace, whose lines have no dates."""
    trouble = c.choice(_TROUBLES).format(n=c.randint(1, 9999), u=user(c))
    lines = [f"INFO  {_thread(c)} {_context(c, client(c))} SoapEngine - handler exception", trouble]
    lines += [f"\tat {c.choice(_CLASSES).format(n=c.randint(20, 900))}" for _ in range(c.randint(6, 30))]
    if c.random() < 0.3:
        lines += [
            f"Caused by: {c.choice(_TROUBLES).format(n=c.randint(1, 9999), u=user(c))}",
            "\t... 30 more",
        ]
    return "\n".join(lines)


def quiet(chance: random.Random) -> str:
    """A legitimate record; one in twenty has a stack trace."""
    writer = chance.choices((_request, _imap, _lmtp, _trace), (50, 30, 15, 5))[0]
    return writer(chance)


_REASONS = ("invalid password", "account not found")


def hostile(chance: random.Random, attacker: str) -> str:
    """One of the two lines of a failed login."""
    what = f"authentication failed for [{user(chance)}]"
    if chance.random() < 0.5:
        said = f"SoapEngine - handler exception: {what}, {chance.choice(_REASONS)}"
    else:
        said = f"account - Error occurred during authentication: {what}. Reason: {chance.choice(_REASONS)}."
    return f"INFO  {_thread(chance)} {_context(chance, attacker)} {said}"


def stamp(at: datetime) -> str:
    """The date in log4j's format."""
    return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} "


MAILBOX = Kind(
    "mailbox", "mailbox.log", stamp, quiet, hostile, 0.002, rate=50, step=timedelta(milliseconds=250)
)
