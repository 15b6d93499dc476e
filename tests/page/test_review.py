"""The view Review: the report of a day, and what one can do about it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.page.driving import answer, open_view
from tests.page.test_acting import sign_in

HOURS = [{"received": n, "delivered": n, "deferred": 0, "bounced": 0, "rejected": 24 - n} for n in range(24)]


def section(title: str, columns: list[str], rows: list[list[str]], **more: Any) -> dict[str, Any]:
    return {"title": title, "columns": columns, "rows": rows, "note": "", "lines": [], "important": False, "act": "",
            "subject": 0, **more}  # fmt: skip


def report(*sections: dict[str, Any]) -> dict[str, Any]:
    return {"day": "2026-11-26", "days": ["2026-11-26", "2026-11-25"], "made": 1_790_000_000.0, "hours": HOURS,
            "sections": list(sections)}  # fmt: skip


PROPOSED = section(
    "Networks worth a ban as a whole", ["Network", "#Banned inside"], [["203.0.113.0/24", "9"]], act="ban"
)
DOMAIN = section(
    "Sender domains worth refusing", ["Domain", "#Rejected"], [["bad.example", "12"]], act="domain"
)
PATTERN = section(
    "New pattern 1", ["", ""], [["failregex", "^x <HOST>$"]], lines=["a line <b>"], act="adopt", subject=1
)


def test_the_report_of_the_service_is_shown_with_its_plot(page: Page) -> None:
    open_view(page, "#/review")
    expect(page.get_by_role("heading", name="Messages", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Jails", exact=True)).to_contain_text("smtp")
    expect(page.get_by_role("img", name="Mail per hour")).to_be_visible()


def test_without_a_token_there_is_nothing_to_press_but_how_to_sign_in(page: Page) -> None:
    answer(page, "review", report(PROPOSED, DOMAIN, PATTERN))
    open_view(page, "#/review")
    expect(page.get_by_role("region", name="Networks worth a ban")).to_contain_text("203.0.113.0/24")
    for name in ("Ban…", "Refuse…", "Adopt as a dry-run jail…"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_a_proposed_network_is_banned_with_a_preview(page: Page, token: str) -> None:
    answer(page, "review", report(PROPOSED))
    open_view(page, "#/review")
    sign_in(page, token)
    page.get_by_role("button", name="Ban…").click()
    expect(page.get_by_role("dialog", name="Ban a network").locator(".preview")).to_contain_text("It covers")


def test_a_domain_is_refused_and_a_big_provider_only_when_confirmed(page: Page, token: str) -> None:
    bodies: list[Any] = []
    rejected = {"domain": "bad.example", "unicode": "bad.example", "result": "rejected", "reason": "is a big provider",
                "confirmable": True}  # fmt: skip
    answer(page, "review", report(DOMAIN))
    answer(page, "domains", {"answers": [rejected]})
    page.on(
        "request", lambda one: bodies.append(one.post_data_json) if one.url.endswith("/api/domains") else None
    )
    open_view(page, "#/review")
    sign_in(page, token)
    page.get_by_role("button", name="Refuse…").click()
    dialog = page.get_by_role("dialog", name="Refuse a sender domain")
    dialog.get_by_label("Reason").fill("spam")
    dialog.get_by_role("button", name="Refuse", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("is a big provider")
    dialog.get_by_label("Refuse it anyway").check()
    answer(
        page,
        "domains",
        {"answers": [{**rejected, "result": "refused-now", "reason": "is refused from now on"}]},
    )
    dialog.get_by_role("button", name="Refuse", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("bad.example is refused from now on")
    assert [one["yes"] for one in bodies] == [False, True]
    assert bodies[1]["domains"] == ["bad.example"]


def test_a_pattern_is_adopted(page: Page, token: str) -> None:
    answer(page, "review", report(PATTERN))
    answer(
        page,
        "review/adopt",
        {"name": "zimbra-new-1", "directory": "/state/adopted", "files": {}, "by": "alice"},
    )
    open_view(page, "#/review")
    sign_in(page, token)
    expect(page.get_by_text("a line <b>")).to_be_visible()
    page.get_by_role("button", name="Adopt as a dry-run jail…").click()
    page.get_by_role("dialog").get_by_role("button", name="Write").click()
    expect(page.locator("#notice")).to_contain_text("zimbra-new-1 is written to /state/adopted")


def test_another_day_is_another_address_and_the_report_can_be_built_anew(page: Page) -> None:
    asked: list[str] = []
    answer(page, "review", report(PATTERN))
    page.on(
        "request", lambda one: asked.append(one.url.partition("?")[2]) if "/api/review" in one.url else None
    )
    open_view(page, "#/review")
    page.get_by_label("Day").select_option("2026-11-25")
    page.wait_for_url("**/#/review?day=2026-11-25")
    page.get_by_role("button", name="Build it now").click()
    expect(page.get_by_role("heading", name="New pattern 1")).to_be_visible()
    assert asked[:2] == ["", "day=2026-11-25"]
    assert asked[-1] == "day=2026-11-25&fresh=true"
