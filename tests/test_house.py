"""The house stays one in which the next person finds their way: small files, small rooms, one name for one thing."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[1] / "sidecar"
FILES = sorted(HOUSE.rglob("*.py"))
# A package's own file and its entry point are called so everywhere.
GIVEN = {"__init__.py", "__main__.py"}


def named(file: Path) -> str:
    return str(file.relative_to(HOUSE.parent))


def functions(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{named(file)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_no_file_is_longer_than_300_lines_and_no_function_than_40() -> None:
    assert [named(f) for f in FILES if len(f.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert [one for file in FILES for one in functions(file) if one[1] > 40] == []


def test_no_room_has_more_than_nine_files() -> None:
    rooms = Counter(file.parent for file in FILES if file.name not in GIVEN)
    assert {named(room): number for room, number in rooms.items() if number > 9} == {}


def test_each_file_name_and_each_public_class_stands_once() -> None:
    names = Counter(file.name for file in FILES if file.name not in GIVEN)
    assert [name for name, times in names.items() if times > 1] == []
    classes = Counter(
        node.name
        for file in FILES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in classes.items() if times > 1] == []


def test_the_first_line_of_each_file_says_what_it_does() -> None:
    assert [named(f) for f in FILES if not ast.get_docstring(ast.parse(f.read_text(encoding="utf-8")))] == []
