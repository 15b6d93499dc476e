"""Real HTTP and SMTP servers for tests of messages, each in threads of its own on a free port of loopback."""

from __future__ import annotations

import json
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def certificate(directory: Path, name: str = "localhost", address: str = "127.0.0.1") -> Path:
    """A file with a key and a certificate of its own for this name and address."""
    openssl = shutil.which("openssl") or pytest.fail("openssl is missing: apt-get install openssl")
    file = directory / f"{name}.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(file), "-out", f"{file}.crt", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name},IP:{address}"]
    subprocess.run(command, check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


class _Quiet(socketserver.ThreadingMixIn):
    """Clients break off here on purpose."""

    daemon_threads, block_on_close = True, False

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class _Http(_Quiet, ThreadingHTTPServer):
    pass


class _Tcp(_Quiet, socketserver.TCPServer):
    allow_reuse_address = True


@dataclass
class Hook:
    """A webhook: `bodies` are those of all requests. `answer` returns status, headers and body of the n-th
    request; None hangs until `release`."""

    answer: Callable[[int], tuple[int, dict[str, str], bytes] | None] = lambda _number: (200, {}, b"ok")
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def url(self, kind: str = "", path: str = "/services/SECRET") -> str:
        return f"{kind}{'+' if kind else ''}http://{self.address}{path}"


def answering(*statuses: int, **headers: str) -> Callable[[int], tuple[int, dict[str, str], bytes]]:
    """The n-th request gets the n-th status, all further ones the last."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda number: (statuses[min(number, len(statuses) - 1)], named, b"")


@contextmanager
def hook(found: Hook | None = None, pem: Path | None = None) -> Iterator[Hook]:
    """Serve a webhook, with TLS if there is a certificate."""
    made = found or Hook()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(made.bodies)
                made.bodies.append(body)
                made.paths.append(self.path)
            answer = made.answer(number)
            if answer is None:
                made.release.wait(60)
                return
            status, headers, text = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with _Http(("127.0.0.1", 0), Handler) as server:
        if pem is not None:
            server.socket = _context(pem).wrap_socket(server.socket, server_side=True)
        made.address = f"127.0.0.1:{server.server_address[1]}"
        with _serving(server):
            yield made
        made.release.set()


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@dataclass
class Post:
    """An SMTP server. `mails` with their recipients; `replies` overrides the reply to a command (`RCPT`, `DATA`,
    `.` for the mail itself, `220` for the greeting; `RCPT one@b` for one address); "" hangs until `release`,
    "drip" sends a byte now and then."""

    replies: dict[str, str] = field(default_factory=dict)
    pem: Path | None = None
    tls: str = ""  # "", "starttls", "smtps"
    mails: list[tuple[list[str], Mail]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0


class _Smtp(socketserver.StreamRequestHandler):
    post: Post

    def say(self, command: str, usual: str) -> bool:
        """Send the reply; whether it was a good one."""
        reply = self.post.replies.get(command, usual)
        if reply == "drip":
            while not self.post.release.wait(0.02):
                self.wfile.write(b"2")
        if not reply:
            self.post.release.wait(60)
        self.wfile.write(reply.encode() + b"\r\n")
        return reply[:1] in "23"

    def handle(self) -> None:
        secure = self.post.tls == "smtps"
        if secure:
            self._wrap()
        self.say("220", "220 mail ready")
        to: list[str] = []
        while line := self.rfile.readline():
            text = line.decode().strip()
            self.post.heard.append(text)
            word = text.split(" ", 1)[0].upper()
            if word == "EHLO":
                offers = ["AUTH PLAIN", *(["STARTTLS"] if self.post.tls == "starttls" and not secure else [])]
                self.say(
                    word, "\r\n".join(["250-mail", *(f"250-{o}" for o in offers[:-1]), f"250 {offers[-1]}"])
                )
            elif word == "STARTTLS":
                self.say(word, "220 go")
                self._wrap()
                secure = True
            elif word == "AUTH":
                self.say(word, "235 ok")
            elif word == "RCPT":
                address = text.partition("<")[2].rstrip(">")
                if self.say(f"RCPT {address}" if f"RCPT {address}" in self.post.replies else word, "250 ok"):
                    to.append(address)
            elif word == "DATA":
                if self.say(word, "354 go"):
                    data = b"".join(iter(self.rfile.readline, b".\r\n"))
                    # Before the answer, which the client may act on at once.
                    self.post.mails.append((to, message_from_bytes(data)))
                    if not self.say(".", "250 queued"):
                        self.post.mails.pop()
            elif word == "QUIT":
                self.say(word, "221 bye")
                return
            else:
                self.say(word, "250 ok")

    def _wrap(self) -> None:
        assert self.post.pem is not None
        self.connection = _context(self.post.pem).wrap_socket(self.connection, server_side=True)
        self.setup_files()

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def setup_files(self) -> None:
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)


@contextmanager
def post(found: Post | None = None) -> Iterator[Post]:
    """Serve SMTP."""
    made = found or Post()
    handler = type("Handler", (_Smtp,), {"post": made})
    with _Tcp(("127.0.0.1", 0), handler) as server:
        made.port = server.server_address[1]
        with _serving(server):
            yield made
        made.release.set()
