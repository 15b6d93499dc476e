"""One HTML file without scripts and without other resources: its frame, its style, and safe text."""

from __future__ import annotations

from html import escape

from sidecar.model import printable

LONGEST = 600
_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --panel: #f6f8fa; --first: #0b5394; --second: #6e7781; --third: #9a3412; --bad: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3;
  --line: #3d444d; --panel: #161b22; --first: #79c0ff; --second: #9da7b3; --third: #ffb77c;
  --bad: #ff9492; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; }
p, dl { margin: .5rem 0; } dt, caption, .soft { color: var(--soft); } dd { margin: 0 0 .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { padding: .35rem .5rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { margin: .25rem 0; padding: .35rem .5rem; background: var(--panel); white-space: pre-wrap;
  font: .8rem/1.4 ui-monospace, monospace; }
@media print { :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #999999; --panel: #f4f4f4;
  --first: #0b5394; --second: #6e7781; --third: #9a3412; --bad: #a40e26; }
  body { max-width: none; padding: 0; font-size: 10pt; } }
"""
END = "</main>\n</body>\n</html>\n"


def beginning(title: str, style: str) -> str:
    """The page up to the beginning of its content; `style` is added to the common one."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>zmban: {text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
    )


def text(of_others: str) -> str:
    """Text of others for the page: control codes are shown as escapes, and nothing is markup."""
    return escape(printable(of_others))


def cut(line: str) -> str:
    """The beginning of a log line."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
