"""Three hosts in network namespaces that share bans, and one attacker: `make demo-cluster`.

The attacker tries one password on each host in turn. Each host counts alone to four, and all together: the
ban falls on whichever host saw the last try, and refuses the attacker's packets on all of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.app.cluster.group import Group, Host
from tests.netns import Namespace

os.environ["ZMBAN_KERNEL_NAMESPACE"] = "own"
_ATTACKER, _SECONDS, _TRIES = "203.0.113.7", 30.0, 4
_HOSTS = ("mx1", "mx2", "mx3")


class Server:
    """A listener on port 25 of a host, which writes a failed login into its log for each connection."""

    def __init__(self, host: Host) -> None:
        self.host, self.tries = host, 0
        with host.namespace.inside():
            self._socket = socket.create_server(("0.0.0.0", 25))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, (address, _) = self._socket.accept()
            except OSError:
                return
            client.close()
            self.tries += 1
            self.host.attack(address)

    def close(self) -> None:
        """Listen no longer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _attacker(group: Group) -> Namespace:
    """A namespace on the switch with the attacker's address."""
    found = Namespace()
    group.switch.ip("link", "add", "evil", "type", "veth", "peer", "name", "eth0", "netns", found.name)
    group.switch.ip("link", "set", "evil", "master", "br0", "up")
    group.switch.address("br0", "203.0.113.1/24")
    found.ip("link", "set", "eth0", "up")
    found.address("eth0", f"{_ATTACKER}/24")
    found.ip("route", "add", "default", "via", "203.0.113.1")
    return found


def _knock(attacker: Namespace, server: str) -> bool:
    """Whether a connection to a mail server is accepted."""
    with attacker.inside(), socket.socket() as client:
        client.settimeout(0.3)
        try:
            client.connect((server, 25))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _running(root: Path) -> Iterator[tuple[Group, list[Server], Namespace]]:
    group = Group(root, *_HOSTS)
    servers: list[Server] = []
    attacker: Namespace | None = None
    try:
        group.start(f"maxretry = {_TRIES}\n")
        servers = [Server(host) for host in group.hosts.values()]
        attacker = _attacker(group)
        yield group, servers, attacker
    finally:
        for server in servers:
            server.close()
        if attacker is not None:
            attacker.remove()
        group.close()


def _line(host: Host, tries: int, answer: str) -> str:
    banned = "refused" if _ATTACKER in host.routes() else "-"
    state = host.cluster()
    link = "connected" if state["up"] else "alone"
    return f"{host.name:6} {link:10} tries {tries:2}   last try: {answer:9} {_ATTACKER}: {banned}"


def _show(lines: list[str], *, first: bool) -> None:
    """Print lines over those before, on a terminal."""
    if sys.stdout.isatty() and not first:
        sys.stdout.write(f"\033[{len(lines)}A\033[J")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demonstration; 0 if the attacker is refused by all hosts after as many tries as one would
    count."""
    print("three hosts with a Redis between them are being started ...", flush=True)
    with tempfile.TemporaryDirectory() as root, _running(Path(root) / "group") as (group, servers, attacker):
        hosts, answers = list(group.hosts.values()), ["-"] * len(_HOSTS)
        end, turn = time.monotonic() + _SECONDS, 0
        while time.monotonic() < end:
            number = turn % len(hosts)
            accepted = _knock(attacker, f"10.90.0.{10 + number}")
            answers[number] = "accepted" if accepted else "no answer"
            lines = [_line(*one) for one in zip(hosts, (s.tries for s in servers), answers, strict=True)]
            _show(lines, first=turn == 0)
            if answers == ["no answer"] * len(hosts):
                break
            turn += 1
            time.sleep(0.7)
        total, refused = sum(server.tries for server in servers), answers == ["no answer"] * len(hosts)
        print(f"{total} tries in all, at most {max(s.tries for s in servers)} on one host; ", end="")
        print("all hosts refuse the attacker" if refused else "BROKEN: the attacker still gets in")
        return 0 if refused and total == _TRIES else 1


if __name__ == "__main__":
    sys.exit(main())
