"""Answers as tables, for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = "text-align: left; vertical-align: top"


def table(title: str, said: dict[str, Any]) -> str:
    """An answer: its members, one below the other."""
    return f"<table><caption>{escape(title)}</caption>{_members(said)}</table>"


def _members(said: dict[str, Any]) -> str:
    rows = (f'<tr><th style="{_STYLE}">{escape(name)}</th>{_cell(value)}</tr>' for name, value in said.items())
    return "<tbody>" + "".join(rows) + "</tbody>"


def _cell(value: Any) -> str:
    return f'<td style="{_STYLE}">{_shown(value)}</td>'


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        said: dict[str, Any] = value
        return f"<table>{_members(said)}</table>" if said else ""
    if isinstance(value, list):
        items: list[Any] = value
        if items and all(isinstance(item, dict) for item in items):
            return _rows(items)
        return ", ".join(_shown(item) for item in items)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(str(value))


def _rows(items: list[dict[str, Any]]) -> str:
    """Objects that are alike, one in a row."""
    names = list(dict.fromkeys(name for item in items for name in item))
    head = "".join(f'<th style="{_STYLE}">{escape(name)}</th>' for name in names)
    rows = ("<tr>" + "".join(_cell(item.get(name)) for name in names) + "</tr>" for item in items)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
