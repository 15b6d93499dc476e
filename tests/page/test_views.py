"""Each view shows what the API says, under an address and a title of its own."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.driving import Api, answer, answer_events, ban_record, open_view, overflow, settled, views


@pytest.mark.parametrize("name", ["Now", "Bans", "Jails", "Logs", "Explain", "Try"])
def test_each_view_is_reached_from_the_head_and_has_a_title_of_its_own(page: Page, name: str) -> None:
    open_view(page, "#/logs" if name != "Logs" else "#/now")
    page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page).to_have_title(f"{name} · zmban")
    expect(page.locator("nav a[aria-current=page]")).to_have_text(name)


def test_the_bare_address_shows_now_with_the_state_of_the_service(page: Page, api: Api) -> None:
    open_view(page, "")
    status = api.get("status")
    word = "dry run" if status["dry_run"] else "enforced" if status["enforced"] else "NOT ENFORCED"
    expect(page.locator("#state")).to_contain_text(word)
    expect(page.get_by_role("region", name="Health")).to_contain_text("Networks banned")


def test_health_names_each_problem_with_its_cure(page: Page, api: Api) -> None:
    broken = {
        "not_enforced_because": ["the rule of table 2520 is missing"],
        "enforced": False,
        "dry_run": False,
        "jails_stopped": ["old-jail"],
    }
    answer(page, "status", api.get("status") | broken)
    answer_events(page)
    open_view(page, "#/now")
    health = page.get_by_role("region", name="Health")
    expect(
        health.get_by_role("listitem").filter(has_text="the rule of table 2520 is missing")
    ).to_contain_text("Cure:")
    expect(health.get_by_role("listitem").filter(has_text="old-jail is stopped")).to_contain_text(
        "zmban check"
    )
    expect(page.locator("#state")).to_contain_text("NOT ENFORCED")


def test_health_tells_of_the_other_hosts(page: Page, api: Api) -> None:
    group = {"host": "mx1", "group": "<b>mail</b>", "up": True, "failing": "", "peers": 3, "here": 2,
             "due": 1200, "to_count": 0, "refused": {}, "waiting": 0, "forged": 0}  # fmt: skip
    answer(page, "status", api.get("status") | {"cluster": group})
    answer_events(page)
    open_view(page, "#/now")
    health = page.get_by_role("region", name="Health")
    expect(health).to_contain_text("Other hosts2 of 3 in <b>mail</b>, 1,200 decisions to tell")
    answer(page, "status", api.get("status") | {"cluster": {**group, "up": False, "here": 0}})
    open_view(page, "#/logs")
    open_view(page, "#/now")
    expect(health).to_contain_text("cannot be reached; 0 of 3 in")


def test_the_plots_have_an_axis_a_summary_and_a_table(page: Page) -> None:
    hour = [{"at": 1_790_000_040.0 + 60 * i, "bans": i % 3, "failures": i} for i in range(60)]
    day = [{"at": 1_790_000_100.0 + 900 * i, "bans": 1, "failures": 0} for i in range(96)]
    answer(page, "rates", {"hour": hour, "day": day})
    open_view(page, "#/now")
    expect(page.get_by_role("img", name="Last hour")).to_have_attribute(
        "aria-label",
        "Last hour, by minute. 1,770 failures, at most 59 at 17:13; 60 bans, at most 2 at 16:16.",
    )
    expect(page.get_by_role("img", name="Last day").locator("rect.bans")).to_have_count(96)
    expect(page.get_by_role("img", name="Last day").locator("rect.failures")).to_have_count(0)
    figure = page.get_by_role("figure").first
    figure.get_by_text("As a table").click()
    rows = figure.get_by_role("row")
    expect(rows).to_have_count(61)
    expect(rows.nth(1)).to_contain_text("59")


def test_new_bans_appear_as_they_happen(page: Page) -> None:
    answer(page, "bans", {"bans": [], "total": 0, "offset": 0, "next": None, "view": "v"})
    event = {"event": "ban", "at": 1_790_000_000.0, "evidence": [], **ban_record("203.0.113.9/32")}
    send = answer_events(page)
    open_view(page, "#/now")
    send(
        ("ban", event),
        (
            "unban",
            {
                "event": "unban",
                "at": 1_790_000_001.0,
                "network": "203.0.113.8/32",
                "jail": "manual",
                "reason": "lifted",
            },
        ),
    )
    newest = page.get_by_role("region", name="Newest bans")
    expect(newest.get_by_role("row").filter(has_text="203.0.113.9/32")).to_contain_text("zimbra-smtp")
    expect(newest.get_by_role("row").filter(has_text="203.0.113.8/32")).to_contain_text("unban")


def test_one_ban_says_why_since_until_evidence_and_what_the_kernel_does(page: Page, api: Api) -> None:
    ban = api.ban()
    found = api.get(f"bans/{ban['network']}")
    open_view(page, f"#/bans/{ban['network']}")
    expect(page).to_have_title(f"{ban['network']} · zmban")
    section = page.get_by_role("region", name=f"Ban by {ban['jail']}")
    for word in ("Why", "Since", "Until", "Origin"):
        expect(section.locator("dt", has_text=word).first).to_be_visible()
    evidence = next(one for one in found["bans"] if one["jail"] == ban["jail"])["evidence"]
    expect(section.locator("ol.lines > li")).to_have_count(len(evidence))
    expect(page.locator(".verdict")).to_contain_text("kernel")
    since = section.locator("time").first
    assert since.get_attribute("datetime") == since.get_attribute("title")
    assert (since.get_attribute("datetime") or "").endswith("Z")


def test_a_network_without_a_ban_and_one_that_is_none_say_so(page: Page) -> None:
    open_view(page, "#/bans/192.0.2.77/32")
    expect(page.locator("main")).to_contain_text("This network has no ban of its own.")
    open_view(page, "#/bans/nonsense")
    expect(page.get_by_role("alert")).to_contain_text("Error:")


def test_one_jail_shows_its_settings_with_file_and_line_and_its_regexes_with_hits(
    page: Page, api: Api
) -> None:
    name = api.jail()
    jail = api.get(f"jails/{name}")
    open_view(page, f"#/jails/{name}")
    setting = next(one for one in jail["settings"] if one["file"])
    row = (
        page.get_by_role("region", name="Settings in force")
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=setting["option"], exact=True))
    )
    expect(row).to_contain_text(f"{setting['file']}:{setting['line']}")
    expect(page.get_by_role("region", name="Regexes").get_by_role("row")).to_have_count(
        len(jail["regexes"]) + 1
    )
    page.get_by_role("region", name="Regexes").get_by_role("link", name="try").first.click()
    expect(page.get_by_label("failregex")).to_have_value(jail["regexes"][0]["regex"])


def test_all_jails_and_all_logs_are_listed(page: Page, api: Api) -> None:
    open_view(page, "#/jails")
    for jail in api.get("jails")["jails"]:
        expect(page.get_by_role("rowheader", name=jail["jail"], exact=True)).to_be_visible()
    open_view(page, "#/logs")
    for log in api.get("logs")["logs"]:
        expect(page.get_by_role("rowheader", name=log["source"], exact=True)).to_be_visible()


def test_explain_goes_step_by_step_and_its_address_can_be_given_to_others(page: Page, api: Api) -> None:
    network = api.ban()["network"]
    open_view(page, "#/explain")
    page.get_by_role("textbox", name="Address or network").fill(network)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("ol.steps > li")).to_have_count(3)
    expect(page.locator("main h2").first).to_contain_text("banned")
    assert page.evaluate("location.hash").startswith("#/explain?address=")
    page.reload()
    expect(page.locator("ol.steps > li")).to_have_count(3)


def test_a_line_that_does_not_count_says_why(page: Page) -> None:
    open_view(page, "#/explain")
    page.get_by_label("Log line", exact=True).first.check()
    page.get_by_role("textbox", name="Log line").fill("a line that says nothing")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("ol.steps")).to_contain_text("no failregex matches the line")


def test_try_reports_hits_and_a_regex_that_does_not_compile(page: Page, api: Api) -> None:
    open_view(page, "#/try")
    page.get_by_label("Log", exact=True).select_option(api.log())
    page.get_by_label("failregex").fill("^(<HOST>")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("alert")).to_contain_text("Error:")
    page.get_by_label("failregex").fill("from <HOST>")
    page.get_by_role("button", name="Try").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text("Lines read")
    expect(page.get_by_role("region", name="Who would be banned")).to_be_visible()


def test_back_and_forward_go_through_views_and_searches(page: Page) -> None:
    open_view(page, "#/bans")
    page.get_by_role("searchbox").press_sequentially("zimbra")
    page.wait_for_function("() => location.hash === '#/bans?q=zimbra'")
    settled(page)
    page.get_by_role("link", name="Logs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Logs")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("zimbra")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.go_forward()
    expect(page.get_by_role("searchbox")).to_have_value("zimbra")


def test_an_unknown_address_leads_back(page: Page) -> None:
    open_view(page, "#/nowhere")
    page.get_by_role("link", name="Go to Now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Now")


def test_no_view_scrolls_sideways_in_a_narrow_window(page: Page, api: Api) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    wide = {}
    for name, address in views(api).items():
        open_view(page, address)
        if overflow(page):
            wide[name] = overflow(page)
    assert wide == {}


def test_the_theme_follows_the_system_and_a_choice_is_remembered(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    open_view(page, "#/now")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(ground) != dark
    page.reload()
    settled(page)
    assert page.evaluate(ground) != dark
    page.get_by_label("Theme").select_option("")
    assert page.evaluate(ground) == dark
