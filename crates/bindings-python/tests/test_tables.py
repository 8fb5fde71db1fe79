"""Answers as notebooks show them: every member is there, and nothing in them is taken for markup."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from conformance.vectors import engine_of, time
from leasehold import Engine, Tenant
from leasehold._answer import Answer
from leasehold.answers import Difference, Entitlements, Explanation

NOW = time("2026-03-10T12:00:00Z")

EVIL = "<script>alert(1)</script> & \"quoted\" 'single' <b>bold</b>"

Table = dict[str, Any]


class Reader(HTMLParser):
    """Reads a table, cell by cell; fails where tags do not fit together."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._texts: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[tuple[str, int, str]] = []
        """Tag, depth and text of each cell, in the order in which they end."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self._texts.append("")
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "tags do not fit together"
        text = self._texts.pop()
        if tag in ("th", "td", "caption"):
            self.cells.append((tag, self._open.count("table"), text))

    def handle_data(self, data: str) -> None:
        self._texts[-1] += data

    def finished(self) -> Reader:
        self.close()
        assert self._open == []
        return self

    def texts(self) -> list[str]:
        return [text for _, _, text in self.cells]


def read(answer: Answer) -> Reader:
    reader = Reader()
    reader.feed(answer._repr_html_())
    reader.finished()
    assert reader.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert reader.attributes <= {"style"}
    assert reader.cells.count(("caption", 1, type(answer).__name__)) == 1
    return reader


@pytest.fixture
def tenant() -> Tenant:
    label = {"name": "N", "name2": "ن"}
    place = {**label, "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z"}
    override = {"feature": "theme", "op": "set", "value": EVIL, "reason": EVIL, "actor": EVIL}
    features: dict[str, Any] = {
        "light": {"kind": "switch", "group": "module", "default": True, **label},
        "theme": {"kind": "value", "group": "settings", "type": "string", "default": "plain", **label},
        "max_users": {"kind": "limit", "group": "limits", "unit": "user", "default": {"amount": 5}, **label},
    }
    tenants = {"t": {**place, "overrides": {"o1": override}}, "other": place}
    return Engine.from_definitions({"features": features, "tenants": tenants}).tenant("t")


def leaves(said: Any) -> Iterator[str]:
    """What of an answer stands in cells of its own, or beside others in one."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield name
            yield from leaves(value)
    elif isinstance(said, list):
        for item in said:
            yield from leaves(item)
    elif isinstance(said, bool):
        yield "yes" if said else "no"
    elif said is not None:
        yield str(said)


def test_entitlements_are_shown_with_their_limits_and_values(tenant: Tenant) -> None:
    entitlements = tenant.entitlements(NOW)
    assert isinstance(entitlements, Entitlements)
    texts = read(entitlements).texts()
    assert texts[texts.index("max_users") + 1] == "5"
    assert texts[texts.index("modules") + 1] == "light"
    assert texts[texts.index("theme") + 1] == EVIL
    assert texts[texts.index("access") + 1] == "full"
    assert texts[texts.index("plan") + 1] == "–"


def test_explanations_have_a_row_for_each_contribution(tenant: Tenant) -> None:
    explanation = tenant.explain("theme", NOW)
    assert isinstance(explanation, Explanation)
    reader = read(explanation)
    contributions = explanation.to_dict()["contributions"]
    assert isinstance(contributions, list)
    assert len(contributions) == 2
    html = explanation._repr_html_()
    inner = html[html.index("contributions") :]
    assert inner[: inner.index("</table>")].count("<tr>") == 1 + len(contributions)
    assert reader.texts().count(EVIL) >= 3, "its value, its reason and its author"
    assert {"applied", "beaten", "layer", "verdict", "o1"} <= set(reader.texts())


def test_differences_are_shown(tenant: Tenant) -> None:
    difference = tenant.diff("other", NOW)
    assert isinstance(difference, Difference)
    texts = read(difference).texts()
    assert texts[-2:] == [EVIL, "plain"] or {EVIL, "plain", "theme"} <= set(texts)
    assert texts[texts.index("gained") + 1] == ""


def test_every_answer_shows_all_that_it_says(tenant: Tenant) -> None:
    shop = engine_of("shop").tenant("t1")
    guards = engine_of("guards").tenant("t").machine("guards")
    answers: list[Answer] = [
        tenant.entitlements(NOW),
        tenant.explain("theme", NOW),
        tenant.diff("other", NOW),
        tenant.evaluate_all(NOW),
        shop.explain("delivery", NOW),
        shop.what_if({"plan": "growth"}, {"max_users": 5}, NOW),
        shop.diff("t2", NOW),
        shop.check_limit("max_users", 3, 2, NOW),
        engine_of("shop_v2").snapshot().diff(engine_of("shop").snapshot(), NOW),
        guards.explain("start", "integer_equal", inputs={"n": 4}),
        guards.about,
    ]
    for answer in answers:
        shown = "\n".join(read(answer).texts())
        missing = [leaf for leaf in leaves(answer.to_dict()) if leaf not in shown]
        assert missing == [], type(answer).__name__
        # As a table, and not as Python writes it.
        assert "({" not in shown, type(answer).__name__


def test_markup_is_text(tenant: Tenant) -> None:
    for answer in (tenant.entitlements(NOW), tenant.explain("theme", NOW), tenant.diff("other", NOW)):
        html = answer._repr_html_()
        assert "<script" not in html
        assert "<b>" not in html
        assert "&lt;script&gt;" in html
        assert "&amp;" in html
        assert EVIL in read(answer).texts()
    # Names are as little to be trusted as values.
    named = tenant.explain("theme", NOW).to_dict()
    assert "<i>" not in Explanation({**named, "<i>": {"<i>": [{"<i>": "<i>"}, {}]}})._repr_html_()
