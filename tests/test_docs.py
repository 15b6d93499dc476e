"""README and docs say what the program has, no less and no more."""

import importlib
import re
from pathlib import Path

import click
import pytest

from sidecar.cli import _COMMANDS
from sidecar.serve.metrics import Metrics

ROOT = Path(__file__).parents[1]
COMMANDS = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")


def command(name: str) -> click.Command:
    found: click.Command = getattr(importlib.import_module(_COMMANDS[name]), name)
    return found


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_option_of_every_command_is_documented_and_no_other(name: str) -> None:
    section = re.search(rf"^## zmban {name}\b.*?(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert section, name
    options = {
        o for p in command(name).params if isinstance(p, click.Option) for o in p.opts if o.startswith("--")
    }
    assert set(re.findall(r"^\| `(--[\w-]+)", section.group(), re.MULTILINE)) == options


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^## zmban (\w+)", COMMANDS, re.MULTILINE)) == set(_COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`zmban (\w+)", readme)) == set(_COMMANDS)


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = Metrics()
    names = {
        f"{m.name}_total" if m.type == "counter" else m.name
        for m in metrics.registry.collect()
        if m.name.startswith("zmban_")
    }
    assert set(re.findall(r"^\| `(zmban_\w+)", METRICS, re.MULTILINE)) == names


def test_every_guarantee_names_a_test_that_exists() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in tests] == []
    assert [path for path in re.findall(r"`(tests/[\w/]+\.py)`", page) if not (ROOT / path).exists()] == []


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
