"""Text from a log, in every field, is shown as text."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.driving import Api, answer_events, ban_record, mutated, open_view, overflow, settled, views

# Markup, a bidirectional override, a terminal escape, a bell, a line break, an invisible space, a lone surrogate.
HOSTILE = (
    "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"
    " \u202eevil \x1b[31m \x07 new\nline \u200bhidden \udc80 \U000e0041 " + "\u0301" * 50 + "W" * 20_000
)
VISIBLE = r"\u202eevil \x1b[31m \x07 new\nline \u200bhidden \udc80 \U000e0041"
# Fields that decide what the page does, not what it shows.
_KEPT = re.compile(r"/api/(session|events)")


def poisoned(route: Route) -> None:
    """The real answer with the text in front of every text in it, and in errors."""
    if _KEPT.search(route.request.url):
        route.continue_()
        return
    response = route.fetch()
    body = mutated(response.json(), lambda text: HOSTILE + text)
    # ASCII, since a lone surrogate has no bytes.
    route.fulfill(response=response, body=json.dumps(body))


@pytest.mark.parametrize("width", [1280, 360])
def test_hostile_text_in_every_field_of_every_view_is_text(page: Page, api: Api, width: int) -> None:
    addresses = views(api)
    answer_events(page)
    page.set_viewport_size({"width": width, "height": 740})
    page.route("**/api/**", poisoned)
    for name, address in addresses.items():
        open_view(page, address)
        if name == "try":
            page.get_by_role("button", name="Try").click()
            page.get_by_role("region", name="Result").wait_for()
        shown = page.locator("main").text_content() or ""
        if name != "no bans":
            assert VISIBLE in shown, name
        assert not re.search("[\u202e\x1b\x07\u200b]", shown), name
        assert page.locator("main :is(script, img, iframe, style)").count() == 0, name
        assert page.evaluate("window.harmed") is None, name
        assert overflow(page) == 0, name


def test_hostile_text_in_events_is_text(page: Page) -> None:
    event = {
        "event": "ban",
        "at": 1_790_000_000.0,
        "evidence": [HOSTILE],
        **ban_record("203.0.113.9/32", reason=HOSTILE, jail=HOSTILE),
    }
    send = answer_events(page)
    open_view(page, "#/now")
    send(("ban", event))
    row = page.get_by_role("region", name="Newest bans").get_by_role("row").filter(has_text="203.0.113.9/32")
    expect(row).to_contain_text(VISIBLE)
    assert overflow(page) == 0
    assert page.evaluate("window.harmed") is None


def test_a_line_of_100_kb_is_cut_and_shown_whole_on_request(page: Page, api: Api) -> None:
    ban = api.ban()
    found = api.get(f"bans/{ban['network']}")
    found["bans"][0]["evidence"] = ["begin" + "\x1b" * 100_000 + "end"]
    page.route(f"**/api/bans/{ban['network']}", lambda route: route.fulfill(json=found))
    open_view(page, f"#/bans/{ban['network']}")
    line = page.locator(".lines .line").first
    assert len(line.text_content() or "") < 4000
    line.get_by_role("button", name="Show all 100,008 characters").click()
    expect(line).to_contain_text("end")
    expect(line).to_be_focused()
    assert page.evaluate("document.querySelectorAll('*').length") < 2000
    assert overflow(page) == 0


def test_hostile_text_in_the_address_is_text(page: Page) -> None:
    for address in (
        "#/bans?q=%3Cimg%20src%3Dx%3E%E2%80%AE",
        "#/%3Cimg%20src%3Dx%3E",
        "#/bans/%3Cimg%3E%E2%80%AE",
        "#/jails/%E0%A4%A",
        "#/explain?line=%E2%80%AE%00",
    ):
        open_view(page, address)
        settled(page)
        assert page.locator("main img").count() == 0
        assert "\u202e" not in (page.locator("main").text_content() or "")
        assert "\u202e" not in page.title()
