"""Log format of the service: text lines or JSON objects, one per record, with untrusted text escaped."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from types import TracebackType
from typing import Any, TypeAlias

from sidecar.model import printable

TEXT, JSON = "text", "json"
# Fail2Ban's filter `recidive` allows one word without spaces between date and level.
_FORMAT = "%(asctime)s %(name)s[%(process)d]: %(levelname)-7s %(message)s"
# In front of each line of a traceback: a line that began with text of an exception could read like a ban.
_TRACE = "zmban | "
_Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def begin(*, verbose: bool, form: str = TEXT) -> None:
    """Configure logging to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if form == JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(PlainFormatter(_FORMAT))
    # Otherwise each record looks up the place of its call, which no format prints.
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class PlainFormatter(logging.Formatter):
    """Escapes control codes and line breaks in every message, so that no caller has to. A traceback keeps its
    line breaks; each of its lines is escaped. `second_line` of a record is one of level INFO behind it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        second = getattr(record, "second_line", "")
        if not second:
            return text
        return f"{text}\n{_FORMAT % {**vars(record), 'levelname': 'INFO', 'message': printable(second)}}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 - as above
        return "\n".join(_TRACE + printable(line) for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time` (RFC 3339), `level`, `logger`, `message`, the `fields` of the record,
    and `exception`. Unprintable characters are escaped as in the text format, all others outside of ASCII as
    JSON does it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        found: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        safe = {key: printable(value) if isinstance(value, str) else value for key, value in found.items()}
        return json.dumps(safe)
