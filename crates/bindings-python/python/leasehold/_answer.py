"""What all answers are: JSON that does not change, with a property for each member."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, TypeAlias, Union

from ._table import table

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]
"""Any JSON."""


class Answer:
    """An answer. It does not change; `to_dict` gives it as the JSON that every language has."""

    __slots__ = ("_said",)
    _said: dict[str, Any]
    _members: ClassVar[tuple[str, ...]] = ()

    def __init__(self, said: dict[str, Any]) -> None:
        object.__setattr__(self, "_said", said)

    def to_dict(self) -> dict[str, Json]:
        """The answer as JSON has it, to be written or changed."""
        copy: dict[str, Json] = json.loads(json.dumps(self._said))
        return copy

    def _others(self) -> Mapping[str, Any]:
        return MappingProxyType({name: value for name, value in self._said.items() if name not in self._members})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an answer does not change: `to_dict` gives one that does, and `{name}` is not set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an answer does not change: `to_dict` gives one that does, and `{name}` is not deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer) or type(other) is not type(self):
            return NotImplemented
        # To Python, `1 == True`; to JSON they are two things.
        return self._said == other._said and self._text() == other._text()

    def __hash__(self) -> int:
        return hash(self._text())

    def _text(self) -> str:
        return json.dumps(self._said, sort_keys=True)

    def __repr__(self) -> str:
        members = ", ".join(f"{name}={value!r}" for name, value in self._said.items())
        return f"{type(self).__name__}({members})"

    def __reduce__(self) -> tuple[type[Answer], tuple[dict[str, Any]]]:
        return type(self), (self._said,)

    def _repr_html_(self) -> str:
        return table(type(self).__name__, self._said)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from ._pydantic import core

        return core(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: object, _handler: object) -> dict[str, Any]:
        from ._pydantic import json_schema

        return json_schema(cls)


NEW = object.__new__
"""Makes an answer for the native part, which then puts into it what is said."""
PUT = Answer.__dict__["_said"].__set__

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""What milliseconds are counted from."""


def _datetime(text: str) -> datetime:  # pyright: ignore[reportUnusedFunction]
    """An instant. Python's calendar begins with the year 1: what is before it reads as its beginning."""
    if text.startswith("0000"):
        return datetime.min.replace(tzinfo=timezone.utc)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
