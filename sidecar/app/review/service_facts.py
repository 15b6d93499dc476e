"""What only a running service knows for the report: proposals, hidden clients, and its health."""

from __future__ import annotations

from typing import Any

from sidecar.app.report.build_status import StatusBuilder

_MOST = 20


class ServiceFacts:
    """Takes them from the status."""

    def __init__(self, status: StatusBuilder) -> None:
        self._status = status

    async def found(self) -> dict[str, Any]:
        """`proposals`, `masked`, `health`: sentences, none if all is well."""
        status = await self._status.build()
        return {
            "proposals": status["proposals"],
            "masked": status["masked"],
            "health": list(_health(status))[:_MOST],
        }


def _health(status: dict[str, Any]) -> list[str]:
    """Everything that is wrong, the worst first."""
    return [
        *(f"bans are NOT ENFORCED: {why}" for why in status["not_enforced_because"]),
        *(f"not ready: {why}" for why in status["not_ready_because"]),
        *(f"jail {name} is stopped" for name in status["jails_stopped"]),
        *(f"jail {name} is degraded" for name in status["jails_degraded"]),
        *(f"{one['source']}: {one['error']}" for one in status["sources"] if one["error"]),
        *status["doubts"],
        *((status["store"],) if status["store"] not in (None, "", "good") else ()),
    ]
