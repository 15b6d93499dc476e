"""A real Postfix of its own: both maps wired in, all mail discarded, on a free port of loopback."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.netns import program

_MAIN = """compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file = {place}/log
maillog_file_prefixes = {place}
myhostname = mail.example.com
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = example.com
virtual_transport = discard:
default_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_sender_restrictions =
    check_sender_access pcre:{maps}/sender_access.pcre,
    check_sender_access lmdb:{maps}/changed
header_checks = pcre:{maps}/header_checks.pcre, lmdb:{maps}/changed
nested_header_checks =
"""
# One smtpd, which serves one client after the other: a process that had read an old map would show.
_MASTER = """127.0.0.1:{port} inet n - n - 1 smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n -  0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n -  - trivial-rewrite
bounce    unix  - - n -  0 bounce
defer     unix  - - n -  0 bounce
trace     unix  - - n -  0 bounce
proxymap  unix  - - n -  - proxymap
verify    unix  - - n -  1 verify
error     unix  - - n -  - error
retry     unix  - - n -  - error
discard   unix  - - n -  - discard
anvil     unix  - - n -  1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


@dataclass
class MailServer:
    """A running Postfix. `maps` is the directory of its maps."""

    port: int
    place: Path
    maps: Path

    def deliver(
        self, sender: str, header: str, text: str = "Subject: test\r\n\r\nHello."
    ) -> tuple[str, int, str]:
        """Send a mail, `text` its other headers and its body: the command that was answered last, with the code and the text of the answer."""
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.org", timeout=60) as client:
            client.ehlo()
            for command, argument in (
                ("MAIL", f"FROM:<{sender}>"),
                ("RCPT", "TO:<a@example.com>"),
                ("DATA", ""),
            ):
                code, answer = client.docmd(command, argument)
                if code >= 400:
                    return command, code, answer.decode()
            client.send(f"{header}\r\n{text}\r\n.\r\n".encode())
            code, answer = client.getreply()
            return "END", code, answer.decode()

    @property
    def log(self) -> str:
        return (self.place / "log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def mail_server(maps: Path) -> Iterator[MailServer]:
    """Run Postfix with the maps of this directory until the block ends."""
    postfix = program("postfix", "postfix postfix-pcre postfix-lmdb")
    # Postfix' own user must get at its directories, which it may not below pytest's.
    with tempfile.TemporaryDirectory(prefix="zmban-postfix-") as name:
        place = Path(name)
        place.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for part in ("etc", "queue", "data"):
            (place / part).mkdir()
        subprocess.run([program("chown", "coreutils"), "postfix", place / "data"], check=True)
        (place / "etc/main.cf").write_text(_MAIN.format(place=place, maps=maps))
        (place / "etc/master.cf").write_text(_MASTER.format(port=port))
        command = [postfix, "-c", str(place / "etc")]
        subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60)
        try:
            _wait_for(port, place / "log")
            yield MailServer(port, place, maps)
        finally:
            subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=60)


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 60) as client:
                if client.recv(100).startswith(b"220 "):
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text() if log.exists() else "Postfix did not start")
