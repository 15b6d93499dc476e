"""Writes changes as rows of the database, and turns rows back into values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from sidecar.model import LATEST, Ban, Extended, Failure, FailuresCleared, Position, Unban
from sidecar.network import BITS, Network
from sidecar.store.changes import (
    Allowed,
    Change,
    EvidenceLines,
    Forgotten,
    HistoryEntry,
    LogGone,
    Login,
    Memo,
    Zone,
)

_BAN = "network,jail,at,until,origin,reason,failures,count,dry,actor"
# Times are limited to what a calendar can show, whatever wrote them: a later end is read as no end.
_TIMES = f"MIN(MAX(at,0),{LATEST}),CASE WHEN until<={LATEST} THEN MAX(until,0) END"
_READ_BAN = _BAN.replace("at,until", _TIMES)
SELECT_STANDING = f"SELECT {_READ_BAN} FROM bans"  # noqa: S608 - only our own names
SELECT_BANS = f"SELECT {_READ_BAN},(SELECT lines FROM evidence WHERE ban=bans.id) FROM bans"  # noqa: S608
SELECT_POSITIONS = "SELECT path,inode,offset,head,tail,content FROM positions ORDER BY rowid DESC"
SELECT_GOOD = "SELECT network,account,at FROM good"
COUNT_BEYOND = f"SELECT COUNT(*) FROM bans WHERE until>{LATEST}"  # noqa: S608
SELECT_ALLOWED = f"SELECT network,at,CASE WHEN until<={LATEST} THEN until END,reason,actor FROM allowed"  # noqa: S608
COUNT_BANS = (
    "SELECT network, jail, MAX(count), MAX(at) FROM (SELECT network, jail, count, at FROM bans WHERE dry=0"
    " UNION ALL SELECT network, jail, count, at FROM history"
    " WHERE why NOT IN ('manual','replaced')) GROUP BY network, jail"
)
_PUT_BAN = (
    f"INSERT INTO bans ({_BAN}) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (network,jail) DO UPDATE SET"  # noqa: S608
    " at=excluded.at, until=excluded.until, origin=excluded.origin, reason=excluded.reason,"
    " failures=excluded.failures, count=excluded.count, dry=excluded.dry,"
    " actor=excluded.actor RETURNING id"
)
_PUT_LINES = (
    "INSERT OR IGNORE INTO evidence SELECT id,?1 FROM bans"
    " WHERE network=?2 AND jail=?3 AND (?4 IS NULL OR at=?4)"
)
_PAGE_BYTES = 1 << 20
_DELETE_FAILURES = "DELETE FROM failures WHERE network=? AND jail=?"


# Skips the check of the number of values: a start reads up to a million rows.
_made = tuple.__new__


def key_of(network: Network) -> bytes:
    """A network as stored: version, prefix length, address in network byte order."""
    return bytes((network.version, network.length)) + network.packed


def network_of(key: bytes) -> Network:
    """The network of a stored key."""
    return Network.of(key[0], key[2:], key[1])


def ban_of(row: Sequence[Any]) -> Ban:
    """The ban of a row of SELECT_BANS."""
    lines = tuple(json.loads(row[10])) if row[10] else ()
    return standing_of(row[:10])._replace(evidence=lines)


def standing_of(row: Sequence[Any]) -> Ban:
    """The ban of a row of SELECT_STANDING, without evidence."""
    key, jail, at, until, origin, reason, failures, count, dry, actor = row
    values = (network_of(key), jail, at, until, origin, reason, failures, (), count, dry == 1, actor)
    return _made(Ban, values)


def page(db: sqlite3.Connection, after: int, most: int, *, lines: bool) -> tuple[list[Ban], int | None]:
    """At most `most` bans with an id above `after`, fewer if their evidence is long; and the id
    for the next call, None at the end. Without `lines`, no evidence."""
    select, make = (SELECT_BANS, ban_of) if lines else (SELECT_STANDING, standing_of)
    query = f"{select} WHERE id>? ORDER BY id LIMIT ?".replace("SELECT ", "SELECT id,", 1)
    found: list[Ban] = []
    size = 0
    for number, *row in db.execute(query, (after, most)):
        found.append(make(row))
        after = number
        size += len(row[-1] or "") if lines else 0
        if size > _PAGE_BYTES:
            return found, after
    return found, after if len(found) == most else None


class Past(TypedDict):
    """An ended ban. `why` is `expired`, `manual`, ...; `by` and `ended_by` name who banned and who
    lifted it."""

    jail: str
    since: float
    ended: float
    why: str
    reason: str
    by: str
    ended_by: str


def past_of(db: sqlite3.Connection, network: Network, most: int) -> list[Past]:
    """The last ended bans of exactly this network."""
    query = "SELECT jail,at,ended,why,reason,actor,ended_by FROM history WHERE network=?"
    query += " ORDER BY ended DESC LIMIT ?"
    rows = db.execute(query, (key_of(network), most))
    return [Past(**dict(zip(Past.__annotations__, row, strict=True))) for row in rows]  # type: ignore[typeddict-item]


def write(db: sqlite3.Connection, change: Change) -> None:
    """Write one change, inside a transaction of the caller."""
    match change:
        case Failure():
            row: Sequence[object] = (change.jail, key_of(change.network), change.at, change.line)
            db.execute("INSERT INTO failures VALUES (?,?,?,?)", row)
        case Ban() | Extended():
            _write_ban(db, change)
        case EvidenceLines():
            key = (key_of(change.network), change.jail, change.at)
            db.execute(_PUT_LINES, (_text(change.lines), *key))
        case Unban():
            _write_unban(db, change)
        case HistoryEntry(ban=ban):
            row = (key_of(ban.network), ban.jail, ban.at, ban.until, change.ended, change.why)
            row = (*row, ban.origin, ban.reason, ban.failures, ban.times, ban.by, "")
            db.execute("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
        case FailuresCleared():
            db.execute(_DELETE_FAILURES, (key_of(change.network), change.jail))
        case Forgotten():
            _forget(db, change)
        case Position():
            # REPLACE assigns a new rowid, so that rows are ordered by when they were written last.
            row = (change.path, change.content, change.inode, change.offset, change.head, change.tail)
            db.execute("INSERT OR REPLACE INTO positions VALUES (?,?,?,?,?,?)", row)
        case LogGone():
            _delete_log(db, change.path)
        case Login():
            row = (key_of(change.network), change.account, change.at)
            db.execute("INSERT OR REPLACE INTO good VALUES (?,?,?)", row)
        case Zone():
            db.execute("INSERT OR REPLACE INTO zones VALUES (?,?)", (change.path, change.offset))
        case Allowed():
            row = (key_of(change.network), change.at, change.until, change.reason, change.by)
            db.execute("INSERT OR REPLACE INTO allowed VALUES (?,?,?,?,?)", row)
        case Memo(value=None):
            db.execute("DELETE FROM memos WHERE kind=? AND key=?", (change.kind, change.key))
        case Memo():
            row = (change.kind, change.key, change.value, change.at)
            db.execute("INSERT OR REPLACE INTO memos VALUES (?,?,?,?)", row)


def _write_ban(db: sqlite3.Connection, change: Ban | Extended) -> None:
    ban = change if isinstance(change, Ban) else change.ban
    key = key_of(ban.network)
    row: Sequence[object] = (
        key,
        ban.jail,
        ban.at,
        ban.until,
        ban.origin,
        ban.reason,
        ban.failures,
        ban.times,
    )
    row = (*row, ban.dry, ban.by)
    (number,) = db.execute(_PUT_BAN, row).fetchone()
    if isinstance(change, Ban):
        db.execute("DELETE FROM evidence WHERE ban=?", (number,))
    if ban.evidence:
        # The evidence is the lines that started the ban, not those that extended it.
        db.execute("INSERT OR IGNORE INTO evidence VALUES (?,?)", (number, _text(ban.evidence)))
    # The failures that led to the ban no longer count.
    db.execute(_DELETE_FAILURES, (key, ban.jail))


def _text(lines: Sequence[str]) -> str:
    return json.dumps(lines, ensure_ascii=False)


def _write_unban(db: sqlite3.Connection, unban: Unban) -> None:
    key = (key_of(unban.network), unban.jail)
    db.execute(
        "INSERT INTO history SELECT network,jail,at,until,?,?,origin,reason,failures,count,actor,? FROM bans"
        " WHERE network=? AND jail=? AND dry=0",
        (unban.at, unban.reason, unban.by, *key),
    )
    for gone in db.execute("DELETE FROM bans WHERE network=? AND jail=? RETURNING id", key).fetchall():
        db.execute("DELETE FROM evidence WHERE ban=?", gone)


def _delete_log(db: sqlite3.Connection, path: str) -> None:
    for table in ("positions", "zones"):
        db.execute(f"DELETE FROM {table} WHERE path=?", (path,))  # noqa: S608 - only our own names


def _forget(db: sqlite3.Connection, change: Forgotten) -> None:
    network, jail = change.network, change.jail
    bits = BITS[network.version]
    end = (network.value | (1 << (bits - network.length)) - 1).to_bytes(bits // 8, "big")
    # A key begins with the prefix length: for each length, those inside lie next to each other in the index.
    for length in range(network.length, bits + 1):
        head = bytes((network.version, length))
        found = (head + network.packed, head + end)
        if jail is None:
            db.execute("DELETE FROM failures WHERE network BETWEEN ? AND ?", found)
        else:
            db.execute("DELETE FROM failures WHERE network BETWEEN ? AND ? AND jail=?", (*found, jail))
