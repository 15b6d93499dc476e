"""Reads Fail2Ban's annotated sample logs: one session of records for each filter and set of options."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance import package

_DIRECTIVE = re.compile(r"^#+ ?(failJSON|fileOptions|filterOptions|addFILE):(.+)$")
# Keys of an annotation that do not describe the failure.
_ABOUT = ("match", "time", "desc", "constraint")
_HARNESS = "test."

Options = dict[str, str]
# The name of the instance (may be empty), its options, the record.
_Sample = tuple[str, Options, "Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line with one set of options. `expected`: the annotated values of the failure, by name. `time`: local
    time in the zone of the corpus; None if it is not checked."""

    file: str
    number: int
    line: str
    match: bool
    time: str | None
    expected: Mapping[str, Any]


@dataclass(slots=True)
class Session:
    """All records for one new instance of a filter with these options, in order."""

    filter: str
    options: Options
    records: list[Record] = field(default_factory=list)

    @property
    def journal(self) -> bool:
        """Whether the lines come from the journal, without a date."""
        return self.options.get("logtype") == "journal"

    @property
    def text(self) -> str:
        """The filter as in a jail or on a command line: `name[opt="value"]`."""
        return self.filter + given(self.options)


def given(options: Options) -> str:
    """Options as written behind a filter's name. ValueError if a value cannot be quoted."""
    parts = []
    for key, value in options.items():
        quote = "'" if '"' in value else '"'
        if quote in value:
            raise ValueError(f"{key}: a value with both quotes cannot be written: {value!r}")
        parts.append(f"{key}={quote}{value}{quote}")
    return f"[{', '.join(parts)}]" if parts else ""


def filters() -> list[str]:
    """Every filter that must have samples: the stock filters without common parts, and two of the test suite."""
    names = {path.stem for path in (package.stock() / "filter.d").glob("*.conf")}
    names |= {path.stem for path in (package.suite_configuration() / "filter.d").glob("zzz-*.conf")}
    return sorted(name for name in names if not name.endswith("common"))


def sessions(name: str) -> list[Session]:
    """The sessions of one filter, ordered by their first lines."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Session] = {}
    for label, options, record in _Reader(name).records():
        key = (label, tuple(sorted(options.items())))
        found.setdefault(key, Session(name, options)).records.append(record)
    return list(found.values())


class _Reader:
    """Reads the sample file of one filter, and the files that it adds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting = [name]
        self._file_options: dict[str, Any] = {}

    def records(self) -> Iterator[_Sample]:
        while self._waiting:
            yield from self._file(package.samples() / self._waiting.pop(0))

    def _file(self, path: Path) -> Iterator[_Sample]:
        sets: list[dict[str, Any]] = [{}]
        told: dict[str, Any] | None = None
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate((one.rstrip("\r") for one in text.split("\n")), start=1):
            found = _DIRECTIVE.match(line)
            if found:
                word, value = found.group(1), json.loads(found.group(2))
                if word == "failJSON":
                    told = value
                elif word == "fileOptions":
                    self._file_options, sets = self._file_options | value, [{}]
                elif word == "filterOptions":
                    sets = value if isinstance(value, list) else [value]
                else:
                    self._waiting.append(value)
            elif line and not line.startswith("#"):
                for options in sets:
                    yield from self._one(path, number, line, self._file_options | options, told or {})
                told = None

    def _one(
        self, path: Path, number: int, line: str, options: dict[str, Any], told: dict[str, Any]
    ) -> Iterator[_Sample]:
        plain = {key: str(value) for key, value in options.items() if not key.startswith(_HARNESS)}
        for condition in (options.get("test.condition"), told.get("constraint")):
            if condition is not None and not holds(condition, self._name, plain):
                return
        if plain.get("logtype") == "journal":
            line = options.get("test.prefix-line", "") + line
        expected = {key: value for key, value in told.items() if key not in _ABOUT}
        record = Record(path.name, number, line, bool(told.get("match")), told.get("time"), expected)
        yield str(options.get("test.filter-name", "")), plain, record


def holds(condition: str, name: str, options: Mapping[str, str]) -> bool:
    """Evaluate a condition over `name` and `opts`. Allowed are comparisons, `opts.get('x')`, and, or, not.

    ValueError for any other form.
    """

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=constant):
                return constant
            case ast.Name(id="name"):
                return name
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="opts"), attr="get"),
                args=[ast.Constant(value=key), *rest],
            ) if not node.keywords and len(rest) < 2:
                return options.get(str(key), value(rest[0]) if rest else None)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [value(part) for part in parts]
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _compared(op, value(left), value(right))
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(value(part) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return any(value(part) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not value(operand)
        raise ValueError(f"{condition!r}: this form of condition is not known here")

    return bool(value(ast.parse(condition, mode="eval").body))


def _compared(op: ast.cmpop, left: Any, right: Any) -> bool:
    match op:
        case ast.Eq():
            return bool(left == right)
        case ast.NotEq():
            return bool(left != right)
        case ast.In():
            return left in right
        case ast.NotIn():
            return left not in right
    raise ValueError(f"{type(op).__name__}: this comparison is not known here")
