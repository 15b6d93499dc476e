"""Who has a token may act; who has none is told how to get one."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.page.driving import Api, answer, answer_events, open_view, settled

# A network for documentation that no other test bans.
ADDRESS = "198.51.100.77"


def sign_in(page: Page, token: str) -> None:
    """Sign in from the head of the page."""
    page.locator("#session").get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill(token)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    expect(page.locator("#session").get_by_role("button", name="Sign out")).to_be_visible()


def test_without_a_token_there_is_no_button_that_acts(page: Page, api: Api) -> None:
    open_view(page, f"#/bans/{api.ban()['network']}")
    expect(page.get_by_role("button", name="Unban")).to_have_count(0)
    page.get_by_role("button", name="Sign in to act").click()
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


def test_a_service_without_tokens_says_how_to_get_one(page: Page) -> None:
    answer(page, "session", {"name": None, "can_act": False, "tokens": False, "csrf": None})
    open_view(page, "#/now")
    page.locator("#session").get_by_role("button", name="Why?").click()
    expect(page.get_by_role("dialog", name="Read only")).to_contain_text("ZMBAN_TOKEN_FILE")


def test_a_wrong_token_is_refused_in_the_dialog(page: Page) -> None:
    open_view(page, "#/now")
    page.locator("#session").get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill("not-a-token-of-this-service")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("does not know this token")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#session").get_by_role("button", name="Sign in")).to_be_focused()


def test_too_many_tries_say_how_long_to_wait(page: Page) -> None:
    open_view(page, "#/now")
    page.route(
        "**/api/session",
        lambda route: route.fulfill(
            status=429, headers={"Retry-After": "42"}, json={"error": "too many wrong tokens"}
        ),
    )
    page.locator("#session").get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill("x" * 20)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Try again in 42 seconds.")


def test_signed_in_one_bans_with_a_preview_and_unbans_again(page: Page, api: Api, token: str) -> None:
    open_view(page, "#/bans")
    sign_in(page, token)
    page.get_by_role("button", name="Ban a network").click()
    dialog = page.get_by_role("dialog", name="Ban a network")
    dialog.get_by_label("Address or network").fill(ADDRESS)
    expect(dialog.locator(".preview")).to_contain_text("Standing bans inside")
    dialog.get_by_label("Reason").fill("a test of the page")
    dialog.get_by_label("Duration").select_option("3600")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(page.locator("#notice")).to_contain_text(f"{ADDRESS}/32 is banned")
    stands = api.get(f"bans/{ADDRESS}/32")["bans"]
    assert [(one["jail"], one["reason"]) for one in stands] == [("manual", "a test of the page")]
    assert stands[0]["until"] is not None
    open_view(page, f"#/bans/{ADDRESS}/32")
    page.get_by_role("button", name="Unban").click()
    page.get_by_role("dialog").get_by_role("button", name="Unban").click()
    expect(page.locator("#notice")).to_contain_text("is unbanned")
    expect(page.locator("main")).to_contain_text("This network has no ban of its own.")
    # The button that had the focus is gone.
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert api.get(f"bans/{ADDRESS}/32")["bans"] == []


def test_a_ban_that_needs_a_confirmation_is_not_sent_without_it(page: Page, token: str) -> None:
    network, sent = "198.51.100.0/24", list[object]()
    covers = {"addresses": 256, "bans": 3, "kept_reachable": 0, "good_logins": 2, "delivered_to": 0}
    answer(
        page,
        "preview",
        {"network": network, "refused": None, "confirm": True, "why": ["2 good clients"], "covers": covers},
    )
    answer(page, "ban", {"answers": [{"network": network, "result": "banned", "reason": None}]})
    page.on(
        "request",
        lambda request: sent.append(request.post_data_json) if request.url.endswith("/api/ban") else None,
    )
    open_view(page, "#/bans")
    sign_in(page, token)
    page.get_by_role("button", name="Ban a network").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address or network").fill(network)
    dialog.get_by_label("Reason").fill("a test")
    expect(dialog.locator(".preview")).to_contain_text("2 good clients")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("needs your confirmation")
    assert sent == []
    dialog.get_by_label("I have read this").check()
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("is banned")
    assert sent == [{"networks": [network], "reason": "a test", "until": None, "yes": True, "evidence": []}]


def test_a_refusal_of_the_service_is_shown_and_the_dialog_stays(page: Page, token: str) -> None:
    answer(page, "ban", {"answers": [{"network": "127.0.0.1/32", "result": "refused", "reason": "reserved"}]})
    open_view(page, "#/bans")
    sign_in(page, token)
    page.get_by_role("button", name="Ban a network").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address or network").fill("127.0.0.1")
    dialog.get_by_label("Reason").fill("a test")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("refused: reserved")


def test_a_network_is_allowed_for_a_time_and_removed_again(page: Page, api: Api, token: str) -> None:
    open_view(page, "#/now")
    sign_in(page, token)
    page.get_by_role("button", name="Allow a network").click()
    dialog = page.get_by_role("dialog", name="Allow a network")
    dialog.get_by_label("Address or network").fill(ADDRESS)
    dialog.get_by_label("Reason").fill("a customer on the telephone")
    dialog.get_by_role("button", name="Allow", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("is allowed until")
    allowed = next(one for one in api.get("allowed")["allowed"] if one["network"].startswith(ADDRESS))
    assert allowed["reason"] == "a customer on the telephone" and allowed["until"] is not None
    page.get_by_role("button", name=f"Remove {allowed['network']}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("#notice")).to_contain_text("no longer allowed")
    assert not [one for one in api.get("allowed")["allowed"] if one["network"].startswith(ADDRESS)]


def test_dry_run_of_a_jail_is_switched_and_set_back(page: Page, api: Api, token: str) -> None:
    name = api.jail()
    before = api.get(f"jails/{name}")
    open_view(page, f"#/jails/{name}")
    sign_in(page, token)
    page.get_by_role("button", name=f"Dry run of {name}").click()
    page.get_by_role("dialog").get_by_label(
        "off: bans are enforced" if before["dry_run"] else "on: bans are recorded"
    ).check()
    page.get_by_role("dialog").get_by_role("button", name="Switch").click()
    expect(page.locator("#notice")).to_contain_text("dry run is")
    assert api.get(f"jails/{name}")["dry_run"] is not before["dry_run"]
    expect(page.locator(".verdict")).to_contain_text("switched at run time")
    page.get_by_role("button", name=f"Dry run of {name}").click()
    page.get_by_role("dialog").get_by_label("as configured").check()
    page.get_by_role("dialog").get_by_role("button", name="Switch").click()
    expect(page.locator("#notice")).to_contain_text("as configured")
    assert api.get(f"jails/{name}")["switched"] is None


def test_a_session_that_has_ended_leads_to_the_sign_in_dialog(page: Page, token: str) -> None:
    open_view(page, "#/bans")
    sign_in(page, token)
    page.context.clear_cookies()
    page.get_by_role("button", name="Ban a network").click()
    dialog = page.get_by_role("dialog", name="Ban a network")
    dialog.get_by_label("Address or network").fill(ADDRESS)
    dialog.get_by_label("Reason").fill("a test of the page")
    dialog.get_by_role("button", name="Ban", exact=True).click()
    dialog.get_by_role("alert").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


def test_signing_out_takes_the_buttons_away(page: Page, token: str) -> None:
    open_view(page, "#/bans")
    sign_in(page, token)
    expect(page.get_by_role("button", name="Ban a network")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Ban a network")).to_have_count(0)


def test_who_must_sign_in_to_read_gets_one_text_instead_of_errors(page: Page) -> None:
    answer_events(page)
    answer(page, "(status|bans|rates|allowed|jails|logs).*", {"error": "sign in with a token"}, status=401)
    page.goto("/#/now")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to read")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.unroute_all()
    page.goto("/#/logs")
    settled(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Logs")
