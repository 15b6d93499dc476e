"""Evaluates arithmetic expressions of a configuration from the parsed syntax tree, without eval: only known
names and functions."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

_LONGEST = 400
# A larger exponent or shift would exhaust the memory.
_LARGEST_EXPONENT = 1024

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
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
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}


def _round(number: float, digits: int = 0) -> float:
    """As `round`, with `digits` limited to those of a float: rounding to 10**9 digits would take hours."""
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
    """The value of an expression of numbers, `+ - * /`, parentheses and the given names (also dotted).

    With `functions` also powers, shifts, comparisons, `a if b else c` and some functions of `math`.
    Raises ValueError with the reason for anything else, and for a result that is not finite.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = float(_Evaluation(names or {}, functions=functions).value(tree.body))
    except (SyntaxError, RecursionError, ArithmeticError, MemoryError, TypeError) as error:
        raise ValueError(f"{text!r} cannot be calculated") from error
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


class _Evaluation:
    def __init__(self, names: Mapping[str, float], *, functions: bool) -> None:
        self._names, self._more = names, functions

    def value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.UnaryOp(op=operation, operand=operand) if type(operation) in _UNARY:
                return _UNARY[type(operation)](self.value(operand))
            case ast.BinOp(left=left, op=operation, right=right):
                return self._binary(operation, self.value(left), self.value(right))
            case ast.Name() | ast.Attribute():
                return self._name(_dotted(node))
        return self._extended(node)

    def _extended(self, node: ast.AST) -> Any:
        if self._more:
            match node:
                case ast.Compare(left=left, ops=[operation], comparators=[right]) if (
                    type(operation) in _BINARY
                ):
                    return _BINARY[type(operation)](self.value(left), self.value(right))
                case ast.IfExp(test=test, body=body, orelse=orelse):
                    return self.value(body if self.value(test) else orelse)
                case ast.Call(func=function, args=arguments, keywords=[]):
                    called = _FUNCTIONS.get(_dotted(function))
                    if called is not None:
                        return called(*(self.value(argument) for argument in arguments))
        allowed = (
            "numbers, + - * / ( ) and some functions of math" if self._more else "numbers and + - * / ( )"
        )
        raise ValueError(f"only {allowed} are allowed")

    def _binary(self, operation: ast.operator, left: Any, right: Any) -> Any:
        plain = isinstance(operation, ast.Add | ast.Sub | ast.Mult | ast.Div)
        if type(operation) not in _BINARY or not (plain or self._more):
            raise ValueError("only + - * / are allowed")
        if isinstance(operation, ast.Pow | ast.LShift | ast.RShift) and abs(right) > _LARGEST_EXPONENT:
            raise ValueError(f"an exponent or shift above {_LARGEST_EXPONENT} is not allowed")
        if isinstance(operation, ast.Pow):
            return float(left) ** right
        if not plain and isinstance(operation, ast.LShift | ast.RShift):
            left, right = int(left), int(right)
        return _BINARY[type(operation)](left, right)

    def _name(self, name: str) -> float:
        if name in self._names:
            return self._names[name]
        if self._more and name in _CONSTANTS:
            return _CONSTANTS[name]
        raise ValueError(
            f"{name or 'this'} is an unknown name; known are: {', '.join(self._names) or 'none'}"
        )


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""
