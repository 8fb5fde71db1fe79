"""Questions to an engine, and definitions that are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from leasehold import DefinitionsError, Engine, Instant, LeaseholdError, Tenant

from .answers import raised, said
from .vectors import (
    Outcome,
    Refused,
    answer_of,
    at_any,
    bytes_of,
    engine_of,
    exactly,
    fail,
    instants,
    only_keys,
    outcome,
    text,
    time,
)
from .workflow import ask_workflow

Args = Mapping[str, Any]


def ask(engine: Engine, call: str, args: Args) -> Outcome:
    """Asks the engine, in every way in which it can be asked; all must agree."""
    try:
        found = ask_workflow(engine, call, args)
        return _ask(engine, call, args) if found is None else found
    except Refused as refused:
        return Outcome(error=refused.error)


def _ask(engine: Engine, call: str, args: Args) -> Outcome:
    now = time(args.get("now"))
    action = args.get("action")
    if call in ("diff", "changes"):
        newer, older = engine_of(text(args, "other")).snapshot(), engine.snapshot()
        return at_any(now, lambda now: newer.diff(older, now) if call == "diff" else newer.changes(older, now))
    tenant = text(args, "tenant")

    def held() -> Tenant:
        return engine.tenant(tenant)

    if call == "is_enabled":
        found = _is_enabled(engine, tenant, text(args, "feature"), now, action)
        return Outcome({"value": answer_of(found)})
    if call == "is_enabled_or":
        return Outcome({"value": answer_of(_is_enabled_or(engine, tenant, text(args, "feature"), now, args))})
    if call == "decide":
        feature = text(args, "feature")
        decision = at_any(now, lambda now: held().decide(feature, now, action=action))
        enabled = _is_enabled(engine, tenant, feature, now, action)
        if decision.error is None:
            # What is no switch is decided, and is not enabled or disabled.
            is_switch = enabled.error is None or enabled.error["code"] != "wrong_kind"
            assert not is_switch or enabled.answer is decision.answer["enabled"]
        return decision
    if call == "value":
        feature = text(args, "feature")
        found = at_any(now, lambda now: held().value(feature, now))
        return Outcome({"value": answer_of(found)})
    if call == "check_limit":
        feature, used, requested = text(args, "feature"), args["used"], args["requested"]
        return at_any(now, lambda now: held().check_limit(feature, used, requested, now))
    if call == "entitlements":
        return at_any(now, lambda now: held().entitlements(now))
    if call == "answer_table":
        table = at_any(now, lambda now: held().answer_table(now, action=action))
        for key, on in (table.answer or {"answers": {}})["answers"].items():
            assert _is_enabled(engine, tenant, key, now, action) == Outcome(on), key
        return table
    if call == "evaluate":
        feature = text(args, "feature")
        return at_any(now, lambda now: held().evaluate(feature, now))
    if call == "evaluate_all":
        every = at_any(now, lambda now: held().evaluate_all(now))
        for flag in (every.answer or {"flags": []})["flags"]:
            assert exactly(held().evaluate(flag["key"], now).to_dict()) == exactly(flag)
        return every
    if call == "explain":
        feature = text(args, "feature")
        explained = at_any(now, lambda now: held().explain(feature, now, action=action))
        decided = outcome(lambda: held().decide(feature, now, action=action))
        assert decided.error == explained.error
        assert decided.answer == (explained.answer and explained.answer["decision"]), "`explain` and `decide` differ"
        return explained
    if call == "what_if":
        change, usage = args.get("change", {}), args.get("usage")
        only_keys(change, ["plan", "version", "add_ons", "without"], "change")
        return at_any(now, lambda now: held().what_if(change, usage, now))
    if call == "diff_tenants":
        other = text(args, "other")
        return at_any(
            now,
            lambda now: engine.snapshot().diff_tenants(tenant, other, now),
            lambda now: held().diff(other, now),
            lambda now: held().diff(engine.tenant(other), now),
        )
    return fail(f"unknown call `{call}`")


def _is_enabled(engine: Engine, tenant: str, feature: str, now: int, action: Any) -> Outcome:
    """What everybody says who can be asked whether a switch is on: by id, by handle, among many."""

    def many(now: Instant) -> bool:
        [[first, second]] = engine.is_enabled_many([tenant], [feature, feature], now)
        assert first is second
        return first

    ways: list[Callable[[Instant], bool]] = [
        lambda now: engine.is_enabled(tenant, feature, now, action=action),
        lambda now: engine.tenant(tenant).is_enabled(feature, now, action=action),
    ]
    if action in (None, "use"):
        ways += [many, lambda now: engine.tenant(tenant).is_enabled(feature, now)]
    return at_any(now, *ways)


def _is_enabled_or(engine: Engine, tenant: str, feature: str, now: int, args: Args) -> Outcome:
    otherwise = args["default"]
    ways: list[Callable[[Instant], bool]] = [lambda now: engine.is_enabled_or(tenant, feature, otherwise, now)]
    if outcome(lambda: engine.tenant(tenant).id).error is None:
        ways.append(lambda now: engine.tenant(tenant).is_enabled_or(feature, otherwise, now))
    return at_any(now, *ways)


def build(args: Args) -> Outcome:
    """What is found in definitions."""
    files = [(name, bytes_of(content)) for name, content in args["files"].items()]
    issued_at = time("2026-03-10T12:00:00Z")

    def brief(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: one[key] for key in ("file", "path", "code")} for one in found]

    answers: list[Outcome] = []
    for at in instants(issued_at):
        try:
            warnings = said(Engine.from_definitions(files, issued_at=at).snapshot().warnings())
            answers.append(Outcome({"errors": [], "warnings": brief(warnings)}))
        except DefinitionsError as error:
            answers.append(Outcome({"errors": brief(raised(error)["diagnostics"]), "warnings": []}))
        except LeaseholdError as error:
            return fail(f"{error!r} is not what is wrong with definitions")
    assert all(answer == answers[0] for answer in answers)
    return answers[0]
