"""The chart's README and values.yaml: every value has a comment, and the README's table is equal to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.helm.conftest import CHART

WHOLE = {
    "nodeSelector",
    "resources",
    "updateStrategy",
    "dashboard.labels",
    "extraArgs",
}  # one comment for all their keys
SOURCE = (CHART / "values.yaml").read_text()


class Value(NamedTuple):
    """One value: its path, its default, and the comment above it in one line."""

    path: str
    default: Any
    comment: str

    def row(self) -> str:
        return f"| `{self.path}` | `{json.dumps(self.default)}` | {self.comment} |"


def comment_above(line: int) -> str:
    lines = SOURCE.splitlines()
    start = line
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(text.strip().removeprefix("#").strip() for text in lines[start:line])


def values(node: yaml.MappingNode, above: str = "") -> Iterator[Value]:
    for key, value in node.value:
        path = f"{above}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value and path not in WHOLE:
            yield from values(value, f"{path}.")
        else:
            yield Value(path, yaml.safe_load(yaml.serialize(value)), comment_above(key.start_mark.line))


def all_values() -> list[Value]:
    node = yaml.compose(SOURCE)
    assert isinstance(node, yaml.MappingNode)
    return list(values(node))


def test_every_value_has_a_comment() -> None:
    assert not [value.path for value in all_values() if not value.comment.endswith((".", "'"))]


def test_the_table_of_the_readme_says_what_values_yaml_says() -> None:
    table = (CHART / "README.md").read_text().partition("## Values\n")[2].splitlines()[2:]
    assert table == [value.row() for value in all_values()]
