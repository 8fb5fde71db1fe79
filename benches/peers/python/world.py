"""What everybody is asked about: 60 switches, 4 plans, 100 tenants.

A tenant may use a switch when its plan grants it or when it was granted to the tenant alone. All of it is derived from
the numbers, so that every run asks the same; `benches/peers/node` asks the same as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SWITCHES = 60
PLANS = 4
TENANTS = 100
GRANTS_OF_A_TENANT = 2
QUESTIONS = 4096


@dataclass(frozen=True)
class Tenant:
    id: str
    plan: str
    grants: tuple[str, ...]
    """The switches that it was granted alone."""


@dataclass(frozen=True)
class Grants:
    """Whom a switch is granted to."""

    plans: tuple[str, ...]
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    tenant: Tenant
    key: str


switches = [f"feature_{at:03}" for at in range(SWITCHES)]
plans = [f"plan_{at}" for at in range(PLANS)]


def _granted_by(plan: int, at: int) -> bool:
    """Each plan grants what the one below it does, and a quarter more."""
    return at % PLANS <= plan


def fleet(size: int) -> list[Tenant]:
    """So many tenants."""

    def granted(at: int) -> tuple[str, ...]:
        return tuple(switches[(at * 7 + n * 31) % SWITCHES] for n in range(GRANTS_OF_A_TENANT))

    return [Tenant(id=f"tenant_{at:03}", plan=plans[at % PLANS], grants=granted(at)) for at in range(size)]


tenants = fleet(TENANTS)
grants = {
    key: Grants(
        plans=tuple(plan for rank, plan in enumerate(plans) if _granted_by(rank, at)),
        tenants=tuple(tenant.id for tenant in tenants if key in tenant.grants),
    )
    for at, key in enumerate(switches)
}


def is_granted(tenant: Tenant, key: str) -> bool:
    """The answer that is right."""
    return tenant.plan in grants[key].plans or key in tenant.grants


def is_statically_on(key: str) -> bool:
    """What a flag without rules answers: the same to everybody."""
    return switches.index(key) % 2 == 0


def _asked() -> list[Question]:
    """Tenants and switches in random order, from a fixed seed."""
    state = 0x9E3779B9

    def below(bound: int) -> int:
        nonlocal state
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        return state % bound

    return [Question(tenant=tenants[below(TENANTS)], key=switches[below(SWITCHES)]) for _ in range(QUESTIONS)]


questions = _asked()

_BEGIN = "2024-01-01T00:00:00Z"


def _label(text: str) -> dict[str, Any]:
    return {"name": text, "name2": text}


def definitions(tenants: Sequence[Tenant]) -> Mapping[str, Any]:
    """The same as definitions of Leasehold's, with a limit and a workflow beside the switches."""
    switch_features = {key: {"kind": "switch", **_label(key), "group": "module"} for key in switches}
    limit = {"kind": "limit", "unit": "user", "default": {"amount": 10}, **_label("Users"), "group": "limits"}
    return {
        "features": {**switch_features, "max_users": limit},
        "plans": {plan: _plan(rank, plan) for rank, plan in enumerate(plans)},
        "guards": {
            "paid": {
                **_label("Paid"),
                "inputs": {"invoice_issued": "bool", "balance_due_minor": "integer"},
                "expression": "invoice_issued && balance_due_minor <= 0",
            }
        },
        "workflows": {"order": {**_label("Order"), "current": 1, "versions": {"1": _ORDER}}},
        "tenants": {tenant.id: _tenant(tenant) for tenant in tenants},
    }


def _plan(rank: int, plan: str) -> dict[str, Any]:
    granted = [key for at, key in enumerate(switches) if _granted_by(rank, at)]
    version = {
        "effective_from": _BEGIN,
        "moves": "now",
        "contributions": [{"feature": key, "op": "set", "value": True} for key in granted],
    }
    price = {"amount": "10.000", "currency": "OMR", "period": "month"}
    return {**_label(plan), "rank": rank, "price": price, "versions": {"1": version}}


_ORDER: dict[str, Any] = {
    "stages": {
        "ready": {**_label("Ready"), "initial": True, "order": 10},
        "delivered": {**_label("Delivered"), "final": True, "order": 20},
    },
    "transitions": {
        "deliver": {
            **_label("Deliver"),
            "from": "ready",
            "event": "deliver",
            "to": "delivered",
            "guards": {"paid": {}},
        }
    },
}


def _tenant(tenant: Tenant) -> dict[str, Any]:
    override = {"op": "set", "value": True, "reason": "granted", "actor": "sales"}
    return {
        **_label(tenant.id),
        "region": "GCC-OM",
        "anchor": _BEGIN,
        "utc_offset_minutes": 240,
        "phases": {"paid": {"kind": "paid", "plan": tenant.plan, "from": _BEGIN}},
        "overrides": {key: {"feature": key, **override} for key in tenant.grants},
    }
