"""The files of the page: small, and without anything that the policy of the server forbids."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "sidecar/serve/page"
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
# What makes code or markup out of text, or a style that the policy forbids.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style|srcdoc|DOMParser"
)


def test_all_files_together_are_smaller_than_60_kb_compressed() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in FILES) < 60_000


def test_no_file_has_more_than_300_lines_and_no_directory_more_than_nine_scripts() -> None:
    assert [path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert {d: n for d in PAGE.rglob("*") if d.is_dir() and (n := len(list(d.glob("*.js")))) > 9} == {}
    assert len(list(PAGE.glob("*.js"))) <= 9


def test_no_script_turns_text_into_markup_or_code() -> None:
    assert [path.name for path in SCRIPTS if FORBIDDEN.search(path.read_text(encoding="utf-8"))] == []


def test_nothing_comes_from_elsewhere() -> None:
    found = {
        path.name: re.findall(r"(?:https?:)?//[\w.]+\.\w+", path.read_text(encoding="utf-8"))
        for path in FILES
    }
    assert {name: hosts for name, hosts in found.items() if [h for h in hosts if "www.w3.org" not in h]} == {}


def test_the_markup_has_no_inline_script_or_style() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []


def test_the_markup_names_each_module_so_that_all_load_at_once() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:href|src)="page/([\w/]+\.js)"', text))
    assert named == {str(path.relative_to(PAGE)) for path in SCRIPTS}


def test_the_first_line_of_each_file_says_what_it_does() -> None:
    beginnings = {"index.html": "<!doctype", "icon.svg": "<svg"}
    odd = [
        path.name
        for path in FILES
        if not path.read_text(encoding="utf-8").startswith((beginnings.get(path.name, "// "), "/* "))
    ]
    assert odd == []
