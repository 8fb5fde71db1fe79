"""Answers as tables, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._answer import Json

_STYLE = "text-align: left; vertical-align: top"


def table(title: str, said: dict[str, Json]) -> str:
    """An answer: its members, one below the other."""
    return f"<table><caption>{escape(title)}</caption>{_members(said)}</table>"


def _members(said: dict[str, Json]) -> str:
    rows = (f'<tr><th style="{_STYLE}">{escape(name)}</th>{_cell(value)}</tr>' for name, value in said.items())
    return "<tbody>" + "".join(rows) + "</tbody>"


def _cell(value: Json) -> str:
    return f'<td style="{_STYLE}">{_shown(value)}</td>'


def _shown(value: Json) -> str:
    if isinstance(value, dict):
        return f"<table>{_members(value)}</table>" if value else ""
    if isinstance(value, list):
        objects = [item for item in value if isinstance(item, dict)]
        if objects and len(objects) == len(value):
            return _rows(objects)
        return ", ".join(_shown(item) for item in value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(str(value))


def _rows(items: list[dict[str, Json]]) -> str:
    """Objects that are alike, one in a row."""
    names = list(dict.fromkeys(name for item in items for name in item))
    head = "".join(f'<th style="{_STYLE}">{escape(name)}</th>' for name in names)
    rows = ("<tr>" + "".join(_cell(item.get(name)) for name in names) + "</tr>" for item in items)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
