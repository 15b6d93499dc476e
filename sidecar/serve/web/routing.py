"""The routes of the HTTP server: method, path, access, and the function that answers."""

from __future__ import annotations

import enum
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote

from pydantic import ValidationError, validate_call

from sidecar.model import ZmbanError, printable

# The parameters that the server itself fills: the name of the token that acts, and the `Client`.
ACTOR, CLIENT = "by", "client"
_LONGEST_TEXT = 500


class Access(enum.Enum):
    """Who may use a route: everybody, who may read the page, or who is signed in."""

    OPEN = enum.auto()
    READ = enum.auto()
    ACT = enum.auto()


class WebError(ZmbanError):
    """A request that is refused; the text is one sentence for the client. `wait`: seconds until a further
    try."""

    def __init__(self, status: HTTPStatus, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.status, self.wait = status, wait


@dataclass(frozen=True)
class PlainText:
    """An answer that is no JSON. `kind`: its content type."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Signed:
    """An answer that sets the cookie of a session; an empty one ends it. `secure`: only over TLS."""

    answer: Any
    cookie: str
    secure: bool


# Server-sent events: parts of the stream as they are to be sent.
Stream: TypeAlias = AsyncIterator[bytes]
Call: TypeAlias = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class WebRoute:
    """One route. `path` may contain one `{name}`, which takes what is between two slashes, or with `rest`
    everything. `most`: bytes of a request body.

    `call` gets the parameters of path, query and JSON body by name, validated by its annotations, and returns
    JSON, a `PlainText` or a `Stream`. `answer` is the type of the JSON, for the OpenAPI document.
    """

    method: str
    path: str
    call: Call
    access: Access = Access.READ
    answer: Any = None
    rest: bool = False
    most: int = 64 << 10
    stream: bool = False

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of the client."""
        found = inspect.signature(self.call, eval_str=True).parameters
        return {name: one for name, one in found.items() if name not in (ACTOR, CLIENT)}

    @cached_property
    def _filled(self) -> frozenset[str]:
        """The parameters of `call` that the server fills."""
        return frozenset(inspect.signature(self.call).parameters) & {ACTOR, CLIENT}

    @cached_property
    def in_path(self) -> str | None:
        """The name of the parameter in the path."""
        _, brace, rest = self.path.partition("{")
        return rest.partition("}")[0] if brace else None

    @cached_property
    def _validated(self) -> Call:
        return validate_call(self.call)

    async def answered(self, given: Mapping[str, Any], actor: str | None, client: object) -> Any:
        """Call with these parameters. WebError for a wrong one."""
        unknown = given.keys() - self.parameters.keys()
        if unknown:
            known = ", ".join(self.parameters) or "none"
            text = f"unknown parameter {next(iter(unknown))[:80]!r}; known are: {known}"
            raise WebError(HTTPStatus.BAD_REQUEST, printable(text))
        filled = {name: one for name, one in ((ACTOR, actor), (CLIENT, client)) if name in self._filled}
        try:
            return await self._validated(**given, **filled)
        except ValidationError as error:
            raise WebError(HTTPStatus.BAD_REQUEST, _sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return printable(f"{place}: {found['msg'].removeprefix('Value error, ')}"[:_LONGEST_TEXT])


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[WebRoute]) -> None:
        self.routes = list(routes)

    def find(self, method: str, path: str) -> tuple[WebRoute, dict[str, str]]:
        """The route and the parameter in the path, which is as the client sent it. WebError if there is
        none."""
        known = {
            route.method: (route, values)
            for route in self.routes
            if (values := _fits(route, path)) is not None
        }
        if method == "HEAD" and "GET" in known:
            return known["GET"]
        if method not in known:
            if not known:
                raise WebError(HTTPStatus.NOT_FOUND, "no such page")
            raise WebError(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed(known)}")
        return known[method]


def _fits(route: WebRoute, path: str) -> dict[str, str] | None:
    """The parameter in a path of this route; None if the path is none of it."""
    name = route.in_path
    if name is None:
        return {} if path == route.path else None
    before, _, behind = route.path.partition(f"{{{name}}}")
    middle = path[len(before) : len(path) - len(behind)]
    if not (middle and path.startswith(before) and path.endswith(behind)) or (
        "/" in middle and not route.rest
    ):
        return None
    return {name: unquote(middle)}


def allowed(methods: Iterable[str]) -> str:
    """Methods as a header names them."""
    found = set(methods)
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set())))
