"""Runs the attackers and the legitimate clients of the demonstration, and records every attempt.

Each client binds to its own address, which this host must have already (`--addresses` lists all of them).
The report has one JSON object per attempt and line; `summary.py` compares it with the bans.

    python3 -m demo.clients --host 172.30.253.1 --ports 25,465,587,443 --report attempts.jsonl
"""

import argparse
import itertools
import json
import random
import socket
import threading
import time
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path

from demo.mailboxd import read_accounts
from demo.plan import FRIENDS, Attacker, Friend, Part, addresses, attackers
from demo.protocols import Login, Result, Target, smtp_login, smtp_mail, smtp_raw, web_login, web_raw

DAY = 86400.0
PAUSE = 1.0  # seconds between attempts until the ban is due; then HURRY
HURRY = 0.2
PATIENCE = 12.0  # seconds after the ban was due until an attacker that is not banned gives up
LATER = 10.0  # seconds until a blocked attacker tries again, once


@dataclass(slots=True)
class Report:
    """Appends attempts to the report file, one JSON object per line. Thread-safe."""

    path: Path
    run: float = field(default_factory=time.time)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, part: Part, attempt: int, result: Result) -> None:
        record = {"at": time.time(), "run": self.run, **asdict(part), "attempt": attempt}
        record |= {
            "outcome": result.outcome,
            "began_at": result.began_at,
            "connected_at": result.connected_at,
        }
        record["detail"] = result.detail[:200]
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def mistyped_today(self) -> set[str]:
        """The clients that mistyped within a day, also in earlier runs: a second time would cause a ban."""
        if not self.path.exists():
            return set()
        with self.path.open(encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        return {r["who"] for r in records if r["kind"] == "mistype" and r["at"] > time.time() - DAY}


def attack(attacker: Attacker, target: Target, attempt: int) -> Result:
    """Makes one attempt of the attacker's kind."""
    who, say = attacker.who, attacker.say
    match attacker.kind:
        case "sasl":
            mechanism = ("PLAIN", "LOGIN")[attempt % 2]
            guess = Login("admin@demo.example", f"guess-{attempt}", "WIN-5N8GBBS0R5I", mechanism)
            return smtp_login(who, target, attacker.server, guess)
        case "non-smtp":
            return smtp_raw(who, target, attacker.server, say)
        case "aws-verify":
            return smtp_mail(who, target, say, "lookup@yahoo.com", f"nobody{attempt}@demo.example")
        case "rfc1918-helo":
            return smtp_mail(who, target, say, "offer@bulk.example.com", "anna@demo.example")
        case "web-login":
            name, _, value = say.partition(": ")
            account = value if name == "Account" else ("anna@demo.example", "root@demo.example")[attempt % 2]
            headers = {name: value} if name and name != "Account" else {}
            return web_login(who, target, Login(account, f"guess-{attempt}"), headers)
        case "plain-http":
            lines = ["GET /zimbra/ HTTP/1.1", "Host: mail.demo.example", *([say] if say else []), "", ""]
            return web_raw(who, target, "\r\n".join(lines).encode(), encrypted=False)
        case "invalid-method":
            return web_raw(who, target, say.encode("latin-1") + b"\r\n\r\n", encrypted=True)
    raise ValueError(attacker.kind)


def play_attacker(attacker: Attacker, target: Target, report: Report) -> None:
    """Attacks until blocked, and once more later; gives up if not blocked within PATIENCE."""
    name, part = f"{attacker.who} {attacker.kind} at {attacker.server}", attacker.part
    hurried_at = None
    for attempt in itertools.count(1):
        begun = time.time()
        result = attack(attacker, target, attempt)
        report.add(part, attempt, result)
        if result.outcome == "blocked":
            print(f"{name}: blocked at attempt {attempt}\n", end="", flush=True)
            time.sleep(LATER)
            report.add(part, attempt + 1, attack(attacker, target, attempt + 1))
            return
        if attempt < part.needed:
            time.sleep(PAUSE * random.uniform(0.7, 1.3))
            continue
        hurried_at = hurried_at or time.time()
        # Compare the start of the attempt: one that is blocked during its connection waits for a timeout.
        if begun > hurried_at + PATIENCE:
            print(f"{name}: NOT blocked after {attempt} attempts\n", end="", flush=True)
            return
        time.sleep(HURRY)


def friendly(friend: Friend, target: Target, password: str, server: str) -> Result:
    """Makes one login (or, as a mail server, one delivery) that should succeed."""
    if not friend.account:
        return smtp_mail(friend.who, target, friend.helo, f"news@{friend.helo}", "anna@demo.example")
    login = Login(friend.account, password, friend.helo)
    if server == "https":
        return web_login(friend.who, target, login, {})
    return smtp_login(friend.who, target, server, login, mail="friend@elsewhere.example")


def play_friend(friend: Friend, target: Target, report: Report, until: float, password: str) -> None:
    """Mistypes once if the plan says so, then logs in every few seconds."""
    time.sleep(random.uniform(0, 2))
    if friend.mistypes and friend.who not in report.mistyped_today():
        result = friendly(friend, target, password[:-1], friend.mistypes)
        report.add(Part(friend.who, "legit", "mistype", friend.mistypes), 0, result)
    servers = ("submission", "https") if friend.account else ("smtp",)
    attempt = 0
    while time.time() < until:
        for server in servers:
            attempt += 1
            result = friendly(friend, target, password, server)
            kind = "login" if friend.account else "delivery"
            report.add(Part(friend.who, "legit", kind, server), attempt, result)
            if result.outcome != "accepted":
                print(
                    f"{friend.who} {kind} at {server}: {result.outcome}, {result.detail}\n",
                    end="",
                    flush=True,
                )
        time.sleep(random.uniform(3, 5))


def wait_for(target: Target, seconds: float) -> None:
    """Waits until every port of the servers accepts connections over both families; SystemExit on timeout."""
    until = time.time() + seconds
    for host in filter(None, (target.host, target.host6)):
        for server, port in target.ports.items():
            while True:
                try:
                    socket.create_connection((host, port), 2).close()
                    break
                except OSError as error:
                    if time.time() > until:
                        raise SystemExit(
                            f"{server} does not respond at {host} port {port}: {error}"
                        ) from error
                    time.sleep(0.5)


def play(target: Target, report: Report, accounts: dict[str, str], seconds: float) -> None:
    """Runs all clients, each in a thread; the attackers start one by one in the first half of the time."""
    until = time.time() + seconds
    hostile = [a for a in attackers() if target.host6 or ip_address(a.who).version == 4]
    friends = [f for f in FRIENDS if target.host6 or ip_address(f.who).version == 4]
    threads = [
        threading.Thread(target=play_friend, args=(f, target, report, until, accounts.get(f.account, "")))
        for f in friends
    ]
    for thread in threads:
        thread.start()
    print(f"{len(hostile)} attackers, {len(friends)} legitimate clients, {seconds:.0f} s", flush=True)
    for attacker in hostile:
        thread = threading.Thread(target=play_attacker, args=(attacker, target, report))
        thread.start()
        threads.append(thread)
        time.sleep(seconds / 2 / len(hostile))
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--addresses", action="store_true", help="list the source addresses and end")
    parser.add_argument("--host", default="")
    parser.add_argument("--host6", default="")
    parser.add_argument("--ports", default="25,465,587,443", help="smtp,smtps,submission,https")
    parser.add_argument("--report", type=Path, default=Path("attempts.jsonl"))
    parser.add_argument("--accounts", type=Path, default=Path(__file__).with_name("accounts.txt"))
    parser.add_argument("--seconds", type=float, default=90.0)
    arguments = parser.parse_args()
    if arguments.addresses:
        print("\n".join(addresses()))
        return
    names = ("smtp", "smtps", "submission", "https")
    ports = dict(zip(names, map(int, arguments.ports.split(",")), strict=True))
    target = Target(arguments.host, arguments.host6, ports)
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    wait_for(target, 120)
    play(target, Report(arguments.report), read_accounts(arguments.accounts), arguments.seconds)


if __name__ == "__main__":
    main()
