"""The list of bans stays quick and exact, however long it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.driving import LongList, open_view, settled

MANY = 300_000
# Higher than any element may be: a row has 28 pixels.
ENDLESS = 3_000_000


def row_in_sight(page: Page) -> int:
    """The number of the first row that is in sight."""
    return int(
        page.evaluate(
            """() => {
              const top = document.querySelector('.window').getBoundingClientRect().top;
              const rows = [...document.querySelectorAll('.layer > .row')];
              return rows.find((row) => row.getBoundingClientRect().bottom > top + 1).dataset.index;
            }"""
        )
    )


def in_dom(page: Page) -> int:
    """How many elements the page has."""
    return int(page.evaluate("document.querySelectorAll('*').length"))


def scroll_to(page: Page, share: float) -> None:
    """Move the scrollbar."""
    page.evaluate(
        "(share) => { const g = document.querySelector('.grid'); g.scrollTop = share * (g.scrollHeight - g.clientHeight); }",
        share,
    )
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    settled(page)


def active(page: Page) -> str:
    """The row that a screen reader is told of."""
    found = page.evaluate(
        "document.getElementById(document.querySelector('.grid').getAttribute('aria-activedescendant'))?.getAttribute('aria-rowindex')"
    )
    return str(found)


@pytest.mark.parametrize("total", [MANY, ENDLESS])
def test_scrolled_to_the_middle_and_the_end_it_shows_these_rows_and_few_elements(
    page: Page, total: int
) -> None:
    LongList(page, total)
    open_view(page, "#/bans")
    expect(page.locator(".found")).to_contain_text(f"{total:,} networks")
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", str(total + 1))
    before = in_dom(page)
    scroll_to(page, 0.5)
    assert abs(row_in_sight(page) - total / 2) < total / 1000
    first = row_in_sight(page)
    expect(page.locator(f"[data-index='{first}']")).to_contain_text(LongList.network(first))
    expect(page.locator(f"[data-index='{first}']")).to_have_attribute("aria-rowindex", str(first + 2))
    scroll_to(page, 1)
    expect(page.locator(".layer > .row").last).to_contain_text(LongList.network(total - 1))
    assert in_dom(page) < before + 300


def test_small_steps_move_row_by_row_even_if_the_list_is_higher_than_an_element_may_be(page: Page) -> None:
    LongList(page, ENDLESS)
    open_view(page, "#/bans")
    scroll_to(page, 0.25)
    first = row_in_sight(page)
    page.get_by_role("grid").hover()
    height = page.evaluate("document.querySelector('.layer > .row').getBoundingClientRect().height")
    page.mouse.wheel(0, 5 * height)
    page.wait_for_function("(row) => !document.querySelector(`[data-index='${row - 3}']`)", arg=first)
    assert abs(row_in_sight(page) - first - 5) <= 1


def test_a_drag_over_the_whole_list_asks_for_few_pages(page: Page) -> None:
    fake = LongList(page, MANY)
    open_view(page, "#/bans")
    page.evaluate(
        """async () => {
          const grid = document.querySelector('.grid');
          for (let step = 1; step <= 100; step += 1) {
            grid.scrollTop = (step / 100) * grid.scrollHeight;
            await new Promise((done) => requestAnimationFrame(done));
          }
        }"""
    )
    settled(page)
    expect(page.locator(".layer > .row").last).to_contain_text(LongList.network(MANY - 1))
    assert len(fake.asked) < 20


def test_the_keyboard_moves_through_the_list_and_opens_a_ban(page: Page) -> None:
    LongList(page, MANY)
    open_view(page, "#/bans")
    grid = page.get_by_role("grid")
    grid.focus()
    assert active(page) == "2"
    grid.press("ArrowDown")
    grid.press("ArrowDown")
    grid.press("ArrowUp")
    assert active(page) == "3"
    grid.press("PageDown")
    down = int(active(page))
    assert down > 10
    grid.press("PageUp")
    assert active(page) == "3"
    grid.press("End")
    settled(page)
    assert active(page) == str(MANY + 1)
    expect(page.locator(".row.active")).to_contain_text(LongList.network(MANY - 1))
    grid.press("Home")
    settled(page)
    assert active(page) == "2"
    grid.press("ArrowDown")
    grid.press("Enter")
    expect(page).to_have_title(f"{LongList.network(1)} · zmban")


def test_the_way_back_from_a_ban_leads_to_the_same_place_in_the_same_list(page: Page) -> None:
    LongList(page, MANY)
    open_view(page, "#/bans")
    scroll_to(page, 0.5)
    first = row_in_sight(page)
    page.locator(f"[data-index='{first + 2}'] a").click()
    expect(page).to_have_title(f"{LongList.network(first + 2)} · zmban")
    page.go_back()
    page.locator(f"[data-index='{first + 2}']").wait_for()
    settled(page)
    assert abs(row_in_sight(page) - first) <= 1


def test_if_the_server_dropped_the_list_no_row_of_the_old_one_stays(page: Page) -> None:
    fake = LongList(page, MANY)
    open_view(page, "#/bans")
    fake.view, fake.total = "second", 1000
    scroll_to(page, 0.5)
    expect(page.locator(".found")).to_contain_text("1,000 networks")
    expect(page.locator(".found")).to_contain_text("The list was made anew.")
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "1001")
    expect(page.locator(".layer > .row").last).to_contain_text(LongList.network(999))


def test_in_a_narrow_window_a_row_has_two_lines_and_nothing_is_cut_off(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    LongList(page, MANY)
    open_view(page, "#/bans")
    scroll_to(page, 1)
    last = page.locator(".layer > .row").last
    expect(last).to_contain_text(LongList.network(MANY - 1))
    box, frame = last.bounding_box(), page.get_by_role("grid").bounding_box()
    assert box and frame
    assert box["height"] > 40
    assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1
