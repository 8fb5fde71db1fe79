"""Questions about workflows: machines, what they answer, versions, merges, and what would have been."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from leasehold import DefinitionsError, Engine, Machine
from leasehold.documents import canonical_form, hash_of, merge

from .answers import raised, said
from .vectors import (
    Outcome,
    agreed,
    answer_of,
    bytes_of,
    exactly,
    fail,
    only_keys,
    outcome,
    plain,
    plain_blocker,
    text,
    time,
)

Args = Mapping[str, Any]
Json = Any


def ask_no_pack(call: str, args: Args, documents: Mapping[str, Any]) -> Outcome | None:
    """The outcome of a question that asks no pack; nothing where the call is another."""
    if call == "merge":
        return outcome(lambda: _merged(args))
    if call == "upgraded":
        return _upgraded(args, documents)
    return None


def ask_workflow(engine: Engine, call: str, args: Args) -> Outcome | None:
    """The outcome of a question about workflows; nothing where the call is another."""
    question = _CALLS.get(call)
    return None if question is None else outcome(lambda: question(engine, args))


def _machine_of(engine: Engine, args: Args) -> Machine:
    """The machine, made and taken from the cache; all must be the same."""
    tenant, workflow = text(args, "tenant"), text(args, "workflow")

    def made() -> Machine:
        return engine.tenant(tenant).machine(workflow, args.get("category"))

    answer_of(agreed([lambda: _brief(made())] * 3))
    return made()


def _brief(machine: Machine) -> Json:
    first = machine.about.stages[0].stage if machine.about.stages else ""
    return [machine.about.to_dict(), [one.to_dict() for one in machine.transitions(first)]]


def _plain_blockers(answer: Json) -> Json:
    return {**answer, "blockers": [plain_blocker(one) for one in answer.get("blockers", ())]}


def _shape(machine: Machine) -> Json:
    about = said(machine.about)
    stages = about["stages"]
    transitions = said(machine.transitions(stages[0]["stage"] if stages else ""))
    shown = [
        {key: value for key, value in plain(one, {"role": None}).items() if key not in ("state", "blockers")}
        for one in transitions
    ]
    inputs = [[one["name"], one["type"]] for one in about["inputs"]]
    return {**about, "transitions": shown, "inputs": inputs}


def _context(args: Args) -> dict[str, Any]:
    """The context of a question: `inputs`, those too long to be written out, and `roles`."""
    inputs = dict(args.get("inputs", {}))
    for name, long in args.get("long_inputs", {}).items():
        if "items" in long:
            only_keys(long, ["items", "times"], name)
            inputs[name] = [long["items"]] * long["times"]
        else:
            inputs[name] = bytes_of(long).decode()
    return {"inputs": inputs, "roles": args.get("roles", [])}


def _transitions(engine: Engine, args: Args) -> Json:
    stage, context = text(args, "stage"), _context(args)
    machine, tenant = _machine_of(engine, args), engine.tenant(text(args, "tenant"))
    workflow, category = text(args, "workflow"), args.get("category")
    answers = answer_of(
        agreed(
            [
                lambda: machine.transitions(stage, **context),
                lambda: tenant.transitions(workflow, stage, **context, category=category),
            ]
        )
    )
    return {"transitions": [_plain_blockers(plain(answer, {"role": None})) for answer in answers]}


def _check(engine: Engine, args: Args) -> Json:
    start, end, context = text(args, "from"), text(args, "to"), _context(args)
    machine, tenant = _machine_of(engine, args), engine.tenant(text(args, "tenant"))
    workflow, category = text(args, "workflow"), args.get("category")
    checked = agreed(
        [
            lambda: machine.check(start, end, **context),
            lambda: tenant.check_transition(workflow, start, end, **context, category=category),
        ]
    )
    # Both say the same, in different words.
    explained = outcome(lambda: machine.explain(start, end, **context))
    if explained.error is None:
        assert explained.answer.get("allowed") == (checked.answer and checked.answer["transition"])
    return machine.check(start, end, **context)


def _explain(engine: Engine, args: Args) -> Json:
    machine = _machine_of(engine, args)
    explained = said(machine.explain(text(args, "from"), text(args, "to"), **_context(args)))

    def shown(transition: Json) -> Json:
        guards = [_plain_blockers(plain(guard, {"settings": {}})) for guard in transition["guards"]]
        return {**plain(transition, {"role": None}), "guards": guards}

    considered = [shown(transition) for transition in explained["considered"]]
    return {**plain(explained, {"category": None, "allowed": None, "ignored": []}), "considered": considered}


def _covering_paths(engine: Engine, args: Args) -> Json:
    """The paths, once they are seen to be paths: each begins where items begin, each move of them is allowed."""
    machine = _machine_of(engine, args)
    covering = said(machine.covering_paths())
    initial = next((stage.stage for stage in machine.about.stages if stage.initial), None)
    covered: set[str] = set()
    for path in covering["paths"]:
        assert path["start"] == initial, "a path begins elsewhere"
        here = path["start"]
        for step in path["steps"]:
            assert step["from"] == here, "a path that leaps"
            here = step["to"]
            roles = [step["role"]] if "role" in step else []
            machine.check(step["from"], step["to"], inputs=step["inputs"], roles=roles)
            answers = machine.transitions(step["from"], inputs=step["inputs"], roles=roles)
            enabled = [answer.transition for answer in answers if answer.state == "enabled"]
            assert step["transition"] in enabled, f"`{step['transition']}` is not enabled"
            covered.add(step["transition"])
        assert here == path["end"]
    paths = [{**path, "steps": [plain(step, {"role": None}) for step in path["steps"]]} for path in covering["paths"]]
    ends = {path["end"] for path in covering["paths"]}
    shown = plain(covering, {"category": None, "not_covered": []})
    return {**shown, "paths": paths, "covered": sorted(covered), "ends": sorted(ends)}


def _picture(engine: Engine, args: Args) -> Json:
    form: Any = text(args, "form")
    against = args.get("against")
    drawn = _machine_of(engine, args).picture(
        form,
        language=args.get("language"),
        current=args.get("current"),
        against=None if against is None else _machine_of(engine, against),
    )
    return {"hash": hash_of(drawn.encode())} if form == "svg" else {"text": drawn}


def _compare_versions(engine: Engine, args: Args) -> Json:
    answer = said(engine.snapshot().compare_versions(text(args, "workflow"), args["from"], args["to"]))
    return {**answer, "changes": [plain(change, {"category": None}) for change in answer["changes"]]}


def _replay(engine: Engine, args: Args) -> Json:
    for logged in args["log"]:
        only_keys(logged, ["tenant", "category", "from", "to", "inputs", "texts", "roles"], "log")
    answer = said(engine.snapshot().replay(text(args, "workflow"), args["version"], args["log"]))
    return {**answer, "refused": [_plain_blockers(plain(one, {"category": None})) for one in answer["refused"]]}


def _written(value: Json, key: str) -> str | None:
    """A value as canonical JSON; nothing for what is absent."""
    return canonical_form(value[key]) if key in value else None


def _shape_of_conflict(conflict: Json) -> Json:
    sides = {side: _written(conflict, side) for side in ("base", "ours", "theirs")}
    return {"path": conflict["path"], **sides}


def _merged(args: Args) -> Json:
    only_keys(args, ["base", "ours", "theirs"], "args")
    base, ours, theirs = args["base"], args["ours"], args["theirs"]
    found, swapped = said(merge(base, ours, theirs)), said(merge(base, theirs, ours))
    conflicts = [_shape_of_conflict(one) for one in found["conflicts"]]
    back = [_shape_of_conflict(one) for one in swapped["conflicts"]]
    back = [{**one, "ours": one["theirs"], "theirs": one["ours"]} for one in back]
    assert exactly([swapped["result"], back]) == exactly([found["result"], conflicts]), "the sides are not alike"
    resolved = {side: _written(found["resolved"], side) for side in ("ours", "theirs")}
    return {"result": _written(found, "result"), "conflicts": conflicts, "resolved": resolved}


def _upgrade(engine: Engine, args: Args) -> Json:
    side: Any = text(args, "side")
    return said(engine.snapshot().upgrade(text(args, "tenant"), text(args, "workflow"), args["to"], side))


def _shape_of_upgrade(engine: Engine, args: Args) -> Json:
    upgrade = _upgrade(engine, args)
    conflicts = [{**_shape_of_conflict(one), "category": one.get("category")} for one in upgrade["conflicts"]]
    found = [{"path": one["path"], "code": one["code"]} for one in upgrade["found"]]
    return {**upgrade, "conflicts": conflicts, "found": found}


def _upgraded(args: Args, documents: Mapping[str, Any]) -> Outcome:
    """Asks of definitions in which the tenant has what an upgrade comes to."""
    # Of two files that need each other, one is asked for when it is needed.
    from .engine import ask

    only_keys(args, ["definitions", "tenant", "workflow", "to", "side", "ask"], "args")
    name = text(args, "definitions")
    if name not in documents:
        fail(f"no document is called `{name}`")
    definitions = json.loads(bytes_of(documents[name]))

    def compiled() -> Engine:
        return Engine.from_definitions(definitions, issued_at=time("2026-03-10T12:00:00Z"))

    upgrade = outcome(lambda: _upgrade(compiled(), args))
    if upgrade.error is not None:
        return upgrade
    tenant = definitions["tenants"][text(args, "tenant")]
    tenant["workflows"] = {**tenant.get("workflows", {}), text(args, "workflow"): upgrade.answer["laid"]}
    only_keys(args["ask"], ["call", "args"], "ask")
    try:
        return ask(compiled(), text(args["ask"], "call"), args["ask"]["args"])
    except DefinitionsError as error:
        found = [[one["path"], one["code"]] for one in raised(error)["diagnostics"]]
        return Outcome(error={"code": "refused", "found": found})


_CALLS: dict[str, Callable[[Engine, Args], Json]] = {
    "machine": lambda engine, args: _shape(_machine_of(engine, args)),
    "transitions": _transitions,
    "check_transition": _check,
    "explain_move": _explain,
    "covering_paths": _covering_paths,
    "picture": _picture,
    "compare_versions": _compare_versions,
    "upgrade": _shape_of_upgrade,
    "replay": _replay,
}
