"""SMTP and HTTPS clients with a given source address, for the demonstration."""

import http.client
import json
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from demo.plan import SERVER_NAME

CONNECT_SECONDS = 2.0  # a banned client's SYN is never answered: the second one goes out after 1 s
ANSWER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """The addresses and ports of the servers. An empty `host6` means no IPv6."""

    host: str
    host6: str
    ports: dict[str, int]

    def address(self, who: str, server: str) -> tuple[str, int]:
        return (self.host6 if ip_address(who).version == 6 else self.host), self.ports[server]


@dataclass(frozen=True, slots=True)
class Login:
    """The settings of a mail client. Without `helo` it sends its own address, as phones do."""

    account: str
    password: str
    helo: str = ""
    mechanism: str = "PLAIN"


class BlockedError(Exception):
    """The server no longer responds: no handshake, or no answer in an open session."""


@dataclass(slots=True)
class Result:
    """The result of one attempt. `connected_at`: when the TCP handshake completed, if it did."""

    outcome: str = "error"
    detail: str = ""
    began_at: float = field(default_factory=time.time)
    connected_at: float | None = None
    sockets: list[socket.socket] = field(default_factory=list)


def message(sender: str) -> str:
    return f"From: {sender}\r\nSubject: demo\r\n\r\nHello.\r\n"


def tls() -> ssl.SSLContext:
    """Accepts the demonstration's self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(result: Result, who: str, target: Target, server: str) -> socket.socket:
    """A TCP connection from the address `who`; BlockedError if the handshake is not answered."""
    try:
        sock = socket.create_connection(target.address(who, server), CONNECT_SECONDS, (who, 0))
    except (TimeoutError, ConnectionAbortedError) as error:
        raise BlockedError("no answer to SYN") from error
    result.connected_at = time.time()
    result.sockets.append(sock)
    sock.settimeout(ANSWER_SECONDS)
    return sock


def secure(result: Result, sock: socket.socket) -> socket.socket:
    secured = tls().wrap_socket(sock, server_hostname=SERVER_NAME)
    result.sockets.append(secured)
    return secured


@contextmanager
def watched(result: Result) -> Iterator[None]:
    """Records an exception of an attempt as its result, and closes its sockets."""
    try:
        yield
    except (BlockedError, TimeoutError) as error:
        result.outcome, result.detail = "blocked", str(error) or "silence in an open session"
    except smtplib.SMTPServerDisconnected as error:
        # smtplib raises it for a timeout too: the ban came in the middle of the session.
        silent = isinstance(error.__context__, TimeoutError)
        result.outcome, result.detail = "blocked" if silent else "error", str(error)
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
        result.outcome, result.detail = "rejected", str(error)
    except (OSError, http.client.HTTPException) as error:
        result.outcome, result.detail = "error", f"{type(error).__name__}: {error}"
    finally:
        for sock in result.sockets:
            sock.close()


class Session(smtplib.SMTP):
    """An SMTP session on an open connection; SMTPConnectError if the greeting is not positive."""

    def __init__(self, sock: socket.socket, helo: str) -> None:
        super().__init__(local_hostname=helo)
        self._host = SERVER_NAME  # for STARTTLS; smtplib sets it only if it opens the connection
        self.sock = sock
        code, text = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)


def smtp(result: Result, who: str, target: Target, server: str, helo: str) -> Session:
    """An SMTP session after the greeting: with TLS on smtps, else without."""
    sock = connect(result, who, target, server)
    if server == "smtps":
        sock = secure(result, sock)
    return Session(sock, helo)


def smtp_login(who: str, target: Target, server: str, login: Login, mail: str = "") -> Result:
    """Logs in with one mechanism (smtplib's login() tries several); sends a message to `mail` if given."""
    result = Result()
    with watched(result):
        client = smtp(result, who, target, server, login.helo or f"[{who}]")
        if server != "smtps":
            client.starttls(context=tls())
        client.ehlo()
        client.user, client.password = login.account, login.password
        if login.mechanism == "PLAIN":
            client.auth("PLAIN", client.auth_plain)
        else:
            client.auth("LOGIN", client.auth_login, initial_response_ok=False)
        if mail:
            client.sendmail(login.account, [mail], message(login.account))
        client.quit()
        result.outcome, result.detail = "accepted", "logged in"
    return result


def smtp_mail(who: str, target: Target, helo: str, sender: str, recipient: str) -> Result:
    """Delivers one message to port 25."""
    result = Result()
    with watched(result):
        client = smtp(result, who, target, "smtp", helo)
        client.sendmail(sender, [recipient], message(sender))
        client.quit()
        result.outcome, result.detail = "accepted", "delivered"
    return result


def smtp_raw(who: str, target: Target, server: str, line: str) -> Result:
    """Sends an HTTP request to the SMTP port."""
    result = Result()
    with watched(result):
        client = smtp(result, who, target, server, "x")
        client.send(f"{line}\r\nHost: {SERVER_NAME}\r\n\r\n")
        code, text = client.getreply()
        result.outcome, result.detail = "rejected", f"{code} {text.decode(errors='replace')}"
    return result


def web_login(who: str, target: Target, login: Login, headers: dict[str, str]) -> Result:
    """Sends Zimbra's AuthRequest as JSON."""
    result = Result()
    with watched(result):
        web = http.client.HTTPConnection(SERVER_NAME)
        web.sock = secure(result, connect(result, who, target, "https"))
        account = {"by": "name", "_content": login.account}
        request = {"_jsns": "urn:zimbraAccount", "account": account, "password": {"_content": login.password}}
        body = json.dumps({"Body": {"AuthRequest": request}})
        given = {"User-Agent": "ZimbraWebClient - GC128 (Win)", "Content-Type": "application/soap+xml"}
        web.request("POST", "/service/soap/AuthRequest", body, given | headers)
        status = web.getresponse().status
        result.outcome = {200: "accepted", 500: "rejected"}.get(status, "error")
        result.detail = f"HTTP {status}"
    return result


def web_raw(who: str, target: Target, data: bytes, *, encrypted: bool) -> Result:
    """Sends bytes to the HTTPS port."""
    result = Result()
    with watched(result):
        sock = connect(result, who, target, "https")
        if encrypted:
            sock = secure(result, sock)
        sock.sendall(data)
        answer = sock.recv(200).decode(errors="replace")
        result.outcome, result.detail = "rejected", answer.partition("\r\n")[0] or "closed"
    return result
