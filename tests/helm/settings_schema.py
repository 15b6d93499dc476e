"""Generates the part of helm/zmban/values.schema.json about zmban.toml from sidecar/settings/schema.py.

    .venv/bin/python -m tests.helm.settings_schema    writes it

Types, choices and bounds come from the annotations. A type that a function of ours parses is in `_PARSED`, because no
annotation says what it takes; a new one fails here until it is added.
"""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sidecar.network import Network
from sidecar.settings import Settings
from sidecar.settings.notify_urls import SmtpServer, WebhookUrl

FILE = Path(__file__).parents[2] / "helm/zmban/values.schema.json"
# The chart sets [serve] itself: the probes and the Service must find it.
LEFT_OUT = {"serve"}
Schema = dict[str, Any]

_PATH_OR_NONE: Schema = {"$ref": "#/definitions/pathOrNone"}
_PARSED: dict[tuple[str, str], Schema] = {
    # 0, 253 and 255 are refused by templates/_refusals.tpl, with the cure.
    ("kernel", "table"): {
        "anyOf": [{"const": "main"}, {"type": "integer", "minimum": 0, "maximum": 4294967295}]
    },
    ("kernel", "preference"): {"type": "integer", "minimum": 1, "maximum": 32765},
    ("notify", "mail_to"): {"type": "array", "items": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"}},
    ("notify", "mail_from"): {"type": "string", "pattern": "^([^@\\s]+@[^@\\s]+)?$"},
    ("notify", "webhooks_file"): _PATH_OR_NONE,
    ("notify", "smtp_password_file"): _PATH_OR_NONE,
    ("notify", "ca_file"): _PATH_OR_NONE,
    ("report", "at"): {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"},
    ("report", "directory"): _PATH_OR_NONE,
    ("cluster", "url"): {
        "type": "string",
        "pattern": "^((redis|rediss)(\\+(sentinel|cluster))?://[^@?#\\s]+)?$",
    },
    ("cluster", "password_file"): _PATH_OR_NONE,
    ("cluster", "ca_file"): _PATH_OR_NONE,
    ("cluster", "cert_file"): _PATH_OR_NONE,
    ("cluster", "cert_key_file"): _PATH_OR_NONE,
    ("cluster", "key_file"): _PATH_OR_NONE,
    ("cluster", "shared_key_file"): _PATH_OR_NONE,
    ("cluster", "trust"): {"type": "array", "items": {"type": "string", "pattern": "^[^=\\s]+=ed25519:"}},
    ("domains", "directory"): _PATH_OR_NONE,
    ("domains", "protect"): {
        "type": "array",
        "items": {"type": "string", "pattern": "^[^\\s@/.*]+(\\.[^\\s@/.*]+)+\\.?$"},
    },
}
_CLASSES: dict[type, Schema] = {
    # The form is refused by templates/_refusals.tpl, with the cure.
    Network: {"type": "string", "minLength": 1},
    SmtpServer: {"type": "string", "pattern": "^(smtps?|smtp\\+starttls)://[^\\s/]+/?$"},
    WebhookUrl: {"type": "string", "pattern": "^((slack|matrix)\\+)?https?://[^\\s/]+"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
}


def generated() -> Schema:
    """The schema of the value `settings`."""
    return {
        "$comment": "Generated from sidecar/settings/schema.py: .venv/bin/python -m tests.helm.settings_schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: _section(name, field.annotation)
            for name, field in Settings.model_fields.items()
            if name not in LEFT_OUT
        },
    }


def _section(name: str, kind: Any) -> Schema:
    assert issubclass(kind, BaseModel)
    properties = {key: _of_field(name, key, field) for key, field in kind.model_fields.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _of_field(section: str, key: str, field: FieldInfo) -> Schema:
    if parsed := _PARSED.get((section, key)):
        return parsed
    return _of_type(field.annotation) | _bounds(field.metadata)


def _of_type(kind: Any) -> Schema:
    """The schema of an annotation. TypeError for one that nobody has described."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return _of_type(arguments[0]) | _bounds(kind.__metadata__)
    if get_origin(kind) is Literal:
        return {"enum": list(arguments)}
    if get_origin(kind) in (tuple, list):
        return {"type": "array", "items": _of_type(arguments[0])}
    if get_origin(kind) in (Union, types.UnionType):
        return {"anyOf": [_of_type(one) for one in arguments]}
    if kind in _CLASSES:
        return dict(_CLASSES[kind])
    raise TypeError(f"{kind}: describe it in tests/helm/settings_schema.py")


def _bounds(metadata: Any) -> Schema:
    names = {
        Ge: ("minimum", "ge"),
        Le: ("maximum", "le"),
        Gt: ("exclusiveMinimum", "gt"),
        Lt: ("exclusiveMaximum", "lt"),
    }
    found: Schema = {}
    for one in metadata:
        # Field(...) inside Annotated holds its bounds in turn.
        found |= _bounds(one.metadata) if isinstance(one, FieldInfo) else {}
        if type(one) in names:
            word, attribute = names[type(one)]
            found[word] = getattr(one, attribute)
    return found


def main() -> None:
    """Write it into the file of the chart."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    schema["properties"]["settings"] = generated()
    FILE.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
