"""Imports bans into the database while the service is not running."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.bans.table import BanTable
from sidecar.decide.admission import refusal
from sidecar.fail2ban.jails import JailSpec
from sidecar.network import PrefixSet
from sidecar.offline.import_decisions import ImportDecisions, Record
from sidecar.store.changes import switches
from sidecar.store.database import Change, Database
from sidecar.store.state_lock import claimed


def into_state(
    state: Path, jails: Mapping[str, JailSpec], chunks: Iterable[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Import bans into the database while the service is not running, in one transaction.

    Reserved networks are refused here. Protected networks of this host are known to the service only, which
    does not enforce their bans. ConfigError if a zmban is using this state directory.
    """
    answers: list[dict[str, Any]] = []
    with claimed(state):
        database = Database(state)
        try:
            database.write(_changes(database, jails, chunks, answers))
        finally:
            database.close()
    return answers


def _changes(
    database: Database,
    jails: Mapping[str, JailSpec],
    chunks: Iterable[list[dict[str, Any]]],
    answers: list[dict[str, Any]],
) -> Iterator[Change]:
    guard, ignored = Guard({}), {name: PrefixSet(jail.ignoreip) for name, jail in jails.items()}
    dry = {name for name, jail in jails.items() if jail.dry_run}
    dry |= {name for name, switched in switches(database.memos()).items() if switched}
    for chunk in chunks:
        taken = [(record.ban(), record.current) for record in map(Record.model_validate, chunk)]
        keys = {(ban.network, ban.jail) for ban, _ in taken}
        decisions = ImportDecisions(
            # Only the bans that the chunk may change, so that the table is small.
            BanRegister(BanTable(database.bans(keys))),
            database.history(keys),
            lambda network, jail: refusal(network, guard, ignored=ignored.get(jail)),
            dry.__contains__,
            time.time(),
        )
        for ban, current in taken:
            decisions.take(ban, current=current)
        yield from decisions.past
        yield from decisions.events
        answers.append(decisions.answer())
