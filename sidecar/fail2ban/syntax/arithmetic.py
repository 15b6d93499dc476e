"""Arithmetic that a configuration may contain, evaluated from its parsed form: no names, calls or attributes
but those that are handed in."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

_LONGEST = 400
# A power or a shift larger than this is a mistake, and would take memory without end.
_LARGEST_EXPONENT = 1024

_TWO: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ONE: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}


def _round(number: float, digits: int = 0) -> float:
    """As `round`, within the digits that a float has: rounding to 10**9 digits would take hours."""
    return round(float(number), max(-400, min(400, digits)))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"math.{name}": getattr(math, name) for name in "exp log log2 log10 sqrt pow floor ceil".split()},
    "min": min,
    "max": max,
    "abs": abs,
    "int": int,
    "float": float,
    "round": _round,
}
_CONSTANTS = {"math.e": math.e, "math.pi": math.pi}


def evaluate(text: str, names: Mapping[str, float] | None = None, *, functions: bool = False) -> float:
    """The value of an expression of numbers, `+ - * /`, brackets and the given names (dotted ones too).

    With `functions` also powers, shifts, comparisons, `a if b else c` and some functions of `math`.
    Raises ValueError with the reason for everything else, and for a result that is no finite number.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = float(_Evaluation(names or {}, functions=functions).value(tree.body))
    except (SyntaxError, RecursionError, ArithmeticError, MemoryError, TypeError) as error:
        raise ValueError(f"{text!r} cannot be calculated") from error
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value


class _Evaluation:
    def __init__(self, names: Mapping[str, float], *, functions: bool) -> None:
        self._names, self._more = names, functions

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.UnaryOp(op=operation, operand=operand) if type(operation) in _ONE:
                return _ONE[type(operation)](self.value(operand))
            case ast.BinOp(left=left, op=operation, right=right):
                return self._two(operation, self.value(left), self.value(right))
            case ast.Name() | ast.Attribute():
                return self._named(_dotted(node))
        return self._more_of(node)

    def _more_of(self, node: ast.AST) -> Any:
        if self._more:
            match node:
                case ast.Compare(left=left, ops=[operation], comparators=[right]) if type(operation) in _TWO:
                    return _TWO[type(operation)](self.value(left), self.value(right))
                case ast.IfExp(test=test, body=body, orelse=orelse):
                    return self.value(body if self.value(test) else orelse)
                case ast.Call(func=function, args=arguments, keywords=[]):
                    called = _FUNCTIONS.get(_dotted(function))
                    if called is not None:
                        return called(*(self.value(argument) for argument in arguments))
        raise ValueError("only numbers and + - * / ( )" + (" and some functions of math" * self._more))

    def _two(self, operation: ast.operator, left: Any, right: Any) -> Any:
        plain = isinstance(operation, ast.Add | ast.Sub | ast.Mult | ast.Div)
        if type(operation) not in _TWO or not (plain or self._more):
            raise ValueError("only + - * /")
        if isinstance(operation, ast.Pow | ast.LShift | ast.RShift) and abs(right) > _LARGEST_EXPONENT:
            raise ValueError("an exponent that large is a mistake")
        if isinstance(operation, ast.Pow):
            return float(left) ** right
        if not plain and isinstance(operation, ast.LShift | ast.RShift):
            left, right = int(left), int(right)
        return _TWO[type(operation)](left, right)

    def _named(self, name: str) -> float:
        if name in self._names:
            return self._names[name]
        if self._more and name in _CONSTANTS:
            return _CONSTANTS[name]
        raise ValueError(f"{name or 'this'} is not known here; there are: {', '.join(self._names) or 'none'}")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""
