"""The peers: each loads the world in its own form and gives ways to ask it.

Whatever can be made before the question comes is made here, outside of what is measured. A peer is imported when it is
loaded: one that is not there is a row that says so.
"""

# pyright: basic
# Few of the peers bring types.

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from measure import Ask, Questions
from world import Tenant, grants, is_statically_on, questions, switches, tenants

Asks = Mapping[str, Ask]
"""Ways to ask, by how much the peer knows."""

_ids = [question.tenant.id for question in questions]
_keys = [question.key for question in questions]


def zen_engine() -> Asks:
    """A decision per switch, by its key; and the expression alone that is in it."""
    import zen

    def granted(key: str) -> str:
        return f"plan in {json.dumps(grants[key].plans)} or tenant in {json.dumps(grants[key].tenants)}"

    def node(id: str, kind: str, **content: object) -> dict[str, object]:
        return {"id": id, "type": kind, "name": id, "position": {"x": 0, "y": 0}, **content}

    def edge(id: str, source: str, target: str) -> dict[str, object]:
        return {"id": id, "sourceId": source, "targetId": target, "type": "edge"}

    def decision(key: str) -> dict[str, object]:
        rule = {"expressions": [{"id": "granted", "key": "granted", "value": granted(key)}]}
        return {
            "nodes": [
                node("request", "inputNode"),
                node("rule", "expressionNode", content=rule),
                node("response", "outputNode"),
            ],
            "edges": [edge("in", "request", "rule"), edge("out", "rule", "response")],
        }

    # Decisions that the engine has by key are answered far sooner than those that are handed out.
    engine = zen.ZenEngine({"loader": {"type": "static", "content": {key: decision(key) for key in switches}}})
    expressions = {key: zen.compile_expression(granted(key)) for key in switches}
    # It reads a text sooner than a dict.
    contexts = [json.dumps({"tenant": question.tenant.id, "plan": question.tenant.plan}) for question in questions]
    return {
        "tenant": Ask(
            'engine.evaluate(key, context)["result"]["granted"]',
            {"key": _keys, "context": contexts},
            {"engine": engine},
        ),
        "expression": Ask(
            "expression.evaluate(context)",
            {"expression": [expressions[key] for key in _keys], "context": contexts},
        ),
    }


def schematichq() -> Asks:
    """The rules engine alone, with flag and company in hand."""
    from schematic.datastream.rules_engine import RulesEngineClient
    from schematic.types.rulesengine_company import RulesengineCompany
    from schematic.types.rulesengine_flag import RulesengineFlag

    engine = RulesEngineClient()
    asyncio.run(engine.initialize())
    of = {"account_id": "account", "environment_id": "environment"}

    def rule(id: str, key: str, kind: str, condition: str, resources: tuple[str, ...]) -> dict[str, Any]:
        return {
            **of,
            "id": id,
            "flag_id": key,
            "name": id,
            "rule_type": kind,
            "priority": 1,
            "value": True,
            "condition_groups": [],
            "conditions": [
                {
                    **of,
                    "id": f"{id}_condition",
                    "condition_type": condition,
                    "operator": "eq",
                    "resource_ids": list(resources),
                    "trait_value": "",
                }
            ],
        }

    def flag(key: str, *, default: bool, rules: list[dict[str, Any]]) -> Any:
        return RulesengineFlag.model_validate({**of, "id": key, "key": key, "default_value": default, "rules": rules})

    def granting(key: str) -> Any:
        rules = [rule(f"{key}_plans", key, "plan_entitlement", "plan", grants[key].plans)]
        if grants[key].tenants:
            rules.insert(0, rule(f"{key}_companies", key, "company_override", "company", grants[key].tenants))
        return flag(key, default=False, rules=rules)

    def company(tenant: Tenant, **more: object) -> Any:
        none: dict[str, object] = dict.fromkeys(
            ("plan_version_ids", "billing_product_ids", "metrics", "traits", "rules"), ()
        )
        has = {"id": tenant.id, "keys": {"id": tenant.id}, "plan_ids": [tenant.plan], "credit_balances": {}}
        return RulesengineCompany.model_validate({**of, **none, **has, **more})

    def entitlements(tenant: Tenant) -> list[dict[str, str]]:
        granted = [key for key in switches if tenant.plan in grants[key].plans]
        return [{"feature_id": key, "feature_key": key, "value_type": "boolean"} for key in granted]

    fixed = {key: flag(key, default=is_statically_on(key), rules=[]) for key in switches}
    flags = {key: granting(key) for key in switches}
    bare = {tenant.id: company(tenant) for tenant in tenants}
    full = {tenant.id: company(tenant, entitlements=entitlements(tenant)) for tenant in tenants}

    def check(companies: Mapping[str, object]) -> Ask:
        asked = {"flag": [flags[key] for key in _keys], "company": [companies[id] for id in _ids]}
        return Ask("engine.check_flag(flag, company).value", asked, {"engine": engine})

    return {
        "static": Ask("engine.check_flag(flag).value", {"flag": [fixed[key] for key in _keys]}, {"engine": engine}),
        "tenant": check(bare),
        "entitled": check(full),
    }


def cedarpy() -> Asks:
    """Policies and entities parsed before: the policy of the one switch, the one tenant with its plan."""
    from cedarpy import Entities, PolicySet, is_authorized

    def policy(key: str) -> str:
        conditions = [f"principal in Plan::{json.dumps(plan)}" for plan in grants[key].plans]
        conditions += [f"principal == Tenant::{json.dumps(id)}" for id in grants[key].tenants]
        scope = f'principal, action == Action::"use", resource == Feature::{json.dumps(key)}'
        return f"permit({scope}) when {{ {' || '.join(conditions)} }};"

    def entity(tenant: Tenant) -> dict[str, object]:
        parents = [{"type": "Plan", "id": tenant.plan}]
        return {"uid": {"type": "Tenant", "id": tenant.id}, "attrs": {}, "parents": parents}

    def request(id: str, key: str) -> dict[str, object]:
        # It reads these sooner than texts.
        return {
            "principal": {"type": "Tenant", "id": id},
            "action": {"type": "Action", "id": "use"},
            "resource": {"type": "Feature", "id": key},
        }

    policies = {key: PolicySet.from_str(policy(key)) for key in switches}
    entities = {tenant.id: Entities.from_json_str(json.dumps([entity(tenant)])) for tenant in tenants}
    return {
        "tenant": Ask(
            "is_authorized(request, policies, entities).allowed",
            {
                "request": [request(id, key) for id, key in zip(_ids, _keys, strict=True)],
                "policies": [policies[key] for key in _keys],
                "entities": [entities[id] for id in _ids],
            },
            {"is_authorized": is_authorized},
        )
    }


def yggdrasil_engine() -> Asks:
    """Flags without rules; and flags whose strategies ask for plan and tenant. Nothing is counted."""
    from yggdrasil_engine.engine import UnleashEngine  # type: ignore[import-untyped]

    def loaded(feature: Callable[[str], dict[str, object]]) -> UnleashEngine:
        engine = UnleashEngine()
        features = [{"name": key, "type": "release", **feature(key)} for key in switches]
        engine.take_state(json.dumps({"version": 2, "features": features}))
        return engine

    def fixed(key: str) -> dict[str, object]:
        return {"enabled": is_statically_on(key), "strategies": [{"name": "default", "parameters": {}}]}

    def targeted(key: str) -> dict[str, object]:
        plan = {"contextName": "plan", "operator": "IN", "values": grants[key].plans}
        return {
            "enabled": True,
            "strategies": [
                {"name": "default", "parameters": {}, "constraints": [plan]},
                {"name": "userWithId", "parameters": {"userIds": ",".join(grants[key].tenants)}},
            ],
        }

    contexts = [{"userId": question.tenant.id, "properties": {"plan": question.tenant.plan}} for question in questions]
    asked: Questions = {"key": _keys, "context": contexts}
    return {
        "static": Ask("engine.check_enabled(key, {}).is_enabled", {"key": _keys}, {"engine": loaded(fixed)}),
        "tenant": Ask("engine.check_enabled(key, context).is_enabled", asked, {"engine": loaded(targeted)}),
    }


def casbin() -> Asks:
    """A role for each switch, which plans and tenants have: the matcher is evaluated policy by policy, and here is one."""
    from casbin import Enforcer  # type: ignore[import-untyped]
    from casbin.model import Model  # type: ignore[import-untyped]
    from casbin.persist.adapters.string_adapter import StringAdapter  # type: ignore[import-untyped]

    model = Model()
    model.load_model_from_text("""
[request_definition]
r = sub, obj, act

[policy_definition]
p = act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.act == p.act && g(r.sub, r.obj)
""")
    lines = [f"g, {subject}, {key}" for key in switches for subject in (*grants[key].plans, *grants[key].tenants)]
    lines += [*(f"g, {tenant.id}, {tenant.plan}" for tenant in tenants), "p, use"]
    enforcer = Enforcer(model, StringAdapter("\n".join(lines)))
    return {
        "tenant": Ask('enforcer.enforce(tenant, key, "use")', {"tenant": _ids, "key": _keys}, {"enforcer": enforcer})
    }


peers: Mapping[str, Callable[[], Asks]] = {
    "zen-engine": zen_engine,
    "schematichq": schematichq,
    "cedarpy": cedarpy,
    "yggdrasil-engine": yggdrasil_engine,
    "casbin": casbin,
}
"""By the names that their packages have."""
