"""Runs every conformance vector of `tests/conformance`, and fails on what it does not know."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from conformance.answers import ALL, SEEN, said
from conformance.documents import ask_documents
from conformance.engine import ask, build
from conformance.following import follow
from conformance.vectors import FOLDER, engine_of, fail, only_keys, read, text, time, wrong
from conformance.workflow import ask_no_pack
from leasehold import Engine
from leasehold._answer import Answer
from leasehold.answers import WhatIfAccess

INDEX = read("index.json")
FILE_KEYS = ["about", "pack", "documents", "cases"]
CASE_KEYS = ["id", "rule", "needs", "call", "args", "expect", "error"]
CAPABILITIES = ["build", "rhai", "zstd"]
"""What a case may need: this runtime lacks none of it. A case that needs anything else fails."""
IN_PATCHES = {"GuardBinding", "GuardBindingChange", "Stage", "StageChange", "Transition", "TransitionChange"}
"""What operations of patches have in them. Those are given as JSON, so that no answer is of these classes."""


class Run:
    """What was found wrong, by file, and how many cases there were."""

    def __init__(self) -> None:
        self.cases: dict[str, int] = {}
        self.wrong: dict[str, list[str]] = {}
        for listed in INDEX["files"]:
            file = listed["file"]
            found = outcomes(file)
            self.cases[file] = len(found)
            self.wrong[file] = [what for what in found if what is not None]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_the_index_is_known() -> None:
    only_keys(INDEX, ["version", "capabilities", "files"], "index.json")
    assert INDEX["version"] == 1
    assert INDEX["capabilities"] == CAPABILITIES, "this runner does not know what vectors may need"
    listed = {"index.json", "trust.json", "vectors.schema.json", *(one["file"] for one in INDEX["files"])}
    assert {path.name for path in FOLDER.glob("*.json")} == listed, "`index.json` lists other files than there are"


@pytest.mark.parametrize(("file", "cases"), [(one["file"], one["cases"]) for one in INDEX["files"]])
def test_every_vector(run: Run, file: str, cases: int) -> None:
    assert run.cases[file] == cases, f"{file} has lost or gained cases: correct `index.json`"
    found = run.wrong[file]
    assert not found, f"{len(found)} of {cases} failed:\n" + "\n".join(found)


def test_none_was_skipped(run: Run) -> None:
    assert sum(run.cases.values()) >= 2_000


def test_every_class_of_answers_was_looked_at(run: Run) -> None:
    assert len(run.cases) > 0
    for answer in others():
        said(answer)
    assert {kind.__name__ for kind in ALL - SEEN} == IN_PATCHES


def others() -> Iterator[Answer]:
    """Answers that no vector asks for."""
    now = time("2026-03-10T12:00:00Z")
    fixture = read("fixtures/access.json")["definitions"]
    older = Engine.from_definitions(fixture, issued_at=now).snapshot()
    fixture["tenants"]["free"]["blocks"] = fixture["tenants"]["suspended"]["blocks"]
    newer = Engine.from_definitions(fixture, issued_at=now).snapshot()
    assert Engine(newer).tenant("free").explain("orders", now).decision.block == "suspended"
    yield older.diff_tenants("free", "suspended", now)
    yield newer.diff(older, now)
    yield newer.changes(older, now)
    fixture = read("fixtures/shop.json")["definitions"]
    older = Engine.from_definitions(fixture, issued_at=now).snapshot()
    fixture["tenants"]["t1"]["phases"]["p1"]["plan"] = "growth"
    yield Engine.from_definitions(fixture, issued_at=now).snapshot().diff(older, now)
    fixture["features"]["max_orders"] |= {"window": "day", "unit": "parcel"}
    yield Engine.from_definitions(fixture, issued_at=now).snapshot().diff(older, now)
    # No plan and no add-on comes with a block, so far.
    yield WhatIfAccess({"from": "full", "to": "none"})


def outcomes(file: str) -> list[str | None]:
    """Of each case of a file what is wrong with it, or nothing."""
    content = read(file)
    only_keys(content, FILE_KEYS, file)
    pack = content.get("pack")
    engine = None if pack is None else engine_of(pack)
    documents = content.get("documents", {})
    ids: set[str] = set()
    found: list[str | None] = []
    for case in content["cases"]:
        name = text(case, "id")
        assert name not in ids, f"{file} has two cases `{name}`"
        ids.add(name)
        try:
            what = outcome_of(case, engine, documents)
        except Exception:
            what = traceback.format_exc()
        found.append(None if what is None else f"  {file} {name}: {what}")
    return found


def outcome_of(case: Mapping[str, Any], engine: Engine | None, documents: Mapping[str, Any]) -> str | None:
    only_keys(case, CASE_KEYS, "case")
    for need in case.get("needs", ()):
        assert need in CAPABILITIES, f"unknown capability {need}"
    call, args = text(case, "call"), case["args"]
    if call == "follow":
        return follow(args, documents)
    if call == "build":
        return wrong(build(args), case)
    found = ask_documents(call, args) or ask_no_pack(call, args, documents)
    if found is None:
        found = ask(engine or fail("it has no pack, or an unknown call"), call, args)
    return wrong(found, case)
