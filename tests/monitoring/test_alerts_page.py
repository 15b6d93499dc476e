"""docs/alerts.md is generated from the alert rules, and each alert leads to its section there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.test_rules import RULES, rules

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/alerts.md"
_HEAD = """# Alerts

The alerts of `config/prometheus/rules/zmban.yml`, which the Helm chart carries too. This page is generated from the rules
by `tests/monitoring/test_alerts_page.py`. The metrics are listed in [metrics.md](metrics.md).

A *critical* alert means that attackers are not banned, or will not be soon; a *warning* needs somebody within a day; *info*
tells of what somebody did on purpose. Each alert was made to fire, and to end, by its fault in a running service
(`tests/monitoring/test_true_alerts.py`).
"""
_GROUPS = {
    "zmban-enforcement": "Enforcement",
    "zmban-reading": "Reading logs",
    "zmban-configuration": "Configuration",
    "zmban-database": "Database",
    "zmban-review": "Review and messages",
    "zmban-attack": "Attacks",
    "zmban-cluster": "Other hosts",
}
_VALUES = {
    '{{ or $labels.instance "any host" }}': "HOST",
    "{{ $labels.instance }}": "HOST",
    "{{ $labels.source }}": "LOG",
    "{{ $labels.jail }}": "JAIL",
    "{{ $labels.reason }}": "REASON",
    "{{ $labels.target }}": "TARGET",
    "{{ $value | humanizeDuration }}": "TIME",
    "{{ $value | humanize1024 }}": "SIZE ",
    "{{ $value | humanize }}": "N",
    "{{ $value }}": "N",
}


def _plain(text: str) -> str:
    """A text without templates. AssertionError for one that is not in the table."""
    for template, word in _VALUES.items():
        text = text.replace(template, word)
    assert "{{" not in text, text
    return text


def _section(rule: dict[str, Any]) -> str:
    notes = {name: _plain(text) for name, text in rule["annotations"].items()}
    return f"""### {rule["alert"]}

{rule["labels"]["severity"]}, after {rule["for"]}: *{notes["summary"]}*

**What it means.** {notes["description"]}

**How to see it.** {notes["check"]}

**What to do.** {notes["action"]}

```
{rule["expr"].strip()}
```
"""


def _page() -> str:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    parts = [_HEAD]
    for group in groups:
        parts.append(f"## {_GROUPS[group['name']]}\n")
        parts += [_section(rule) for rule in group["rules"] if "alert" in rule]
    return "\n".join(parts)


def test_the_page_says_what_the_rules_say() -> None:
    now = _page()
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != now:
        DOCUMENT.write_text(now, encoding="utf-8")
        pytest.fail("docs/alerts.md said otherwise and was written anew: read it, and commit it")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_the_runbook_of_an_alert_is_its_section(rule: dict[str, Any]) -> None:
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = [
        line[4:].lower() for line in (ROOT / path).read_text().splitlines() if line.startswith("### ")
    ]
    assert headings.count(anchor) == 1
    assert anchor == rule["alert"].lower()
