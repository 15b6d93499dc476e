"""The page in a browser, served by a real service; both are in a network namespace of their own.

The service has one running jail, one followed log, and some bans by that jail. Nothing else is assumed: tests ask the API
what there is, and change only networks that are for documentation. To look at another service, set ZMBAN_PAGE_URL, such as
http://127.0.0.1:9177/, and ZMBAN_PAGE_TOKEN, a token that may act.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.app.running import LISTEN, service, until
from tests.netns import Namespace
from tests.page.driving import Api

_CHROMIUM = "/usr/bin/chromium"


_TOKEN = "0123456789abcdef-of-a-test"
_ATTACKERS = 12
# How long to wait for what the page does (milliseconds). A page that hangs fails a test, a machine that is busy does
# not: another test may hold the kernel's routing lock for seconds.
_PATIENCE = 30_000
expect.set_options(timeout=_PATIENCE)


@pytest.fixture(scope="package")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, with a slash at its end."""
    if given := os.environ.get("ZMBAN_PAGE_URL"):
        yield given.rstrip("/") + "/"
        return
    host, root = Namespace(), tmp_path_factory.mktemp("page")
    tokens = root / "tokens"
    tokens.write_text(f"alice:{_TOKEN}\n", encoding="utf-8")
    try:
        host.wire("eth0", "192.0.2.10/24")
        host.ip("route", "add", "default", "via", "192.0.2.1")
        # The browser that starts later is in the namespace too.
        with host.inside(), service(root, "", "--token-file", str(tokens)) as running:
            for number in range(_ATTACKERS):
                running.attack(f"198.51.100.{number + 1}", 2)
            running.attack("198.51.100.99", 1)
            until(lambda: len(running.banned()) == _ATTACKERS)
            yield f"http://{LISTEN}/"
    finally:
        host.remove()


@pytest.fixture(scope="package")
def token() -> str:
    """A token that may act."""
    return os.environ.get("ZMBAN_PAGE_TOKEN", _TOKEN)


@pytest.fixture(scope="package")
def api(page_url: str) -> Api:
    """The API that the page uses, for what there is."""
    return Api(page_url)


@pytest.fixture(scope="package")
def browser(page_url: str) -> Iterator[Browser]:
    """One browser for all tests, in the namespace of the service. It ends with this room, since its event loop would
    disturb asynchronous tests."""
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
    context.set_default_timeout(_PATIENCE)
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
