"""One message about events of a kind, as it waits and is sent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from sidecar.model import Instant, printable

# How much of a message is kept.
MOST_LINES = 20
_LONGEST_LINE = 200


def shown(text: str, most: int = _LONGEST_LINE) -> str:
    """Text of others as one short line without control codes and bidirectional marks."""
    safe = printable(text[: most + 1])
    return safe if len(safe) <= most else f"{safe[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Message:
    """`number` events of one kind since `at`: a line and a record for each of the first 20. `title` is in our
    own words, `lines` may quote others, made safe by `shown`. `to`: the targets that do not have it yet.
    `page`: the path of an HTML file that mail shows instead."""

    event: str
    at: Instant
    title: str
    number: int = 1
    lines: tuple[str, ...] = ()
    items: tuple[dict[str, Any], ...] = ()
    to: tuple[str, ...] = ()
    page: str = ""

    @classmethod
    def loaded(cls, text: str) -> Message:
        """The reverse of `dumped`. ValueError or TypeError if it is damaged."""
        read = json.loads(text)
        tuples = {key: tuple(read[key]) for key in ("lines", "items", "to")}
        return cls(**read | tuples)

    def dumped(self) -> str:
        """As text for the database."""
        return json.dumps(asdict(self))

    def joined(self, later: Message) -> Message:
        """This message with the events of a later one of the same kind."""
        return replace(
            self,
            title=later.title,
            page=later.page,
            number=self.number + later.number,
            lines=(self.lines + later.lines)[:MOST_LINES],
            items=(self.items + later.items)[:MOST_LINES],
        )

    @property
    def heading(self) -> str:
        """The title, with the number of events if there are several."""
        return self.title if self.number == 1 else f"{self.title} ({self.number} events)"

    @property
    def rows(self) -> tuple[str, ...]:
        """The lines, and how many events have none."""
        more = self.number - len(self.lines)
        return (*self.lines, f"and {more} more") if more > 0 and self.lines else self.lines
