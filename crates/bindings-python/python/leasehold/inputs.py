"""What questions take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

Instant: TypeAlias = datetime | int | float
"""A point in time: an aware `datetime`, or milliseconds since 1970. Without one, a question is about now."""

Trust: TypeAlias = str | Mapping[str, Any]
"""Whom to believe: issuer, environment, stream and root keys, as JSON text or as a mapping. From your configuration."""

SourceFile: TypeAlias = tuple[str, str | bytes]
"""A file of definitions: its name, by which mistakes in it are told, and what is in it."""

Definitions: TypeAlias = Mapping[str, Any] | Sequence[SourceFile]
"""Definitions as people write them: one document, or files."""

Inputs: TypeAlias = Mapping[str, bool | int | str | Sequence[str]]
"""What is known of an item, by the names of the inputs of guards."""

Side: TypeAlias = Literal["base", "ours", "theirs"]
"""Whose word counts in a conflict."""


class AddOnChange(TypedDict):
    """Units of an add-on."""

    key: str
    quantity: int


class Change(TypedDict, total=False):
    """What to suppose. All parts are supposed together."""

    plan: str
    """The tenant is on this plan from now on: one paid phase in place of all its phases."""
    version: int
    """A version of that plan; without it, the newest that a phase starting now gets."""
    add_ons: Sequence[AddOnChange]
    """Add-ons beside those that the tenant has."""
    without: Sequence[str]
    """Overrides that the tenant does not have, by id."""


class _Move(TypedDict):
    tenant: str
    """The tenant whose item moved."""


# `from` is a word of Python's, which a class cannot have as a member.
_Ends = TypedDict("_Ends", {"from": str, "to": str})


class LoggedMove(_Move, _Ends, total=False):
    """A move that was made: a line of a log. It names the stages `from` which and `to` which an item moved."""

    category: str
    """The item's service category, where it has one."""
    inputs: Inputs
    """What was known."""
    texts: Mapping[str, str]
    """Inputs as a table has them, to be read as the type that they are declared with: `true`, `12`, or `a;b`."""
    roles: Sequence[str]
    """The roles of whoever moved it."""
