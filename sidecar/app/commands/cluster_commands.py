"""The command for the other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from sidecar.serve.control import RefusedError

_NO_CLUSTER = "there is no cluster: set [cluster] url (docs/cluster.md)"


class Member(Protocol):
    """This host as a member of a group, see GroupMember."""

    def record(self) -> dict[str, Any]: ...
    def peer_records(self) -> list[dict[str, Any]]: ...
    def doubts(self) -> Iterator[str]: ...
    async def leave(self) -> bool: ...


class ClusterCommands:
    """Answers `zmban cluster`."""

    def __init__(self, member: Member | None) -> None:
        self._member = member

    async def cluster(self, do: Literal["status", "peers", "leave"]) -> dict[str, Any]:
        """The state of this host, the other hosts, or an end of this membership until the next start."""
        if self._member is None:
            raise RefusedError(_NO_CLUSTER, 69)
        if do == "peers":
            return {"peers": self._member.peer_records()}
        if do == "leave" and not await self._member.leave():
            raise RefusedError("the other hosts cannot be reached; nothing was deleted there", 69)
        return self._member.record()

    def record(self) -> dict[str, Any] | None:
        """The state of this host in its group; None without a cluster."""
        return None if self._member is None else self._member.record()

    def doubts(self) -> Iterator[str]:
        """What is degraded."""
        if self._member is not None:
            yield from self._member.doubts()
