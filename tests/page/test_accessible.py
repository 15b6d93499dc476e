"""Everybody can use the page: by keyboard, by screen reader, in both themes and widths."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.driving import Api, answer, answer_events, ban_record, open_view, settled, views, violations
from tests.page.test_acting import sign_in

NAMES = [
    "now",
    "bans",
    "no bans",
    "one ban",
    "jails",
    "one jail",
    "logs",
    "explain",
    "explain a line",
    "try",
    "review",
]


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_in_both_themes_and_widths(page: Page, api: Api, name: str) -> None:
    open_view(page, views(api)[name])
    if name == "try":
        page.get_by_role("button", name="Try").click()
        page.get_by_role("region", name="Result").wait_for()
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found[f"{width} {scheme}"] = violations(page)
    assert {where: what for where, what in found.items() if what} == {}


def test_axe_finds_nothing_in_dialogs_errors_and_open_tables(page: Page, token: str) -> None:
    answer(page, "allowed", {"error": "the service is stopping"}, status=503)
    open_view(page, "#/now")
    sign_in(page, token)
    page.get_by_text("As a table").first.click()
    assert violations(page) == []
    page.get_by_role("link", name="Bans", exact=True).click()
    page.get_by_role("button", name="Ban a network").click()
    page.get_by_label("Address or network").fill("198.51.100.0/24")
    page.locator(".preview").get_by_text("Addresses").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []


def test_the_first_tab_leads_to_the_skip_link_and_it_to_the_content(page: Page) -> None:
    open_view(page, "#/now")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.evaluate("location.hash") == "#/now"


def test_a_change_of_the_view_moves_the_focus_to_its_heading(page: Page) -> None:
    open_view(page, "#/now")
    page.get_by_role("link", name="Jails", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Jails")).to_be_focused()


def test_by_keyboard_alone_one_finds_a_ban_and_reads_why(page: Page, api: Api) -> None:
    network = api.ban()["network"]
    open_view(page, "#/bans")
    page.get_by_role("searchbox").focus()
    page.keyboard.type(network)
    page.keyboard.press("Enter")
    expect(page.locator(".layer > .row").first).to_contain_text(network)
    for _ in range(6):
        if page.evaluate("document.activeElement.getAttribute('role')") == "grid":
            break
        page.keyboard.press("Tab")
    expect(page.get_by_role("grid")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.startsWith('#/bans/')")
    expect(page.get_by_role("heading", name="Evidence").first).to_be_visible()


def test_every_stop_of_the_keyboard_is_visible(page: Page) -> None:
    open_view(page, "#/jails")
    page.keyboard.press("Tab")
    outlines: list[str] = []
    while page.evaluate("document.activeElement !== document.body") and len(outlines) < 30:
        outlines.append(
            page.evaluate(
                """() => {
                  const style = getComputedStyle(document.activeElement);
                  return style.outlineStyle + style.outlineWidth;
                }"""
            )
        )
        page.keyboard.press("Tab")
    # The skip link, the brand, six views, the session, at least one jail.
    assert len(outlines) >= 10
    assert set(outlines) == {"solid2px"}


def test_a_dialog_keeps_the_focus_inside_and_gives_it_back(page: Page, token: str) -> None:
    open_view(page, "#/bans")
    sign_in(page, token)
    page.get_by_role("button", name="Ban a network").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Address or network")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Ban a network")).to_be_focused()


def test_new_bans_are_told_politely_and_the_list_can_be_paused(page: Page) -> None:
    page.clock.install()
    answer(page, "bans", {"bans": [], "total": 0, "offset": 0, "next": None, "view": "v"})
    events = [
        (
            "ban",
            {"event": "ban", "at": 1_790_000_000.0 + i, "evidence": [], **ban_record(f"203.0.113.{i}/32")},
        )
        for i in range(40)
    ]
    send = answer_events(page)
    page.goto("/#/now")
    settled(page)
    send(*events)
    newest = page.get_by_role("region", name="Newest bans")
    expect(page.locator("#state")).to_contain_text("not live")
    page.clock.run_for(2000)
    expect(newest.get_by_role("row")).to_have_count(21)
    page.clock.run_for(8000)
    expect(page.locator("#live")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#live")).to_have_text("40 new bans, the last one 203.0.113.39/32 by zimbra-smtp")
    newest.get_by_role("button", name="Pause").click()
    expect(newest.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    expect(newest).to_contain_text("Paused")


def test_what_has_the_focus_keeps_it_when_the_view_is_refreshed(page: Page, api: Api) -> None:
    page.clock.install()
    page.goto("/#/jails")
    link = page.get_by_role("rowheader", name=api.jail(), exact=True).get_by_role("link")
    link.focus()
    with page.expect_response("**/api/jails"):
        page.clock.run_for(10_000)
    expect(link).to_be_focused()


def test_without_motion_nothing_moves(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_view(page, "#/now")
    assert (
        page.evaluate("getComputedStyle(document.getElementById('busy'), '::before').animationName") == "none"
    )
