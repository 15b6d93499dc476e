"""The OpenAPI document, generated from the routes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from sidecar import __version__
from sidecar.serve.web.routing import Access, WebRoute
from sidecar.serve.web.sign_in.gate import COOKIE, CSRF

_REFERENCE = "#/components/schemas/{model}"
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
# What a route of each access may be refused with, besides a wrong request.
_REFUSALS = {
    Access.OPEN: ("403", "429"),
    Access.READ: ("401", "403", "429"),
    Access.ACT: ("401", "403", "409", "429"),
}


def document(routes: Iterable[WebRoute]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the routes below /api/."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path.startswith("/api/"):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zmban",
            "version": __version__,
            "description": "Bans of attackers of a mail server.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _operation(route: WebRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": (inspect.getdoc(route.call) or "").partition("\n\n")[0].replace("\n", " "),
        "responses": _responses(route, schemas),
    }
    parameters, body = _parameters(route, schemas)
    if parameters:
        found["parameters"] = parameters
    if route.method == "POST":
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if route.access is Access.ACT:
        found["security"] = [{"token": []}, {"session": []}]
        found["description"] = f"With a session, the header {CSRF} is required."
    return found


def _parameters(route: WebRoute, schemas: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The parameters in path and query, and the schema of the body."""
    listed: list[dict[str, Any]] = []
    body: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for name, parameter in route.parameters.items():
        schema, required = _schema(parameter.annotation, schemas), parameter.default is parameter.empty
        if not required and parameter.default is not None:
            schema = {**schema, "default": parameter.default}
        if name == route.in_path:
            listed.append({"name": name, "in": "path", "required": True, "schema": schema})
        elif route.method == "POST":
            body["properties"][name] = schema
            body["required"] += [name] if required else []
        else:
            listed.append({"name": name, "in": "query", "required": required, "schema": schema})
    return listed, body


def _responses(route: WebRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": _REFERENCE.format(model="Error")}}}
    refusals = (*_REFUSALS[route.access], *(["404"] if route.in_path else []))
    found: dict[str, Any] = {
        status: {"description": "Refused", "content": error} for status in ("400", *refusals, "503")
    }
    if route.stream:
        found["200"] = {
            "description": "Server-sent events",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    elif route.answer is None:
        found["204"] = {"description": "Done"}
    else:
        schema = _schema(route.answer, schemas)
        found["200"] = {"description": "Done", "content": {"application/json": {"schema": schema}}}
    return dict(sorted(found.items()))


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a type; what it refers to is added to `schemas`."""
    schema = TypeAdapter(kind).json_schema(ref_template=_REFERENCE, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    return schema
