"""Answers to pydantic: instances, which are written as their JSON. Loaded by pydantic alone."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic_core import CoreSchema, core_schema

from ._answer import Answer

_SCALARS: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    type(None): {"type": "null"},
}


def core(kind: type[Answer]) -> CoreSchema:
    return core_schema.is_instance_schema(
        kind, serialization=core_schema.plain_serializer_function_ser_schema(kind.to_dict)
    )


def json_schema(kind: type[Answer]) -> dict[str, Any]:
    """What the properties of a class say of its JSON."""
    properties: dict[str, Any] = {}
    for member in kind._members:
        # A name that Python reserves has a sign behind it.
        getter: property = getattr(kind, member, None) or getattr(kind, f"{member}_")
        properties[member] = _schema(get_type_hints(getter.fget)["return"])
    doc = (kind.__doc__ or "").partition("\n")[0]
    return {"title": kind.__name__, "description": doc, "type": "object", "properties": properties}


def _schema(hint: Any) -> dict[str, Any]:
    if isinstance(hint, type) and issubclass(hint, Answer):
        return json_schema(hint)
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        if any(get_origin(part) is dict for part in parts):
            # Any JSON: a union that names itself.
            return {}
        return {"anyOf": [_schema(part) for part in parts]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(parts[1])}
    return _SCALARS.get(cast(Any, hint), {})
