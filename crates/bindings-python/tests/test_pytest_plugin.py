"""Policies in memory, alone and as fixtures of pytest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from leasehold import ArgumentError, ClosedError, DefinitionsError, Engine, UnknownTenantError
from leasehold.answers import Changes
from leasehold.inputs import Definitions
from leasehold.testing import Policies

pytest_plugins = ["pytester"]

CLEANMATEX = Path(__file__).parents[3] / "examples/cleanmatex"
NAMES = {"name": "a", "name2": "a"}
TENANT = {**NAMES, "region": "TEST", "anchor": "2000-01-01T00:00:00Z"}
FEATURES: dict[str, Any] = {
    "invoicing": {"kind": "switch", **NAMES, "group": "module"},
    "max_users": {"kind": "limit", "unit": "user", **NAMES, "group": "limits"},
}


def test_policies_become_definitions_of_features_of_every_kind() -> None:
    policies = Policies(
        {
            "acme": {
                "features": {"pdf": True},
                "limits": {
                    "users": 5,
                    "orders": "unlimited",
                    "mails": {"amount": 1, "mode": "billable", "thresholds": [100]},
                },
                "values": {"currency": "OMR", "days": 30, "theme": {"logo": None}},
            },
            "bare": {"features": {"pdf": False}},
        }
    )
    acme, bare = policies.tenant("acme"), policies.tenant("bare")
    assert acme.is_enabled("pdf")
    assert acme.check_limit("users", 5, 1).outcome == "deny"
    assert acme.check_limit("orders", 2**40, 1).outcome == "allow"
    assert acme.check_limit("mails", 1, 1).outcome == "overage"
    assert [acme.value(key) for key in ("currency", "days", "theme")] == ["OMR", 30, {"logo": None}]
    assert bare.decide("pdf").reason == "switched_off"
    assert bare.check_limit("users", 0, 1).outcome == "deny"
    assert [bare.value(key) for key in ("currency", "days", "theme")] == [None, None, None]


def test_what_no_policy_of_a_tenant_names_is_off() -> None:
    other = {"feature": "invoicing", "op": "set", "value": True, "reason": "r", "actor": "a"}
    kept = {**TENANT, "overrides": {"users": other, "days": other}}
    policies = Policies(
        {
            "acme": {
                "features": {"pdf": True},
                "limits": {"users": 5, "orders": "unlimited", "max_users": 5},
                "values": {"currency": "OMR", "days": 30, "theme": {}},
            },
            "some": {"limits": {"users": 1}, "values": {"currency": ""}},
            "bare": {},
        },
        definitions={"features": FEATURES, "tenants": {"kept": kept}},
    )
    features = {"pdf", "users", "orders", "max_users", "currency", "days", "theme"}

    def on(tenant: str) -> set[str]:
        return {feature for feature in features if policies.tenant(tenant).decide(feature).enabled}

    assert on("acme") == features
    # Of the definitions, it has what they say.
    assert on("some") == {"users", "currency", "max_users"}
    assert on("bare") == on("kept") == {"max_users"}
    assert policies.tenant("bare").check_limit("users", 0, 1).reason == "revoked"
    assert policies.is_enabled("kept", "invoicing"), "what a tenant of the definitions has, it keeps"
    assert policies.snapshot().warnings() == Policies(definitions={"features": FEATURES}).snapshot().warnings()
    policies.set("bare", values={"theme": [1]})
    assert on("bare") == {"theme", "max_users"}
    policies.remove("acme")
    assert policies.tenant("some").value("currency") == ""


@pytest.mark.parametrize("tenant", [7, None, {**TENANT, "overrides": 7}, {**TENANT, "overrides": {"a": 7}}])
def test_mistakes_in_tenants_of_definitions_are_those_of_definitions(tenant: object) -> None:
    with pytest.raises(DefinitionsError):
        Policies({"acme": {"limits": {"users": 5}}}, definitions={"tenants": {"kept": tenant}})


def test_policies_change_as_a_test_goes() -> None:
    told: list[Changes] = []
    policies = Policies({"acme": {}}, definitions={"features": FEATURES})
    acme = policies.tenant("acme")
    policies.on_change(told.append)
    assert not acme.is_enabled("invoicing")
    assert policies.set("acme", features={"invoicing": True}).is_enabled("invoicing")
    assert acme.is_enabled("invoicing"), "handles go with it"
    assert [change.groups[0].tenants for change in told] == [("acme",)]
    policies.set("acme", limits={"max_users": 5})
    assert acme.decide("invoicing").reason == "not_granted", "what was said before is gone"
    policies.set("acme", limits={"max_users": 5}, access="read_only")
    assert acme.decide("max_users").reason == "blocked"
    assert policies.set("new").id == "new"
    assert sorted(policies.snapshot().tenant_ids()) == ["acme", "new"]
    policies.remove("new")
    policies.remove("nobody")
    with pytest.raises(UnknownTenantError):
        policies.tenant("new")
    assert policies.snapshot().revision == 7


def test_policies_are_an_engine() -> None:
    policies = Policies({"acme": {"features": {"pdf": True}}})
    with policies:
        assert isinstance(policies, Engine)
        assert policies.is_enabled_many(["acme"], ["pdf"]) == [[True]]
        assert policies.health() is None
        assert "1 tenants" in repr(policies)
    with pytest.raises(ClosedError):
        policies.set("acme")


@pytest.mark.parametrize("files", [True, False])
def test_policies_lie_over_definitions(files: bool) -> None:
    base: dict[str, Any] = {"features": FEATURES, "tenants": {"kept": TENANT, "acme": TENANT}}
    before = json.dumps(base)
    first = json.dumps({"$schema": "x", "features": {"invoicing": FEATURES["invoicing"]}})
    definitions: Definitions = [("features.json", first), ("more.json", before.encode())] if files else base
    policies = Policies({"acme": {"features": {"invoicing": True}}}, definitions=definitions)
    assert policies.is_enabled("acme", "invoicing")
    assert not policies.is_enabled("kept", "invoicing")
    policies.remove("acme")
    assert not policies.is_enabled("acme", "invoicing"), "there is that of the definitions again"
    assert json.dumps(base) == before


def test_policies_lie_over_plans_and_workflows() -> None:
    definitions = [(str(path), path.read_bytes()) for path in sorted(CLEANMATEX.rglob("*.json"))]
    policies = Policies({"mine": {"plan": "growth"}}, definitions=definitions)
    mine = policies.tenant("mine")
    assert mine.entitlements().plan == "growth"
    assert mine.is_enabled("delivery")
    assert policies.tenant("ae-alain-oasis").entitlements().plan == "starter"
    before = mine.machine("order", "LAUNDRY").about.version
    policies.set("mine", plan="starter", workflows={"order": {"version": before}})
    assert not mine.is_enabled("delivery")
    assert mine.machine("order", "LAUNDRY").about.version == before


def test_policies_that_are_wrong_change_nothing() -> None:
    policies = Policies({"acme": {"features": {"invoicing": True}}}, definitions={"features": FEATURES})
    before = policies.snapshot().revision
    with pytest.raises(DefinitionsError):
        policies.set("acme", values={"currency": 0.5})
    with pytest.raises(ArgumentError, match="`invoicing` is a switch, not a limit: a feature has one kind"):
        policies.set("acme", limits={"invoicing": 5})
    with pytest.raises(DefinitionsError):
        policies.set("not an id")
    with pytest.raises(ArgumentError, match="`feature` is no part of a policy: it has 'features', 'limits'"):
        Policies({"acme": {"feature": {"pdf": True}}})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ArgumentError, match=r"`a\.json` is not JSON"):
        Policies(definitions=[("a.json", "{")])
    assert policies.snapshot().revision == before
    assert policies.is_enabled("acme", "invoicing")
    policies.set("new")
    assert policies.is_enabled("acme", "invoicing")
    assert sorted(policies.snapshot().tenant_ids()) == ["acme", "new"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs tests in a process of its own, with this plugin alone, as if it were installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*args: str) -> Any:
        return pytester.runpytest_subprocess("-p", "leasehold.pytest_plugin", *args)

    return run


def test_a_fixture_has_policies_of_one_test(pytester: pytest.Pytester, run: Any) -> None:
    pytester.makepyfile(
        """
        from leasehold import Engine

        seen = []

        def test_one(leasehold_policies):
            assert isinstance(leasehold_policies, Engine)
            assert leasehold_policies.snapshot().tenant_ids() == []
            acme = leasehold_policies.set("acme", features={"pdf": True}, limits={"users": 5})
            assert acme.is_enabled("pdf")
            leasehold_policies.set("acme", features={"pdf": False})
            assert not acme.is_enabled("pdf")
            seen.append(leasehold_policies)

        def test_other(leasehold_policies):
            assert seen[0].closed
            assert leasehold_policies.snapshot().tenant_ids() == []
        """
    )
    run("--strict-markers").assert_outcomes(passed=2)


def test_a_fixture_of_the_app_has_its_definitions(pytester: pytest.Pytester, run: Any) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def leasehold_definitions():
            return {"features": {"pdf": {"kind": "switch", "name": "a", "name2": "a", "group": "module"}}}
        """
    )
    pytester.makepyfile(
        """
        def test_one(leasehold_policies):
            assert not leasehold_policies.set("acme").is_enabled("pdf")
        """
    )
    run().assert_outcomes(passed=1)


def test_fixtures_say_what_they_are(run: Any) -> None:
    said = run("--fixtures")
    said.stdout.fnmatch_lines(["*leasehold_definitions*", "*definitions that policies lie over*"])
    said.stdout.fnmatch_lines(["*leasehold_policies*", "*An engine whose tenants a test makes*"])


def test_the_package_says_that_it_has_a_plugin() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\nleasehold = "leasehold.pytest_plugin"\n' in project
