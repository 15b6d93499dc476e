"""What tests of the page do again and again: ask the API, answer for it, look for faults of accessibility."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route

# The beginning of an event stream that stays closed.
_NO_RETRY = "retry: 3600000\n\n"


class Api:
    """The API of the service."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str) -> Any:
        """The JSON of a path below api/."""
        with urllib.request.urlopen(f"{self._url}api/{path}", timeout=10) as answer:
            return json.load(answer)

    def ban(self) -> dict[str, Any]:
        """A ban by a jail that has evidence."""
        for one in self.get("bans?limit=50")["bans"]:
            found = self.get(f"bans/{one['network']}")["bans"]
            if one["origin"] == "log" and any(ban["evidence"] for ban in found):
                return dict(one)
        raise AssertionError("the service has no ban with evidence")

    def jail(self) -> str:
        """The name of a running jail."""
        return str(self.get("jails")["jails"][0]["jail"])

    def log(self) -> str:
        """The path of a followed log."""
        return next(str(one["source"]) for one in self.get("logs")["logs"] if one["followed"])


def views(api: Api) -> dict[str, str]:
    """The address of each view, with something in it."""
    network, jail, log = api.ban()["network"], quote(api.jail()), quote(api.log())
    return {
        "now": "#/now",
        "bans": "#/bans",
        "no bans": "#/bans?q=nobody+has+this+word",
        "one ban": f"#/bans/{network}",
        "jails": "#/jails",
        "one jail": f"#/jails/{jail}",
        "logs": "#/logs",
        "explain": f"#/explain?address={network}",
        "explain a line": f"#/explain?log=zimbra.log&line={quote('a line that says nothing')}",
        "review": "#/review",
        "try": f"#/try?log={log}&failregex={quote('from <HOST>')}",
    }


def open_view(page: Page, address: str) -> None:
    """Load the page at this address, and wait until nothing loads any more."""
    page.goto("about:blank")
    page.goto(f"/{address}")
    page.locator("h1").wait_for()
    settled(page)


def settled(page: Page) -> None:
    """Wait until the view has what it asked for."""
    page.wait_for_function(
        "() => document.querySelector('h1')?.textContent"
        " && !document.querySelector('main :is(.loading, .waiting, [aria-busy=true])')"
    )


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Page) -> list[str]:
    """What axe-core finds."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def answer(page: Page, path: str, body: Any, status: int = 200) -> None:
    """Answer requests of a path below api/ (a pattern) for the service."""
    page.route(
        re.compile(rf"/api/{path}(\?.*)?$"),
        lambda route: route.fulfill(status=status, content_type="application/json", body=json.dumps(body)),
    )


def answer_events(page: Page) -> Callable[..., None]:
    """Answer for the service's stream. What this returns sends events, once, to a page that has its view."""
    held: list[Route] = []
    page.route(re.compile(r"/api/events$"), lambda route: held.append(route))

    def send(*events: tuple[str, dict[str, Any]]) -> None:
        text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)
        held.pop().fulfill(content_type="text/event-stream", body=_NO_RETRY + text)

    return send


def ban_record(network: str, **more: Any) -> dict[str, Any]:
    """A ban as the API has it."""
    return {
        "network": network, "jail": "zimbra-smtp", "since": 1_790_000_000.0, "until": None, "count": 1, "origin": "log",
        "reason": "2 failures", "by": None, "enforced": True, "suspended": None, "dry": False, "failures": 2, "folded": 0,
        "folded_into": None, **more,
    }  # fmt: skip


class LongList:
    """Answers for the service with a list of `total` networks; number i is 10.x.y.z with the number in its bytes."""

    def __init__(self, page: Page, total: int) -> None:
        self.total, self.view, self.asked = total, "first", list[int]()
        page.route(re.compile(r"/api/bans\?"), self._answer)

    @staticmethod
    def network(number: int) -> str:
        """The network of a row."""
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32"

    def _answer(self, route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        self.asked.append(offset)
        last = min(offset + limit, self.total)
        rows = [ban_record(self.network(number)) for number in range(offset, last)]
        body = {"bans": rows, "total": self.total, "offset": offset, "next": None, "view": self.view}
        route.fulfill(content_type="application/json", body=json.dumps(body))


def mutated(data: Any, change: Callable[[str], str]) -> Any:
    """JSON with each text in a value changed."""
    if isinstance(data, dict):
        return {key: mutated(value, change) for key, value in data.items()}
    if isinstance(data, list):
        return [mutated(one, change) for one in data]
    return change(data) if isinstance(data, str) else data
