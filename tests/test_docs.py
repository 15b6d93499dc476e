"""README and docs list the commands, options and metrics of the program, and no others."""

import importlib
import re
from pathlib import Path

import click
import pytest

from sidecar.cli import COMMANDS, load_command
from sidecar.detect.grammar import GRAMMARS, LOGS
from sidecar.fail2ban.zmban_options import KEYS
from sidecar.serve.metrics import Metrics

ROOT = Path(__file__).parents[1]
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
METRICS_PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_documented_and_no_other(name: str) -> None:
    section = re.search(rf"^## zmban {name}\b.*?(?=^## |\Z)", COMMANDS_PAGE, re.MULTILINE | re.DOTALL)
    assert section, name
    command = load_command(name)
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    options = {
        o
        for p in (param for one in commands for param in one.params)
        if isinstance(p, click.Option)
        for o in p.opts
        if o.startswith("--")
    }
    assert set(re.findall(r"^\| `(--[\w-]+)", section.group(), re.MULTILINE)) == options


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^## zmban ([\w-]+)", COMMANDS_PAGE, re.MULTILINE)) == set(COMMANDS)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`zmban ([\w-]+)", readme)) == set(COMMANDS)


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = Metrics()
    names = {
        f"{m.name}_total" if m.type == "counter" else m.name
        for m in metrics.registry.collect()
        if m.name.startswith("zmban_")
    }
    assert set(re.findall(r"^\| `(zmban_\w+)", METRICS_PAGE, re.MULTILINE)) == names


def test_every_route_is_documented_and_no_other() -> None:
    page = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("sidecar/**/*_routes.py"))
    paths = set(re.findall(r'"(/api/[^"]*)"', code))
    assert {path for _, path in re.findall(r"^\| `([A-Z]+) (/api/\S+)`", page, re.MULTILINE)} == paths


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


def test_every_function_of_a_line_s_way_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Floors")[0]
    way = re.findall(r"^\| \d+ \| `([\w/]+\.py)` `([\w.]+)`", text, re.MULTILINE)
    assert 1 <= len(way) <= 12
    for file, name in way:
        owner = importlib.import_module(
            f"sidecar.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
        )
        for part in name.split("."):
            owner = getattr(owner, part)


def test_no_cell_of_the_architecture_s_tables_is_longer_than_two_lines() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [cell.strip() for row in rows for cell in re.split(r"(?<!\\)\|", row)]
    assert len(cells) > 100
    assert [cell for cell in cells if len(cell) > 240] == []


def named_files(page: str) -> set[str]:
    """The paths and Python files that a page names in backticks, but for patterns such as NAME.conf."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    quoted = re.findall(r"`([^`\n]+)`", text)
    found = (re.match(r"(?:[a-z][\w.-]*/)+[\w.-]*|\w+\.py\b", one) for one in quoted)
    return {one.group() for one in found if one and "NAME" not in one.group()}


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/guarantees.md"])
def test_every_file_that_the_documents_name_exists(name: str) -> None:
    named = named_files((ROOT / name).read_text(encoding="utf-8"))
    assert len(named) > 5
    bare = {path.name for path in ROOT.glob("sidecar/**/*.py")}
    missing = {
        one for one in named if not (ROOT / one).exists() and not (ROOT / "sidecar" / one).exists()
    } - bare
    assert missing == set()


def test_every_grammar_log_and_option_of_ours_is_documented() -> None:
    fail2ban = (ROOT / "docs/fail2ban.md").read_text(encoding="utf-8")
    for name in (*GRAMMARS, *KEYS):
        assert f"`{name}" in fail2ban, name
    explain = COMMANDS_PAGE.split("## zmban explain")[1].split("\n## ")[0]
    assert [log for log in LOGS if log not in explain] == []
