"""Simulates Zimbra's mailboxd: answers AuthRequest over HTTP and logs each login as mailboxd does.

Only nginx on the same host connects to it. Like mailboxd with nginx in zimbraMailTrustedIP, it logs the whole
X-Forwarded-For header as origin (`oip=`), including what the client put into it.
"""

import argparse
import asyncio
import hmac
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path

MAX_BODY = 65536
LOGIN_PAGE = b"<!doctype html><title>Zimbra Web Client Sign In</title><h1>Sign in</h1>"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int


def escape(value: str) -> str:
    """A context value as ZimbraLog.encodeArg writes it: no line ends, each `;` twice."""
    return value.replace("\r", " ").replace("\n", " ").replace(";", ";;")


def stamp(now: float) -> str:
    """log4j's %d: local time without a zone, milliseconds after a comma."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f",{int(now * 1000) % 1000:03d}"


class Mailboxd:
    """The accounts, the two logs, and the counters for their lines."""

    def __init__(self, accounts: dict[str, str], logs: Path) -> None:
        self.accounts = accounts
        self.mailbox = logs / "mailbox.log"
        self.audit = logs / "audit.log"
        self.threads = itertools.count(1)
        self.requests = itertools.count(0x56847EC2)

    def context(self, request: Request, account: str) -> str:
        """The thread and `[k=v;]` context of a line; `name=` only when the account exists."""
        url = f"https://{request.headers.get('host', 'localhost')}{request.path}"
        pairs = [("name", account)] if account in self.accounts else []
        pairs += [
            ("oip", request.headers.get("x-forwarded-for", "")),
            ("port", str(request.port)),
            ("ua", request.headers.get("user-agent", "")),
            ("soapId", f"{next(self.requests):x}"),
        ]
        values = "".join(f"{key}={escape(value)};" for key, value in pairs if value)
        return f"[qtp1279309678-{next(self.threads)}:{escape(url)}] [{values}]"

    def write(self, log: Path, level: str, context: str, message: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp(time.time())} {level:<5} {context} {message}\n")

    def login(self, request: Request, account: str, password: str) -> tuple[int, bytes]:
        """Checks one login and logs it; the answer is SOAP's: 200 with a token or 500 with a fault."""
        context = self.context(request, account)
        account = account.replace("\r", " ").replace("\n", " ")
        audit = f"security - cmd=Auth; account={account}; protocol=soap;"
        known = self.accounts.get(account)
        if known is not None and hmac.compare_digest(known.encode(), password.encode()):
            self.write(self.audit, "INFO", context, audit)
            return 200, b'{"Body":{"AuthResponse":{"authToken":[{"_content":"0_demo"}]}}}'
        reason = "invalid password" if known is not None else "account not found"
        failed = f"authentication failed for [{account}]"
        self.write(
            self.mailbox, "INFO", context,
            f"account - Error occurred during authentication: {failed}. Reason: {reason}.",
        )  # fmt: skip
        self.write(self.mailbox, "INFO", context, f"SoapEngine - handler exception: {failed}, {reason}")
        if known is not None:  # an unknown account leaves no line in audit.log
            self.write(self.audit, "WARN", context, f"{audit} error={failed}, {reason};")
        return 500, b'{"Body":{"Fault":{"Detail":{"Error":{"Code":"account.AUTH_FAILED"}}}}}'

    def answer(self, request: Request) -> tuple[int, bytes]:
        if request.method == "GET" and request.path == "/":
            return 200, LOGIN_PAGE
        if request.method != "POST" or not request.path.startswith("/service/soap/AuthRequest"):
            return 404, b"not found"
        try:
            body = json.loads(request.body)["Body"]["AuthRequest"]
            return self.login(request, str(body["account"]["_content"]), str(body["password"]["_content"]))
        except (ValueError, KeyError, TypeError):
            return 400, b"not an AuthRequest"


async def read_request(reader: asyncio.StreamReader, port: int) -> Request:
    """Raises ValueError, asyncio.IncompleteReadError or LimitOverrunError for an invalid or large request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (h.partition(":") for h in head[1:])}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= MAX_BODY:
        raise ValueError(length)
    return Request(method, path, headers, await reader.readexactly(length), port)


async def serve(mailboxd: Mailboxd, host: str, port: int) -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(30):
                request = await read_request(reader, writer.get_extra_info("peername")[1])
                status, body = mailboxd.answer(request)
                head = f"HTTP/1.0 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # a client error closes its connection only
        finally:
            writer.close()

    async with await asyncio.start_server(connection, host, port) as server:
        await server.serve_forever()


def read_accounts(path: Path) -> dict[str, str]:
    """Reads lines "address password"; `#` begins a comment."""
    accounts = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            account, password = line.split()
            accounts[account] = password
    return accounts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--logs", type=Path, default=Path("/opt/zimbra/log"))
    parser.add_argument("--accounts", type=Path, default=Path(__file__).with_name("accounts.txt"))
    arguments = parser.parse_args()
    arguments.logs.mkdir(parents=True, exist_ok=True)
    mailboxd = Mailboxd(read_accounts(arguments.accounts), arguments.logs)
    for log in (mailboxd.mailbox, mailboxd.audit):
        log.touch(mode=0o640)
    asyncio.run(serve(mailboxd, arguments.host, arguments.port))


if __name__ == "__main__":
    main()
