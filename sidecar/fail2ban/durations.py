"""`10m`, `1d12h`, `60*60`, `-1`: Fail2Ban's time values as seconds, without eval."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

_YEAR = 365.25 * 86400
_UNITS = [
    (re.compile(r"(?:y|yy|yea|years?)$", re.I), _YEAR),
    (re.compile(r"(?:mo|mon|months?)$", re.I), _YEAR / 12),
    (re.compile(r"(?:w|ww|wee|weeks?)$", re.I), 604800.0),
    (re.compile(r"(?:d|dd|da|days?)$", re.I), 86400.0),
    (re.compile(r"(?:h|hh|hou|hours?)$", re.I), 3600.0),
    (re.compile(r"(?:m|mm|min|minutes?|mins)$", re.I), 60.0),
    (re.compile(r"(?:s|ss|sec|seconds?|secs)$", re.I), 1.0),
]
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)?", re.I)
_ALLOWED = re.compile(r"\s*[\w.()+-][\w\s.()+*/-]*", re.ASCII)
_OPERATIONS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def _quantity(found: re.Match[str]) -> str:
    number, unit = found.groups()
    if unit is None:
        return number
    for pattern, factor in _UNITS:
        if pattern.match(unit):
            return f"({float(number) * factor!r})"
    raise ValueError(f"{unit!r} is no unit of time (y mo w d h m s)")


def _value(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("only numbers, units and + - * / ( )")


def seconds(text: str) -> float:
    """Seconds of a time value. Raises ValueError with the reason, for empty text too.

    >>> seconds("1d12h"), seconds("10m"), seconds("-1")
    (129600.0, 600.0, -1.0)
    """
    if not _ALLOWED.fullmatch(text) or len(text) > 200:
        raise ValueError(
            f"{text!r} is no time value; write seconds or a number with a unit, such as 10m or 1d12h"
        )
    sums = re.sub(r"\)\s*(?=[\d(])", ")+", _QUANTITY.sub(_quantity, text.strip()))
    try:
        return float(_value(ast.parse(sums, mode="eval").body))
    except (SyntaxError, RecursionError, ZeroDivisionError, OverflowError, MemoryError) as error:
        raise ValueError(f"{text!r} is no time value") from error
