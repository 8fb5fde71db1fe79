"""Policies in memory, for tests: real definitions and a real engine, without HQ.

from leasehold.testing import Policies

policies = Policies({"acme": {"features": {"pdf_invoices": True}, "limits": {"max_users": 5}}})
policies.is_enabled("acme", "pdf_invoices")
policies.set("acme", features={"pdf_invoices": False})
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, cast

from ._answer import Json
from ._native import Snapshot, Tenant
from .answers import Access, Kind, Mode
from .engine import Engine
from .errors import ArgumentError
from .inputs import Definitions

__all__ = ["LimitPolicy", "LimitSaid", "Policies", "TenantPolicy"]


class _Amount(TypedDict):
    amount: int | Literal["unlimited"]


class LimitSaid(_Amount, total=False):
    """All that is to be said of a limit."""

    mode: Mode
    thresholds: Sequence[int]


LimitPolicy: TypeAlias = int | Literal["unlimited"] | LimitSaid
"""A limit: how much, or all that is to be said of it."""


class TenantPolicy(TypedDict, total=False):
    """What a tenant may do. What is not said is off, or as the definitions or the plan have it."""

    features: Mapping[str, bool]
    """Switches, on or off."""
    limits: Mapping[str, LimitPolicy]
    values: Mapping[str, Json]
    """Values: texts, integers, and JSON without floats."""
    access: Access
    """How much is left to it: `full`."""
    plan: str
    """A plan of the definitions, which it pays for."""
    workflows: Mapping[str, Mapping[str, Any]]
    """What it lays over workflows of the definitions."""


_Sections: TypeAlias = dict[str, dict[str, Any]]

# Long before every test.
_SINCE = "2000-01-01T00:00:00Z"
_REASON = "a policy of a test"


class Policies(Engine):
    """An engine that answers by policies, which a test changes as it goes.

    Each change is in force when the call returns.

    `definitions` are what to begin with: features, plans, workflows, as one document or as files. Tenants that policies
    name stand in place of those there. Without definitions, there is what policies name.
    """

    _base: _Sections
    _tenants: dict[str, TenantPolicy]

    def __new__(
        cls, tenants: Mapping[str, TenantPolicy] | None = None, *, definitions: Definitions | None = None
    ) -> Policies:
        """Raises DefinitionsError for policies that no definitions can be made of."""
        base = _sections({} if definitions is None else definitions)
        named = dict(tenants or {})
        policies = super().__new__(cls, _compiled(base, named, 1))
        policies._base = base
        policies._tenants = named
        return policies

    def __init__(
        self, tenants: Mapping[str, TenantPolicy] | None = None, *, definitions: Definitions | None = None
    ) -> None:
        super().__init__(self.snapshot())

    def set(
        self,
        tenant: str,
        *,
        features: Mapping[str, bool] | None = None,
        limits: Mapping[str, LimitPolicy] | None = None,
        values: Mapping[str, Json] | None = None,
        access: Access | None = None,
        plan: str | None = None,
        workflows: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Tenant:
        """What a tenant may do from now on, in place of what it could. A new tenant is made.

        What cannot be compiled changes nothing.
        """
        policy = {
            "features": features,
            "limits": limits,
            "values": values,
            "access": access,
            "plan": plan,
            "workflows": workflows,
        }
        said = {name: value for name, value in policy.items() if value is not None}
        self._change({**self._tenants, tenant: cast(TenantPolicy, said)})
        return self.tenant(tenant)

    def remove(self, tenant: str) -> None:
        """There is no such tenant any more, unless definitions have it."""
        self._change({name: policy for name, policy in self._tenants.items() if name != tenant})

    def _change(self, tenants: dict[str, TenantPolicy]) -> None:
        self.swap(_compiled(self._base, tenants, self.snapshot().revision + 1))
        self._tenants = tenants


def _compiled(base: _Sections, tenants: Mapping[str, TenantPolicy], revision: int) -> Snapshot:
    known = base.get("features", {})
    features = dict(known)
    made = dict(base.get("tenants", {}))
    for tenant, policy in tenants.items():
        strange = policy.keys() - TenantPolicy.__annotations__.keys()
        if strange:
            raise ArgumentError(
                f"`{min(strange)}` is no part of a policy: it has {', '.join(map(repr, TenantPolicy.__annotations__))}"
            )
        overrides: dict[str, Any] = {}
        sections: tuple[tuple[Kind, Mapping[str, Any]], ...] = (
            ("switch", policy.get("features", {})),
            ("limit", policy.get("limits", {})),
            ("value", policy.get("values", {})),
        )
        for kind, wanted in sections:
            for key, value in wanted.items():
                _declare(features, key, kind, value)
                said = _amount(value) if kind == "limit" else value
                overrides[key] = {"feature": key, "op": "set", "value": said, "reason": _REASON, "actor": "test"}
        made[tenant] = _tenant(tenant, policy, overrides)
    # Switches are off by themselves, and limits and values have a default.
    others = [key for key, feature in features.items() if key not in known and feature["kind"] != "switch"]
    for tenant, record in made.items():
        named: Mapping[str, Any] = record["overrides"] if tenant in tenants else {}
        made[tenant] = _without([key for key in others if key not in named], record)
    return Snapshot.from_definitions({**base, "features": features, "tenants": made}, revision=revision)


def _amount(wanted: Any) -> Any:
    return wanted if isinstance(wanted, Mapping) else {"amount": wanted}  # pyright: ignore[reportUnknownVariableType]


def _declare(features: dict[str, Any], key: str, kind: Kind, wanted: object) -> None:
    """A feature that definitions do not have is off for whom no policy names it."""
    declared = features.get(key)
    if declared is not None:
        if declared.get("kind") != kind:
            raise ArgumentError(
                f"`{key}` is a {declared.get('kind')}, not a {kind}: a feature has one kind, for all tenants"
            )
        return
    feature: dict[str, Any] = {"kind": kind, "name": key, "name2": key, "group": "test"}
    if kind == "limit":
        feature["unit"] = "unit"
    elif kind == "value":
        if isinstance(wanted, str):
            feature.update(type="string", default="")
        elif isinstance(wanted, int) and not isinstance(wanted, bool):
            feature.update(type="integer", default=0)
        else:
            feature.update(type="json", default=None)
    features[key] = feature


def _tenant(tenant: str, policy: TenantPolicy, overrides: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": tenant,
        "name2": tenant,
        "region": "TEST",
        "anchor": _SINCE,
        "overrides": overrides,
    }
    access = policy.get("access", "full")
    if access != "full":
        block = {"kind": "restricted", "level": access, "laid_by": "staff", "since": _SINCE, "reason": _REASON}
        made["blocks"] = {"policy": block}
    if "plan" in policy:
        made["phases"] = {"policy": {"kind": "paid", "plan": policy["plan"], "from": _SINCE}}
    if "workflows" in policy:
        made["workflows"] = policy["workflows"]
    return made


def _without(features: Sequence[str], tenant: Any) -> Any:
    """A tenant for whom these features are off."""
    overrides: Any = tenant.get("overrides", {}) if hasattr(tenant, "keys") else None
    if not features or not hasattr(overrides, "keys"):
        # What is wrong with a tenant of definitions is told where they are compiled.
        return tenant
    off = {f"off:{key}": {"feature": key, "op": "revoke", "reason": _REASON, "actor": "test"} for key in features}
    return {**tenant, "overrides": {**overrides, **off}}


def _sections(definitions: Definitions) -> _Sections:
    if isinstance(definitions, Mapping):
        return dict(definitions)
    sections: _Sections = {}
    for name, content in definitions:
        try:
            document = json.loads(content)
        except ValueError as error:
            raise ArgumentError(f"`{name}` is not JSON: {error}") from error
        for section, records in document.items():
            if section != "$schema":
                sections.setdefault(section, {}).update(records)
    return sections
