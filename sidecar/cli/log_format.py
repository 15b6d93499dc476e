"""Log format of the service: one line per record, untrusted text escaped."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import TypeAlias

from sidecar.model import printable

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def begin(*, verbose: bool) -> None:
    """Configure logging to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter(_FORMAT))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class PlainFormatter(logging.Formatter):
    """Escapes control codes and line breaks in every message, so that no caller has to. A traceback keeps its
    line breaks; each of its lines is escaped."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 - as above
        return "\n".join(map(printable, super().formatException(ei).split("\n")))
