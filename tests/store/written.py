"""Databases written by the fail2ban package of Debian, and older schemas. The ban action is `true`: no firewall."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.conformance.package import interpreter, library, program

SERVER = """
[Definition]
loglevel = INFO
logtarget = {root}/fail2ban.log
syslogsocket = auto
socket = {root}/sock
pidfile = {root}/pid
dbfile = {root}/fail2ban.sqlite3
dbmaxmatches = 10
dbpurgeage = 1d
allowipv6 = auto
[Thread]
"""
JAILS = """
[DEFAULT]
backend = polling
usedns = no
ignoreself = false
findtime = 1h
maxretry = 2
action = nothing
filter = login
enabled = true
[mail]
bantime = 1h
logpath = {root}/mail.log
[users]
bantime = -1
filter = user
logpath = {root}/users.log
[grow]
bantime = 3
bantime.increment = true
logpath = {root}/grow.log
"""
# The documented schemas: 3 counts bans, and has no table of current bans yet.
SCHEMA_3 = """
CREATE TABLE fail2banDb(version INTEGER);
INSERT INTO fail2banDb VALUES (3);
CREATE TABLE jails(name TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL DEFAULT 1);
CREATE TABLE logs(jail TEXT NOT NULL, path TEXT, firstlinemd5 TEXT, lastfilepos INTEGER DEFAULT 0);
CREATE TABLE bans(jail TEXT NOT NULL, ip TEXT, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL,
                  bancount INTEGER NOT NULL DEFAULT 1, data JSON);
"""
SCHEMA_4 = (
    SCHEMA_3.replace("(3)", "(4)")
    + """
CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL,
                  bancount INTEGER NOT NULL DEFAULT 1, data JSON, PRIMARY KEY(ip, jail));
"""
)
SCHEMA_2 = (
    SCHEMA_3.replace("(3)", "(2)")
    .replace("bantime INTEGER NOT NULL,", "")
    .replace("bancount INTEGER NOT NULL DEFAULT 1,", "")
)


def made(path: Path, schema: str, **rows: list[tuple[Any, ...]]) -> Path:
    """Create a database of this schema with these rows."""
    database = sqlite3.connect(path)
    database.executescript(schema)
    for table, values in rows.items():
        for row in values:
            database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    database.commit()
    database.close()
    return path


def old_database(version: int) -> Path:
    """The database of schema 1 or 2 from the test suite of fail2ban."""
    return library() / "fail2ban" / "tests" / "files" / f"database_v{version}.db"


class Fail2Ban:
    """A running fail2ban-server with the three jails above."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "fail2ban.sqlite3"

    def attack(self, log: str, who: str) -> None:
        """Two failures of an address, or of a user."""
        what = "bad user" if log == "users" else "bad login from"
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        with (self.root / f"{log}.log").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {what} {who}\n" * 2)

    def client(self, *arguments: str) -> str:
        """The output of fail2ban-client; empty without a server."""
        done = subprocess.run(
            [*_command(self.root, "fail2ban-client"), *arguments],
            **_process(),
            capture_output=True,
            check=False,
        )
        return done.stdout.decode() if done.returncode == 0 else ""

    def said(self) -> str:
        """The log of the server."""
        return (self.root / "fail2ban.log").read_text(encoding="utf-8")

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a table."""
        database = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT ip, jail, bantime, bancount FROM {table}").fetchall()
        finally:
            database.close()


@contextmanager
def fail2ban(root: Path) -> Iterator[Fail2Ban]:
    """Run a server in a directory, and stop it by its process id, so that its database is complete."""
    for name, text in {
        "fail2ban.conf": SERVER,
        "jail.conf": JAILS,
        "action.d/nothing.conf": "[Definition]\nactionban = true\nactionunban = true\n",
        "filter.d/login.conf": "[Definition]\nfailregex = ^ bad login from <HOST>$\n",
        "filter.d/user.conf": "[Definition]\nfailregex = ^ bad user <F-ID>\\S+</F-ID>$\n",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text.format(root=root) if "{root}" in text else text, encoding="utf-8")
    for log in ("mail", "users", "grow"):
        (root / f"{log}.log").touch()
    running = Fail2Ban(root)
    with (root / "out").open("wb") as out:
        command = [*_command(root, "fail2ban-server"), "-f"]
        process = subprocess.Popen(command, **_process(), stdout=out, stderr=out)
    try:
        waited(lambda: running.client("ping"), root)
        yield running
    finally:
        process.terminate()
        process.wait(60)


def _command(root: Path, name: str) -> list[str]:
    places = ["-c", str(root), "-s", str(root / "sock"), "-p", str(root / "pid")]
    return [interpreter(), "-W", "ignore", str(program(name)), *places]


def _process() -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {"env": {**environment, "PYTHONPATH": str(library()), "PYTHONDONTWRITEBYTECODE": "1"}, "cwd": "/"}


def waited(condition: Callable[[], Any], root: Path) -> None:
    """Wait until a condition is true; on timeout the test fails with the log of fail2ban."""
    end = time.monotonic() + 60
    while not condition():
        log = root / "fail2ban.log"
        assert time.monotonic() < end, log.read_text() if log.exists() else (root / "out").read_text()
        time.sleep(0.2)


def write_all(root: Path) -> Path:
    """Bans of every kind: by log lines, manual, of users, permanent, expired, lifted, repeated."""
    with fail2ban(root) as running:
        running.attack("grow", "198.51.100.9")
        for who in ("198.51.100.7", "2001:db8::7"):
            running.attack("mail", who)
        running.attack("users", "bob")
        waited(lambda: "[grow] Unban 198.51.100.9" in running.said(), root)
        running.client("set", "grow", "bantime", "3600")
        running.attack("grow", "198.51.100.9")
        for who in ("203.0.113.64/26", "203.0.113.9"):
            running.client("set", "mail", "banip", who)
        running.client("set", "mail", "unbanip", "203.0.113.9")
        waited(lambda: ("198.51.100.9", "grow", 7200, 2) in running.rows("bips"), root)
        waited(lambda: {"bob", "2001:db8::7"} <= {ip for ip, *_ in running.rows("bips")}, root)
    return running.database
