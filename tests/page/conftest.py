"""The page in a browser, served by a service.

The service comes from outside: ZMBAN_PAGE_URL is its address, such as http://127.0.0.1:9177/, ZMBAN_PAGE_TOKEN a token
that may act. It has at least one running jail, one followed log, and one ban by a jail with evidence. Nothing else is
assumed: tests ask the API what there is, and change only networks that are for documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page.driving import Api

_CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="package")
def page_url() -> str:
    """The address of the page, with a slash at its end."""
    url = os.environ.get("ZMBAN_PAGE_URL")
    if not url:
        pytest.skip("ZMBAN_PAGE_URL names no service")
    return url.rstrip("/") + "/"


@pytest.fixture(scope="package")
def token() -> str:
    """A token that may act."""
    return os.environ.get("ZMBAN_PAGE_TOKEN", "")


@pytest.fixture(scope="package")
def api(page_url: str) -> Api:
    """The API that the page uses, for what there is."""
    return Api(page_url)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests; it ends with this room, since its event loop would disturb asynchronous tests."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    """A page of its own for each test, without cookies. Every error on its console fails the test, unless a
    test takes it from `page.faults`."""
    context = browser.new_context(
        base_url=page_url, viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(10_000)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "console",
        lambda message: faults.append(message.text) if _is_fault(message.type, message.text) else None,
    )
    yield opened
    opened.unroute_all(behavior="ignoreErrors")
    context.close()
    assert faults == []


def _is_fault(kind: str, text: str) -> bool:
    # A refused or aborted request is on the console, too; tests of these look at the page.
    return kind == "error" and not text.startswith("Failed to load resource")
