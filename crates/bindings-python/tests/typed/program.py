"""A program of a user's, for type checkers: nobody runs it. Whatever the package offers is used as it is meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Literal

from leasehold import (
    AmountOutOfRangeError,
    Change,
    Content,
    DefinitionsError,
    Engine,
    Hearing,
    HttpSource,
    Inputs,
    Instant,
    LeaseholdError,
    LoggedMove,
    Machine,
    Snapshot,
    SnapshotError,
    Source,
    SourceFile,
    Tenant,
    TimedOutError,
    TransitionError,
    Trust,
    aio,
    documents,
)
from leasehold.answers import (
    Access,
    Allowed,
    AnswerTable,
    Blocker,
    Changes,
    Considered,
    CoveringPaths,
    Decision,
    Diagnostic,
    Difference,
    Entitlements,
    Evaluation,
    Evaluations,
    Explanation,
    FaultSeen,
    FleetDiff,
    Freshness,
    Health,
    Json,
    Kind,
    LimitAnswer,
    LimitOutcome,
    MachineAbout,
    MoveExplanation,
    Reason,
    Replay,
    SnapshotAbout,
    TransitionAnswer,
    Upgrade,
    VersionComparison,
    WhatIf,
)
from typing_extensions import assert_type

TRUST: Trust = Path("trust.json").read_text()


class Feature(str, Enum):
    """Keys as an enumeration, which is as good as texts."""

    INVOICES = "pdf_invoices"
    USERS = "max_users"


# Beginnings.

pack = Path("oman.pack").read_bytes()
files: list[SourceFile] = [("features.json", b"{}"), ("tenants.json", "{}")]
engine = Engine.from_pack(pack, TRUST, stream="GCC-OM")
assert_type(engine, Engine)
assert_type(Engine.from_definitions({"features": {}}, revision=3, issued_at=datetime.now(timezone.utc)), Engine)
assert_type(Engine.from_definitions(files, expires_at=1_800_000_000_000), Engine)
assert_type(Engine.from_directory(Path("snapshots"), {"issuer": "hq.example"}), Engine)
assert_type(Engine.from_last_known_good("kept", TRUST), Engine)
assert_type(Engine(Snapshot.from_pack(pack, TRUST)), Engine)


class Shelf(Source):
    """A source of one's own."""

    def head(self, stream: str, known: str | None) -> bytes | None:
        return None if known else b""

    def content(self, hash: str, length: int) -> Content | None:
        return Content("zstd", b"")


def follow() -> None:
    with Engine.follow(
        url="https://hq.example", token="t", trust=TRUST, engine_id="orders-1", keep=Path("kept"), poll_ms=5_000
    ) as one:
        assert_type(one, Engine)
        assert_type(one.health(), Health | None)
        assert_type(one.hearing, Hearing | None)
        assert_type(one.wait_for(7, timeout_ms=1_000), int)
        remove = one.on_change(told)
        assert_type(remove, Callable[[], None])
        one.on_change(lambda changes: changes.revision.to)
        one.on_fault(failed)
        assert_type(one.closed, bool)
    Engine.follow(trust=TRUST, source=Shelf()).close()
    Engine.follow(trust=TRUST, source=HttpSource("https://hq.example", "t", "GCC-OM", answer_ms=5_000)).close()
    Engine.follow(trust=TRUST, url="https://hq.example", token="t", http={"silence_ms": 20_000}).close()


def told(changes: Changes) -> None:
    assert_type(changes.revision.from_, int)
    for group in changes.groups:
        assert_type(group.features, tuple[str, ...])
    assert_type(changes.added, tuple[str, ...])


def failed(fault: FaultSeen) -> None:
    print(f"{fault.at:%H:%M} {fault.code} at {fault.stage}: {fault.message}")


# Questions.


def ask(tenant: Tenant, now: Instant | None = None) -> None:
    assert_type(tenant.id, str)
    assert_type(tenant.is_enabled(Feature.INVOICES), bool)
    assert_type(tenant.is_enabled("pdf_invoices", 1_700_000_000_000.5, action="read"), bool)
    assert_type(tenant.is_enabled_or("pdf_invoices", False, now), bool)
    decision = tenant.decide("pdf_invoices", now)
    assert_type(decision, Decision)
    assert_type(decision.reason, Reason)
    assert_type(decision.revision, int)
    assert_type(tenant.value("theme"), Json)
    answer = tenant.check_limit(Feature.USERS, 3, 1)
    assert_type(answer, LimitAnswer)
    assert_type(answer.outcome, LimitOutcome)
    assert_type(answer.remaining, int | None)
    assert_type(answer.resets_at, datetime | None)
    assert_type(answer.to_dict(), dict[str, Json])
    table = tenant.answer_table(now, action="use")
    assert_type(table, AnswerTable)
    assert_type(table.answers, Mapping[str, bool])
    assert_type(table.from_, datetime | None)
    difference = tenant.diff("om-salalah-dry", now)
    assert_type(difference, Difference)
    if difference.access is not None:
        assert_type(difference.access.to, Access)
    assert_type(tenant.diff(tenant), Difference)
    assert_type(tenant.evaluate("pdf_invoices"), Evaluation)
    assert_type(tenant.evaluate_all(), Evaluations)
    print({decision: 1}, decision == decision, repr(decision))


def look(tenant: Tenant) -> None:
    entitlements = tenant.entitlements()
    assert_type(entitlements, Entitlements)
    assert_type(entitlements.plan, str | None)
    assert_type(entitlements.limits, Mapping[str, int | None])
    assert_type(entitlements.values, Mapping[str, Json])
    assert_type(entitlements.access, Access)
    explanation = tenant.explain("pdf_invoices")
    assert_type(explanation, Explanation)
    assert_type(explanation.contributions, tuple[Considered, ...])
    for contribution in explanation.contributions:
        assert_type(contribution.from_, datetime | None)
        print(contribution.layer, contribution.verdict, contribution.by or "")
    change: Change = {"plan": "growth", "add_ons": [{"key": "extra_user", "quantity": 2}], "without": ["pilot"]}
    what_if = tenant.what_if(change, {"max_users": 5}, datetime.now(timezone.utc))
    assert_type(what_if, WhatIf)
    assert_type(what_if.gained, tuple[str, ...])
    assert_type(tenant.what_if({}), WhatIf)


def many(one: Engine) -> dict[str, bool]:
    tenants = ("om-muscat-sparkle", "om-salalah-dry")
    rows = one.is_enabled_many(tenants, (key for key in ["pdf_invoices"]))
    assert_type(rows, list[list[bool]])
    assert_type(one.is_enabled("om-muscat-sparkle", "pdf_invoices"), bool)
    return {tenant: row[0] for tenant, row in zip(tenants, rows, strict=True)}


# Workflows.


def move(tenant: Tenant) -> None:
    machine = tenant.machine("order", "dry_cleaning")
    assert_type(machine, Machine)
    about = machine.about
    assert_type(about, MachineAbout)
    assert_type([stage.stage for stage in about.stages], list[str])
    inputs: Inputs = {"paid": True, "pieces": 3, "photos": ["front", "back"], "note": "fragile"}
    assert_type(machine.transitions("ready", inputs=inputs, roles={"cashier"}), tuple[TransitionAnswer, ...])
    assert_type(machine.explain("ready", "closed", inputs=inputs), MoveExplanation)
    assert_type(machine.covering_paths(), CoveringPaths)
    assert_type(machine.picture("svg", language="ar", current="ready", against=machine), str)
    assert_type(tenant.transitions("order", "ready", category="dry_cleaning"), tuple[TransitionAnswer, ...])
    try:
        allowed = tenant.check_transition("order", "ready", "closed", inputs=inputs, roles=["cashier"])
        assert_type(allowed, Allowed)
        assert_type(machine.check("ready", "closed").event, str)
    except TransitionError as error:
        assert_type(error.blockers, tuple[Blocker, ...])
        print([blocker.expected for blocker in error.blockers])


# Snapshots.


def compare(older: Snapshot, newer: Snapshot) -> None:
    about = newer.about
    assert_type(about, SnapshotAbout)
    assert_type(about.issued_at, datetime)
    assert_type(about.features, Mapping[str, Kind])
    assert_type(about.workflows, tuple[str, ...])
    assert_type(newer.revision, int)
    assert_type(newer.tenant_ids(), list[str])
    assert_type(newer.warnings(), tuple[Diagnostic, ...])
    assert_type(newer.freshness(), Freshness)
    assert_type(newer.diff(older), FleetDiff)
    assert_type(newer.changes(older), Changes)
    assert_type(newer.diff_tenants("a", "b"), Difference)
    assert_type(newer.compare_versions("order", 1, 2), VersionComparison)
    upgrade = newer.upgrade("a", "order", 2, "theirs")
    assert_type(upgrade, Upgrade)
    assert_type(upgrade.from_, int)
    log: list[LoggedMove] = [{"tenant": "a", "from": "ready", "to": "closed", "inputs": {"paid": True}}]
    assert_type(newer.replay("order", 2, log), Replay)
    engine.swap(newer)


# Errors.


def act(tenant: Tenant) -> str:
    try:
        tenant.check_limit("max_users", 3, 1)
    except AmountOutOfRangeError as error:
        return error.code
    except DefinitionsError as error:
        return error.diagnostics[0].path
    except SnapshotError as error:
        return f"{error.stage} {error.item}"
    except TimedOutError:
        return "later"
    except LeaseholdError as error:
        assert_type(error.code, str)
    return "done"


# Documents, asyncio.

assert_type(documents.canonical_form({"a": [1, None]}), str)
assert_type(documents.hash_of(b""), str)
assert_type(documents.verify_head(b"", TRUST).stream, str)
assert_type(documents.merge({}, {"a": 1}, {}).result, Json)
form: Literal["mermaid", "dot", "svg"] = "dot"


async def run() -> None:
    one = await aio.follow(url="https://hq.example", token="t", trust=TRUST)
    assert_type(one, Engine)
    assert_type(await aio.wait_for(one, 7), int)

    async def heard(changes: Changes) -> None:
        print(changes.added)

    aio.on_change(one, heard)()
    aio.on_fault(one, failed)()
    async for changes in aio.changes(one):
        assert_type(changes, Changes)
    await aio.close(one)


asyncio.run(run())
