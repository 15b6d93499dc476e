"""A service that is slow, away or restarted, a wrong clock, and a tab that stays open for weeks."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.sync_api import Page, Request, Route, expect

from tests.page.driving import Api, answer, answer_events, ban_record, open_view, settled, violations

EVERYTHING = re.compile(r"/api/")


def test_a_service_that_does_not_answer_is_told_with_the_cure_and_found_again(page: Page) -> None:
    page.clock.install()
    page.goto("/#/logs")
    settled(page)
    page.route(EVERYTHING, lambda route: route.abort())
    page.get_by_role("link", name="Jails", exact=True).click()
    expect(page.locator("#connection")).to_contain_text("No connection to the service since")
    expect(page.get_by_role("alert")).to_contain_text("docker compose ps zmban")
    assert violations(page) == []
    page.unroute_all()
    page.clock.run_for(5000)
    expect(page.locator("#connection")).to_be_empty()
    expect(page.get_by_role("region", name="Running")).to_be_visible()


def test_what_was_loaded_stays_while_the_service_is_away_and_says_how_old_it_is(page: Page) -> None:
    page.clock.install()
    page.goto("/#/logs")
    settled(page)
    page.route(EVERYTHING, lambda route: route.abort())
    page.clock.run_for(5000)
    expect(page.locator(".stale")).to_contain_text("As of ")
    expect(page.get_by_role("table")).to_be_visible()


def test_the_list_of_bans_returns_with_the_service(page: Page) -> None:
    page.clock.install()
    page.goto("/#/logs")
    settled(page)
    page.route(EVERYTHING, lambda route: route.abort())
    page.get_by_role("link", name="Bans", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    page.unroute_all()
    page.clock.run_for(5000)
    page.clock.run_for(1000)
    expect(page.get_by_role("grid")).to_be_visible()


def test_an_error_of_the_service_is_shown_and_can_be_tried_again(page: Page) -> None:
    answer(page, "logs", {"error": "the disk is full"}, status=503)
    page.goto("/#/logs")
    expect(page.get_by_role("alert")).to_contain_text("the disk is full")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Logs of the jails")).to_be_visible()


def test_a_page_of_a_proxy_instead_of_json_is_no_text_of_ours(page: Page) -> None:
    page.route(
        "**/api/logs",
        lambda route: route.fulfill(status=502, content_type="text/html", body="<html><h1>Bad gateway</h1>"),
    )
    page.goto("/#/logs")
    expect(page.get_by_role("alert")).to_contain_text("The service answered 502")
    expect(page.locator("#connection")).to_contain_text("No connection to the service")


def test_a_slow_service_shows_progress(page: Page) -> None:
    page.clock.install()
    held: list[Route] = []
    page.route("**/api/logs", lambda route: held.append(route))
    page.goto("/#/logs")
    page.get_by_role("heading", level=1, name="Logs").wait_for()
    page.clock.run_for(500)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text("Loading the logs…")).to_be_visible()
    page.clock.run_for(5000)
    expect(page.get_by_text("The service is slow to answer.")).to_be_visible()
    held[0].continue_()
    expect(page.get_by_role("region", name="Logs of the jails")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_requests_are_aborted_when_their_view_is_left(page: Page) -> None:
    failed: list[Request] = []
    page.on("requestfailed", lambda request: failed.append(request))
    page.route("**/api/logs", lambda route: None)
    page.goto("/#/logs")
    expect(page.get_by_text("Loading the logs…")).to_be_visible()
    page.get_by_role("link", name="Jails", exact=True).click()
    expect(page.get_by_role("region", name="Running")).to_be_visible()
    assert [one.url.rpartition("/")[2] for one in failed] == ["logs"]


def test_after_a_reset_everything_is_loaded_anew(page: Page) -> None:
    send = answer_events(page)
    open_view(page, "#/now")
    with page.expect_request("**/api/status"), page.expect_request("**/api/bans?limit=20"):
        send(("reset", {}))


def test_a_stream_that_is_refused_is_opened_again_ever_more_slowly(page: Page) -> None:
    page.clock.install()
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if request.url.endswith("/api/events") else None
    )
    page.route("**/api/events", lambda route: route.fulfill(status=503, json={"error": "too many streams"}))
    page.goto("/#/logs")
    settled(page)
    expect(page.locator("#state")).to_contain_text("not live")
    for _ in range(300):
        page.clock.run_for(1000)
    # Pauses of 1, 2, 4 … 60 seconds, more or less: a dozen in five minutes.
    assert 5 <= len(asked) <= 16


def test_ages_are_right_although_the_clock_of_the_browser_is_wrong(page: Page, api: Api) -> None:
    page.clock.install(time=datetime(2001, 2, 3, tzinfo=UTC))
    page.goto("/#/now")
    settled(page)
    expect(page.locator("#clock")).to_contain_text("The clock of this browser is")
    since = page.get_by_role("region", name="Health").locator("time")
    expect(since).not_to_contain_text("year")
    shown = datetime.fromisoformat(since.get_attribute("datetime") or "").timestamp()
    assert abs(shown - api.get("status")["since"]) < 0.01


def test_a_flood_of_events_leaves_the_page_small(page: Page) -> None:
    page.clock.install()
    events = [
        (
            "ban",
            {
                "event": "ban",
                "at": 1_790_000_000.0,
                "evidence": ["x" * 500],
                **ban_record(f"10.0.{i >> 8}.{i & 255}/32"),
            },
        )
        for i in range(3000)
    ]
    send = answer_events(page)
    page.goto("/#/now")
    settled(page)
    send(*events)
    expect(page.locator("#state")).to_contain_text("not live")
    page.clock.run_for(3000)
    expect(page.get_by_role("region", name="Newest bans")).to_contain_text("10.0.11.183/32")
    assert page.evaluate("document.querySelectorAll('*').length") < 2500


def test_days_in_an_open_tab_add_no_elements(page: Page) -> None:
    page.clock.install()
    answer_events(page)
    page.goto("/#/jails")
    settled(page)
    before = page.evaluate("document.querySelectorAll('*').length")
    for _ in range(5):
        with page.expect_response("**/api/jails"):
            page.clock.run_for(10_000)
    settled(page)
    assert page.evaluate("document.querySelectorAll('*').length") == before


def test_the_first_view_with_300_000_bans_asks_for_one_page_only(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/bans" in request.url else None)
    open_view(page, "#/bans")
    expect(page.get_by_role("grid")).to_be_visible()
    assert len(asked) == 1
    assert "limit=100" in asked[0]
