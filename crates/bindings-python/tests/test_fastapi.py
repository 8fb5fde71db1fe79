"""leasehold.fastapi, over HTTP and WebSockets."""

# Annotations are not put off: FastAPI reads them, and cannot see the names within a test.

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from leasehold import ArgumentError, ClosedError, Engine, Snapshot, Tenant, TransitionError
from leasehold.answers import Allowed, Decision, Entitlements, LimitAnswer, TransitionAnswer
from leasehold.fastapi import Guard, Leasehold, Move, RefusedError, Requirement, UnknownKeysError, tenant_from_header
from leasehold.testing import Policies, TenantPolicy
from opentelemetry import metrics, trace
from pydantic import BaseModel
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from support.wait import until

NAMES = {"name": "a", "name2": "a"}
DEFINITIONS: dict[str, Any] = {
    "features": {
        "invoicing": {"kind": "switch", **NAMES, "group": "module"},
        "pdf_invoices": {"kind": "switch", **NAMES, "group": "add_on", "requires": ["invoicing"]},
        "max_users": {"kind": "limit", "unit": "user", **NAMES, "group": "limits"},
    },
    "plans": {
        "growth": {
            **NAMES,
            "rank": 1,
            "price": {"amount": "1", "currency": "OMR", "period": "month"},
            "versions": {
                "1": {
                    "effective_from": "2000-01-01T00:00:00Z",
                    "moves": "now",
                    "contributions": [{"feature": "invoicing", "op": "set", "value": True}],
                }
            },
        }
    },
    "workflows": {
        "order": {
            **NAMES,
            "versions": {
                "1": {
                    "stages": {
                        "ready": {**NAMES, "initial": True},
                        "closed": {**NAMES, "final": True},
                        "lost": {**NAMES, "final": True},
                    },
                    "transitions": {
                        "pick_up": {
                            **NAMES,
                            "from": "ready",
                            "event": "pick_up",
                            "to": "closed",
                            "guards": {"requires_invoice": {}},
                        },
                        "lose": {**NAMES, "from": "ready", "event": "lose", "to": "lost", "role": "manager"},
                    },
                }
            },
        }
    },
}
TENANTS: dict[str, TenantPolicy] = {
    "acme": {
        "plan": "growth",
        "features": {"pdf_invoices": True},
        "limits": {"max_users": {"amount": 5, "mode": "hard"}},
    },
    "bare": {"limits": {"max_users": {"amount": 5, "mode": "soft"}}},
    "frozen": {
        "plan": "growth",
        "features": {"pdf_invoices": True},
        "limits": {"max_users": 5},
        "access": "read_only",
    },
}


class Moving(BaseModel):
    to: Any = None
    invoice_issued: bool = False
    roles: list[str] = []


def policies_of() -> Policies:
    return Policies(TENANTS, definitions=DEFINITIONS)


def app_of(leasehold: Leasehold) -> FastAPI:
    """An app with all that can be asked for."""
    CurrentTenant = Annotated[Tenant, Depends(leasehold.tenant)]

    def used_of(tenant: CurrentTenant) -> int:
        return {"acme": 4, "bare": 5}.get(tenant.id, 0)

    async def count_of(body: Annotated[dict[str, Any], Body()]) -> Any:
        return body.get("count")

    def move_of(order: str, moving: Moving, tenant: CurrentTenant) -> Move:
        assert (order, tenant.id) == ("7", "acme")
        return Move("ready", "closed", inputs={"invoice_issued": moving.invoice_issued})

    def to_of(moving: Moving) -> Any:
        return moving.to

    async def inputs_of(moving: Moving) -> dict[str, bool]:
        return {"invoice_issued": moving.invoice_issued}

    def roles_of(moving: Moving) -> list[str]:
        return moving.roles

    app = FastAPI()
    leasehold.install(app)
    invoices = APIRouter(prefix="/invoices", dependencies=[Depends(leasehold.require("invoicing", action="read"))])

    @invoices.get("/pdf", dependencies=[Depends(leasehold.require("pdf_invoices"))])
    def pdf() -> dict[str, bool]:
        return {"ok": True}

    @invoices.get("/archive")
    async def archive(
        decision: Annotated[Decision, Depends(leasehold.require("pdf_invoices", action="read"))],
    ) -> Decision:
        return decision

    @invoices.get("/both")
    @leasehold.requires("invoicing", "pdf_invoices")
    async def both(tenant: CurrentTenant, page: int = 1) -> dict[str, Any]:
        """Both."""
        return {"tenant": tenant.id, "page": page}

    app.include_router(invoices)

    adding = leasehold.require_limit("max_users", used=used_of)

    @app.post("/users", status_code=201)
    def add(limit: Annotated[LimitAnswer, Depends(adding)]) -> LimitAnswer:
        return limit

    @app.post("/users/many", status_code=201)
    @leasehold.requires(leasehold.require_limit("max_users", used=1, requested=count_of))
    def add_many(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return body

    @app.post("/users/known", dependencies=[Depends(leasehold.require_limit("max_users", used=4, requested=2))])
    def known() -> None: ...

    @app.post("/users/wrong", dependencies=[Depends(leasehold.require_limit("max_users", used=lambda: -1))])
    def wrong() -> None: ...

    moving = leasehold.require_transition("order", from_="ready", to=to_of, inputs=inputs_of, roles=roles_of)

    @app.post("/orders/move")
    def move(allowed: Annotated[Allowed, Depends(moving)], moving: Moving) -> Allowed:
        return allowed

    @app.post("/orders/{order}/close")
    @leasehold.requires(leasehold.require_transition("order", move=move_of))
    def close(order: str) -> dict[str, str]:
        return {"closed": order}

    @app.get("/open")
    def health() -> dict[str, bool]:
        return {"up": True}

    @app.get("/open/who")
    def who(tenant: CurrentTenant) -> dict[str, str]:
        return {"id": tenant.id}

    @app.get("/open/guard")
    def guarded(guard: Annotated[Guard, Depends(leasehold.guard)], used: int = 0) -> dict[str, Any]:
        guard.require_limit("max_users", used)
        return {"pdf": guard.is_enabled("pdf_invoices"), "decided": guard.decide("max_users").enabled}

    return app


@pytest.fixture
def policies() -> Iterator[Policies]:
    made = policies_of()
    yield made
    made.close()


@pytest.fixture
def client(policies: Policies) -> Iterator[TestClient]:
    with TestClient(app_of(Leasehold(policies)), raise_server_exceptions=False) as client:
        yield client


def of(tenant: str) -> dict[str, str]:
    return {"x-tenant-id": tenant}


def is_problem(answer: Any, status: int, code: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert body.get("code") == code, body
    assert answer.status_code == body["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:leasehold:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert {name: body.get(name) for name in more} == more
    return body


def test_features_open_and_close_path_functions(client: TestClient) -> None:
    assert client.get("/invoices/pdf", headers=of("acme")).json() == {"ok": True}
    is_problem(
        client.get("/invoices/archive", headers=of("bare")),
        403,
        "feature_off",
        title="Forbidden",
        feature="invoicing",
        reason="not_granted",
        revision=1,
        detail="`invoicing` is off: nothing that the tenant has includes it",
    )
    is_problem(
        client.get("/invoices/pdf", headers=of("frozen")), 403, "feature_off", reason="blocked", block="restricted"
    )
    archive = client.get("/invoices/archive", headers=of("frozen"))
    assert (archive.status_code, archive.json()["reason"]) == (200, "granted"), "what it made may be read"


def test_a_decorator_asks_for_all_and_keeps_the_signature(client: TestClient, policies: Policies) -> None:
    assert client.get("/invoices/both?page=3", headers=of("acme")).json() == {"tenant": "acme", "page": 3}
    policies.set("odd", features={"invoicing": True})
    policies.set("even", plan="growth", features={"pdf_invoices": True, "invoicing": False})
    is_problem(client.get("/invoices/both", headers=of("odd")), 403, "feature_off", feature="pdf_invoices")
    is_problem(client.get("/invoices/both", headers=of("even")), 403, "feature_off", reason="switched_off")
    unread = client.get("/invoices/both?page=x", headers=of("bare"))
    is_problem(unread, 403, "feature_off")
    assert client.get("/invoices/both?page=x", headers=of("acme")).status_code == 422


def test_a_policy_that_changes_is_in_force_at_the_next_request(client: TestClient, policies: Policies) -> None:
    policies.set("late")
    is_problem(client.get("/invoices/pdf", headers=of("late")), 403, "feature_off")
    policies.set("late", plan="growth", features={"pdf_invoices": True})
    assert client.get("/invoices/pdf", headers=of("late")).status_code == 200
    policies.remove("late")
    is_problem(client.get("/invoices/pdf", headers=of("late")), 403, "unknown_tenant")


def test_whoever_names_no_tenant_is_told_so_and_only_where_one_is_needed(client: TestClient) -> None:
    for path in ("/invoices/pdf", "/open/who"):
        is_problem(client.get(path), 400, "tenant_required")
        is_problem(client.get(path, headers=of("")), 400, "tenant_required")
        is_problem(client.get(path, headers=of("nobody")), 403, "unknown_tenant")
        twice = client.get(path, headers=[("x-tenant-id", "acme"), ("x-tenant-id", "bare")])
        is_problem(twice, 403, "unknown_tenant")
    assert client.get("/open").json() == {"up": True}
    assert client.get("/open", headers=of("nobody")).json() == {"up": True}
    assert client.get("/open/who", headers=of("acme")).json() == {"id": "acme"}


def test_limits_are_asked_with_what_dependencies_know(client: TestClient) -> None:
    allowed = client.post("/users", headers=of("acme"))
    assert (allowed.status_code, allowed.json()["outcome"], allowed.json()["remaining"]) == (201, "allow", 1)
    assert client.post("/users", headers=of("bare")).json()["outcome"] == "warn"
    full = is_problem(client.post("/users/known", headers=of("acme")), 403, "limit_reached", feature="max_users")
    assert full["limit"]["outcome"] == "deny"
    assert (full["limit"]["limit"], full["limit"]["remaining"], full["reason"]) == (5, 1, "limit_reached")
    assert "allows 5: in use are 4, asked for is 2 more" in full["detail"]
    off = is_problem(client.post("/users", headers=of("frozen")), 403, "feature_off", reason="blocked")
    assert (off["feature"], off["limit"]["outcome"]) == ("max_users", "deny")


def test_amounts_that_clients_send_may_be_anything(client: TestClient) -> None:
    def many(count: Any) -> Any:
        return client.post("/users/many", headers=of("acme"), json={"count": count})

    assert many(4).json() == {"count": 4}
    is_problem(many(5), 403, "limit_reached")
    for outside in (-1, 2**53, 2**80):
        is_problem(many(outside), 400, "amount_out_of_range")
    strange: tuple[object, ...] = ("4", None, {}, 1.5, True)
    for amount in strange:
        assert many(amount).status_code == 500, "an app that takes whatever is sent for a number is wrong"
    wrong = client.post("/users/wrong", headers=of("acme"))
    assert wrong.status_code == 500, "usage that is wrong is the fault of the app"


@pytest.mark.parametrize("amount", [True, None, "4", 1.5])
@pytest.mark.parametrize("name", ["used", "requested"])
@pytest.mark.parametrize("found", [True, False])
def test_amounts_that_are_no_numbers_are_the_fault_of_the_app(
    policies: Policies, name: str, amount: Any, found: bool
) -> None:
    amounts: dict[str, Any] = {"used": 1, name: (lambda: amount) if found else amount}
    leasehold = Leasehold(policies)
    app = FastAPI()
    leasehold.install(app)
    app.router.add_api_route("/", lambda: 1, dependencies=[Depends(leasehold.require_limit("max_users", **amounts))])
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/", headers=of("acme")).status_code == 500


def test_items_move_where_their_workflow_lets_them(client: TestClient) -> None:
    def move(**moving: Any) -> Any:
        return client.post("/orders/move", headers=of("acme"), json=moving)

    assert move(to="closed", invoice_issued=True).json() == {"transition": "pick_up", "event": "pick_up"}
    assert move(to="lost", roles=["manager"]).json()["transition"] == "lose"
    ends = {"workflow": "order", "from": "ready", "to": "closed"}
    blocked = is_problem(move(to="closed"), 409, "guard_failed", **ends)
    assert [(one["code"], one["guard"]) for one in blocked["blockers"]] == [("guard_failed", "requires_invoice")]
    role = is_problem(move(to="lost"), 403, "guard_failed")
    assert role["blockers"][0]["code"] == "role_required"
    is_problem(move(to="ready"), 409, "illegal_transition")
    is_problem(move(to="gone"), 400, "unknown_stage")
    is_problem(move(), 400, "invalid_argument", workflow="order", to=None)
    assert client.post("/orders/7/close", headers=of("acme"), json={"invoice_issued": True}).json() == {"closed": "7"}
    is_problem(client.post("/orders/7/close", headers=of("acme"), json={}), 409, "guard_failed")


def test_a_path_function_asks_by_its_guard(client: TestClient) -> None:
    assert client.get("/open/guard", headers=of("acme")).json() == {"pdf": True, "decided": True}
    assert client.get("/open/guard", headers=of("bare")).json() == {"pdf": False, "decided": True}
    is_problem(client.get("/open/guard?used=5", headers=of("acme")), 403, "limit_reached")


def test_an_engine_that_is_closed_decides_nothing(client: TestClient, policies: Policies) -> None:
    policies.close()
    for path in ("/invoices/pdf", "/open/who"):
        is_problem(client.get(path, headers=of("acme")), 503, "closed")
    is_problem(client.get("/open/who"), 400, "tenant_required")
    assert client.get("/open").status_code == 200


def test_a_guard_asks_outside_of_requests_too(policies: Policies) -> None:
    guard = asyncio.run(Leasehold(policies).guard(engine=policies, tenant_id="acme"))
    assert guard.tenant.id == "acme"
    assert guard.require("max_users").reason == "granted"
    assert guard.require_transition("order", "ready", "lost", roles=["manager"]).transition == "lose"
    with pytest.raises(RefusedError) as refused:
        guard.require_transition("order", "ready", "closed", inputs={"invoice_issued": False})
    assert isinstance(refused.value.__cause__, TransitionError)
    assert (refused.value.code, len(refused.value.problem["blockers"])) == ("guard_failed", 1)
    # What a client sends in place of a stage is not sent back, where no stage is called so.
    for text in ("\ud800", "x" * 1000):
        with pytest.raises(RefusedError) as refused:
            guard.require_transition("order", "ready", text)
        assert (refused.value.problem["status"], refused.value.problem.get("to")) == (400, None)
        json.dumps(refused.value.problem, ensure_ascii=False).encode()
    with pytest.raises(TransitionError):
        guard.check_transition("order", "ready", "closed")
    with pytest.raises(RefusedError, match="`nothing` is not known"):
        guard.require("nothing")
    with pytest.raises(TypeError, match=r"the usage of `max_users` is 1\.5"):
        guard.require_limit("max_users", 1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"what is requested of `max_users` is True: say an int"):
        guard.require_limit("max_users", 1, True)
    with pytest.raises(ArgumentError, match="`action` is `use` or `read`, not `raed`"):
        guard.require("max_users", action="raed")  # type: ignore[arg-type]


class TestTenants:
    """Whose request it is."""

    def status(self, policies: Policies, tenant: Any, path: str = "/open/who", **headers: str) -> int:
        with TestClient(app_of(Leasehold(policies, tenant=tenant)), raise_server_exceptions=False) as client:
            return int(client.get(path, headers=headers).status_code)

    def test_is_what_a_dependency_says(self, policies: Policies) -> None:
        asked: list[str] = []

        def user(authorization: Annotated[str | None, Header()] = None) -> str:
            if authorization is None:
                raise HTTPException(401)
            return authorization.removeprefix("Bearer of ")

        async def tenant_of(user: Annotated[str, Depends(user)]) -> str:
            asked.append(user)
            return user

        assert self.status(policies, tenant_of, "/invoices/both", authorization="Bearer of acme") == 200
        assert asked == ["acme"], "once for a request"
        headers = {"authorization": "Bearer of bare", "x-tenant-id": "acme"}
        assert self.status(policies, tenant_of, "/invoices/pdf", **headers) == 403
        assert self.status(policies, tenant_of, **of("acme")) == 401
        assert self.status(policies, tenant_of, "/open") == 200

    @pytest.mark.parametrize(
        "tenant",
        [
            lambda request: request.query_params.get("of"),
            lambda request, of=None: of,
            lambda of=None: of,
        ],
    )
    def test_is_what_a_function_makes_of_the_request(self, policies: Policies, tenant: Any) -> None:
        assert self.status(policies, tenant, "/open/who?of=acme") == 200
        assert self.status(policies, tenant, "/open/who?of=nobody") == 403
        assert self.status(policies, tenant, "/open/who", **of("acme")) == 400

    def test_may_be_asked_for_in_generators_and_coroutines(self, policies: Policies) -> None:
        ended: list[str] = []

        async def soon(request) -> str | None:  # type: ignore[no-untyped-def]
            return await asyncio.sleep(0, request.headers.get("x-tenant-id"))

        def while_it_lasts(request: Request) -> Generator[str | None]:
            yield request.headers.get("x-tenant-id")
            ended.append("ended")

        assert self.status(policies, soon, **of("acme")) == 200
        assert self.status(policies, while_it_lasts, **of("acme")) == 200
        assert ended == ["ended"]

    @pytest.mark.parametrize("said", [7, True, b"acme", ["acme"], object()])
    def test_that_is_no_text_is_the_fault_of_the_app(self, policies: Policies, said: object) -> None:
        assert self.status(policies, lambda: said) == 500

    @pytest.mark.parametrize(("said", "status"), [("a\ud800", 400), ("\0", 403), ("x" * 10_000, 403)])
    def test_may_be_any_text(self, policies: Policies, said: str, status: int) -> None:
        assert self.status(policies, lambda: said) == status

    def test_by_header_is_shown_to_whoever_builds_on_it(self) -> None:
        assert tenant_from_header.__doc__ is not None
        assert "It believes whoever sends it" in tenant_from_header.__doc__


def test_answers_can_be_given_as_they_are(policies: Policies) -> None:
    leasehold = Leasehold(policies)
    app = FastAPI()
    leasehold.install(app)
    CurrentTenant = Annotated[Tenant, Depends(leasehold.tenant)]

    class Shown(BaseModel):
        transitions: tuple[TransitionAnswer, ...]

    @app.get("/entitlements")
    def entitlements(tenant: CurrentTenant) -> Entitlements:
        return tenant.entitlements()

    @app.get("/untold")
    def untold(tenant: CurrentTenant):  # type: ignore[no-untyped-def]
        return {"entitlements": [tenant.entitlements()]}

    @app.get("/model")
    def model(tenant: CurrentTenant) -> Shown:
        return Shown(transitions=tenant.transitions("order", "ready"))

    with TestClient(app) as client:
        client.headers.update(of("acme"))
        tenant = policies.tenant("acme")
        assert client.get("/entitlements").json() == tenant.entitlements().to_dict()
        assert client.get("/untold").json() == {"entitlements": [tenant.entitlements().to_dict()]}
        shown = [one.to_dict() for one in tenant.transitions("order", "ready")]
        assert client.get("/model").json() == {"transitions": shown}
        paths = client.get("/openapi.json").json()["paths"]
    schema = paths["/entitlements"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["properties"]["plan"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert schema["properties"]["access"] == {"enum": ["none", "billing_only", "read_only", "full"]}
    assert schema["properties"]["values"] == {"type": "object", "additionalProperties": {}}


def test_the_openapi_document_says_what_may_be_refused(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/LeaseholdProblem"}}}

    def refusals(path: str, method: str) -> list[str]:
        responses = document["paths"][path][method]["responses"]
        return [status for status, answer in responses.items() if answer.get("content") == problem]

    for path in ("/invoices/pdf", "/invoices/archive", "/invoices/both", "/open/who"):
        assert sorted(refusals(path, "get")) == ["400", "403", "503"], path
    assert sorted(refusals("/orders/move", "post")) == ["400", "403", "409", "503"]
    assert refusals("/open", "get") == []
    both = document["paths"]["/invoices/both"]["get"]
    assert both["description"] == "Both."
    assert [one["name"] for one in both["parameters"]] == ["page", "x-tenant-id"]
    assert "code" in document["components"]["schemas"]["LeaseholdProblem"]["required"]
    assert client.get("/openapi.json").json() == document


def test_an_app_that_says_itself_what_it_refuses_keeps_that(policies: Policies) -> None:
    leasehold = Leasehold(policies)
    app = FastAPI()
    leasehold.install(app)
    told: dict[int | str, dict[str, Any]] = {403: {"description": "Not paid", "content": {"text/plain": {}}}}

    @app.get("/", responses=told, dependencies=[Depends(leasehold.require("invoicing"))])
    def root() -> None: ...

    @app.exception_handler(RefusedError)
    def other(_: Request, error: RefusedError) -> Response:
        return PlainTextResponse(error.problem["detail"], 418)

    with TestClient(app) as client:
        refused = client.get("/", headers=of("bare"))
        assert (refused.status_code, refused.text[:17]) == (418, "`invoicing` is of")
        answer = client.get("/openapi.json").json()["paths"]["/"]["get"]["responses"]["403"]
        assert answer["description"] == "Not paid"
        assert answer["content"].keys() == {"text/plain", "application/problem+json"}


class TestKeys:
    """Keys that do not exist fail when the app starts."""

    MISTAKES = (
        "GET /one: require('pdf_invoice'): feature `pdf_invoice` is not known, did you mean `pdf_invoices`?",
        "GET /one: require('max_users'): feature `max_users` is a limit, not a switch",
        "POST /two: require_limit('pdf_invoices'): feature `pdf_invoices` is a switch, not a limit",
        "POST /three: require_transition('ordre'): workflow `ordre` is not known, did you mean `order`?",
        "/socket: require('quite_something_else'): feature `quite_something_else` is not known",
        "GET /four: `requires` stands above what says the path, and guards nothing: put it below",
        "/below: GET /five: require('pdf_invoise'): feature `pdf_invoise` is not known, did you mean `pdf_invoices`?",
    )

    def mistaken(self, leasehold: Leasehold) -> FastAPI:
        app = FastAPI(openapi_url=None)
        leasehold.install(app)
        router = APIRouter(dependencies=[Depends(leasehold.require("pdf_invoice"))])

        @router.get("/one")
        @leasehold.requires("max_users")
        def one() -> None: ...

        @app.post("/two", dependencies=[Depends(leasehold.require_limit("pdf_invoices", used=0))])
        def two() -> None: ...

        def nested(_: Annotated[object, Depends(leasehold.require_transition("ordre", from_="a", to="b"))]) -> None: ...

        @app.post("/three", dependencies=[Depends(nested)])
        def three() -> None: ...

        @app.websocket("/socket")
        @leasehold.requires("quite_something_else")
        async def socket(socket: WebSocket) -> None: ...

        @leasehold.requires("invoicing")
        @app.get("/four")
        def four() -> None: ...

        below = FastAPI(openapi_url=None)

        @below.get("/five")
        @leasehold.requires("pdf_invoise")
        def five() -> None: ...

        app.include_router(router)
        app.mount("/below", below)
        return app

    @pytest.mark.parametrize("made", [True, False])
    def test_all_of_them_are_told(self, policies: Policies, made: bool) -> None:
        app = self.mistaken(Leasehold((lambda: policies) if made else policies))
        with pytest.raises(UnknownKeysError) as raised, TestClient(app):
            pass
        assert raised.value.code == "unknown_keys"
        assert sorted(raised.value.mistakes) == sorted(self.MISTAKES)
        assert all(mistake in str(raised.value) for mistake in self.MISTAKES)
        assert policies.closed is made, "an app that does not start leaves nothing behind"

    def test_or_they_are_warned_of_and_refused(self, policies: Policies, caplog: pytest.LogCaptureFixture) -> None:
        app = self.mistaken(Leasehold(policies, on_unknown_keys="warn"))
        with TestClient(app) as client:
            assert "did you mean `pdf_invoices`?" in caplog.text
            is_problem(client.get("/one", headers=of("acme")), 403, "unknown_feature", feature="pdf_invoice")
            is_problem(client.get("/below/five", headers=of("acme")), 403, "unknown_feature")
            is_problem(client.post("/three", headers=of("acme")), 403, "unknown_workflow", workflow="ordre")


class TestEngines:
    """Where the engine comes from."""

    @pytest.mark.parametrize("soon", [True, False])
    def test_that_was_given_stays_open_and_one_that_was_made_is_closed(self, policies: Policies, soon: bool) -> None:
        with TestClient(app_of(Leasehold(policies))) as client:
            assert client.get("/open/who", headers=of("acme")).status_code == 200
        assert not policies.closed
        threads: list[threading.Thread] = []

        def make() -> Engine:
            threads.append(threading.current_thread())
            return policies

        async def make_soon() -> Engine:
            return make()

        with TestClient(app_of(Leasehold(make_soon if soon else make))) as client:
            assert client.get("/open/who", headers=of("acme")).status_code == 200
            assert not policies.closed
        assert policies.closed
        assert len(threads) == 1

    def test_is_made_again_when_the_app_starts_again(self) -> None:
        made: list[Policies] = []

        def make() -> Engine:
            made.append(policies_of())
            return made[-1]

        app = app_of(Leasehold(make))
        for _ in range(2):
            with TestClient(app) as client:
                assert client.get("/open/who", headers=of("acme")).status_code == 200
        assert [one.closed for one in made] == [True, True]

    def test_serves_several_apps_until_the_last_ends(self) -> None:
        made: list[Policies] = []

        def make() -> Engine:
            made.append(policies_of())
            return made[-1]

        leasehold = Leasehold(make)
        one, other = app_of(leasehold), app_of(leasehold)
        with TestClient(one) as client:
            with TestClient(other):
                pass
            assert client.get("/open/who", headers=of("acme")).status_code == 200
        assert [engine.closed for engine in made] == [True]

    def test_is_there_while_the_app_begins_and_ends(self, policies: Policies) -> None:
        seen: list[int] = []
        leasehold = Leasehold(lambda: policies)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, int]]:
            engine = await leasehold.engine()
            seen.append(engine.snapshot().revision)
            yield {"at": 7}
            assert not engine.closed

        app = FastAPI(lifespan=lifespan)
        leasehold.install(app)

        @app.get("/")
        def root(request: Request) -> int:
            at: int = request.state.at
            return at

        with TestClient(app) as client:
            assert client.get("/").json() == 7
        assert seen == [1]
        assert policies.closed

    def test_without_one_nothing_is_let_through(self) -> None:
        def make() -> Engine:
            raise AssertionError("it is made when the app starts")

        client = TestClient(app_of(Leasehold(make)), raise_server_exceptions=False)
        assert client.get("/open/who", headers=of("acme")).status_code == 500
        assert client.get("/invoices/pdf", headers=of("acme")).status_code == 500
        uninstalled = FastAPI()
        uninstalled.add_api_route("/", lambda: 1, dependencies=[Depends(Leasehold(policies_of()).require("invoicing"))])
        client = TestClient(uninstalled, raise_server_exceptions=False)
        assert client.get("/", headers=of("acme")).status_code == 200
        assert client.get("/", headers=of("bare")).status_code == 500

    def test_is_replaced_in_tests_of_an_app_that_has_its_own(self, policies: Policies) -> None:
        def make() -> Engine:
            raise AssertionError("it is not made")

        leasehold = Leasehold(make)
        app = app_of(leasehold)
        app.dependency_overrides[leasehold.engine] = lambda: policies
        with TestClient(app) as client:
            assert client.get("/invoices/pdf", headers=of("acme")).status_code == 200
            is_problem(client.get("/invoices/pdf", headers=of("bare")), 403, "feature_off")
            policies.set("bare", plan="growth", features={"pdf_invoices": True})
            assert client.get("/invoices/pdf", headers=of("bare")).status_code == 200
        assert not policies.closed
        app.dependency_overrides[leasehold.engine] = lambda: Policies(
            definitions={"features": {}, "plans": {}, "workflows": {}}
        )
        with pytest.raises(UnknownKeysError), TestClient(app):
            pass

    def test_what_is_asked_for_can_be_replaced_too(self, policies: Policies) -> None:
        leasehold = Leasehold(policies)
        app = app_of(leasehold)
        app.dependency_overrides[leasehold.require("pdf_invoices")] = lambda: None
        app.dependency_overrides[leasehold.require("invoicing", action="read")] = lambda: None
        with TestClient(app) as client:
            assert client.get("/invoices/pdf").status_code == 200

    @pytest.mark.parametrize("made", [True, False])
    def test_that_is_closed_starts_no_app(self, policies: Policies, made: bool) -> None:
        policies.close()
        with pytest.raises(ClosedError), TestClient(app_of(Leasehold((lambda: policies) if made else policies))):
            pass

    @pytest.mark.parametrize("engine", [None, "an engine", 7])
    def test_is_an_engine_or_makes_one(self, engine: Any) -> None:
        with pytest.raises(ArgumentError, match="`engine` is an `Engine`, or a function"):
            Leasehold(engine)
        with (
            pytest.raises(ArgumentError, match="`engine` gives an `Engine`"),
            TestClient(app_of(Leasehold(lambda: engine))),
        ):
            pass


def test_mistakes_of_whoever_writes_the_app(policies: Policies) -> None:
    leasehold = Leasehold(policies)
    app = app_of(leasehold)
    wrong: list[tuple[Any, str]] = [
        (lambda: leasehold.install(app), "installed in the app already"),
        (lambda: leasehold.install(7), "`app` is a `FastAPI`, not of type `int`"),  # type: ignore[arg-type]
        (lambda: leasehold.requires(), "asks for nothing"),
        (lambda: leasehold.requires(7), "takes features and requirements, not `7`"),  # type: ignore[arg-type]
        (lambda: leasehold.require("a", action="raed"), "`action` is `use` or `read`, not `raed`"),  # type: ignore[arg-type]
        (lambda: leasehold.require("a", action=["read"]), "`action` is `use` or `read`"),  # type: ignore[arg-type]
        (lambda: leasehold.require_transition("order"), "say either `move`, or `from_` and `to`"),
        (lambda: leasehold.require_transition("order", from_="a"), "say `from_` and `to`"),
        (lambda: leasehold.require_transition("order", from_="a", to="b", move=lambda: Move("a", "b")), "say either"),
        (lambda: Leasehold(policies, tenant="acme"), "`tenant` is a dependency"),  # type: ignore[arg-type]
        (lambda: Leasehold(policies, on_unknown_keys="x"), "`fail` or `warn`, not `x`"),  # type: ignore[arg-type]
    ]
    for make, message in wrong:
        with pytest.raises(ArgumentError, match=message):
            make()
    assert repr(leasehold.require("a", action="read")) == "require('a', action='read')"
    assert leasehold.require("a") is leasehold.require("a")
    assert isinstance(leasehold.tenant, Requirement)


def test_what_is_decorated_runs_where_fastapi_runs_it_alone(policies: Policies) -> None:
    leasehold = Leasehold(policies)

    @leasehold.requires("invoicing")
    def one() -> int:
        return 1

    @leasehold.requires("invoicing")
    async def other() -> int:
        return 1

    with pytest.raises(RuntimeError, match=r"`.*one` is called by FastAPI alone: nothing was decided here"):
        one()
    with pytest.raises(RuntimeError, match="nothing was decided here"):
        asyncio.run(other())
    app = FastAPI()
    app.add_route("/", lambda _: Response(str(one())))
    assert TestClient(app, raise_server_exceptions=False).get("/").status_code == 500


def test_decorators_gather(policies: Policies) -> None:
    leasehold = Leasehold(policies)
    app = FastAPI()
    leasehold.install(app)

    @app.get("/")
    @leasehold.requires("invoicing")
    @leasehold.requires("pdf_invoices")
    def root(request: Request, *, page: int = 1) -> int:
        assert request.url.path == "/"
        return page

    @app.get("/lines")
    @leasehold.requires("pdf_invoices")
    async def lines() -> AsyncGenerator[int]:
        yield 1
        yield 2

    policies.set("odd", features={"invoicing": True})
    with TestClient(app) as client:
        assert client.get("/?page=2", headers=of("acme")).json() == 2
        is_problem(client.get("/", headers=of("odd")), 403, "feature_off", feature="pdf_invoices")
        is_problem(client.get("/", headers=of("bare")), 403, "feature_off", feature="invoicing")
        assert client.get("/lines", headers=of("acme")).text.split() == ["1", "2"]
        is_problem(client.get("/lines", headers=of("odd")), 403, "feature_off")


def test_websockets_are_refused_before_they_are_accepted(policies: Policies) -> None:
    leasehold = Leasehold(policies)
    app = FastAPI()
    leasehold.install(app)

    @app.websocket("/")
    @leasehold.requires("pdf_invoices")
    async def socket(socket: WebSocket, tenant: Annotated[Tenant, Depends(leasehold.tenant)]) -> None:
        await socket.accept()
        await socket.send_text(tenant.id)
        guard = await leasehold.guard(engine=policies, tenant_id=tenant.id)
        guard.require_limit("max_users", 5)

    with TestClient(app) as client:
        with client.websocket_connect("/", headers=of("acme")) as connection:
            assert connection.receive_text() == "acme"
            with pytest.raises(WebSocketDisconnect) as ended:
                connection.receive_text()
            assert (ended.value.code, ended.value.reason) == (1008, "limit_reached")
        for headers, status, code in (
            (of("bare"), 403, "feature_off"),
            (of("nobody"), 403, "unknown_tenant"),
            ({}, 400, "tenant_required"),
        ):
            with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/", headers=headers):
                pass
            is_problem(denied.value, status, code)


class Seen(trace.NonRecordingSpan):
    """A span that keeps what is said of it."""

    def __init__(self) -> None:
        super().__init__(trace.SpanContext(1, 1, is_remote=False))
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.events.append((name, dict(attributes)))


class Counted(metrics.NoOpCounter):
    """A counter that keeps what is counted."""

    def __init__(self) -> None:
        super().__init__("leasehold.decisions")
        self.counts: Counter[tuple[tuple[str, Any], ...]] = Counter()

    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self.counts[tuple(sorted(attributes.items()))] += int(amount)


@pytest.mark.parametrize("tenant_in_metrics", [True, False])
def test_spans_and_metrics_carry_the_tenant(
    policies: Policies, monkeypatch: pytest.MonkeyPatch, tenant_in_metrics: bool
) -> None:
    counted, spans = Counted(), list[Seen]()
    meter = metrics.NoOpMeter("leasehold")
    monkeypatch.setattr(meter, "create_counter", lambda name, description: {"leasehold.decisions": counted}[name])
    monkeypatch.setattr(metrics, "get_meter", lambda name: {"leasehold": meter}[name])
    app = app_of(Leasehold(policies, tenant_in_metrics=tenant_in_metrics))

    @app.middleware("http")
    async def traced(request: Request, call: Any) -> Response:
        spans.append(Seen())
        with trace.use_span(spans[-1]):
            answer: Response = await call(request)
            return answer

    with TestClient(app) as client:
        client.get("/invoices/pdf", headers=of("acme"))
        client.get("/invoices/pdf", headers=of("frozen"))
        client.get("/invoices/pdf")
        client.post("/users/known", headers=of("acme"))
        client.post("/orders/7/close", headers=of("acme"), json={"invoice_issued": True})
    granted, refused, nobody, *_ = spans
    assert granted.attributes == {"leasehold.tenant": "acme"}
    assert [name for name, _ in granted.events] == ["leasehold.decision"] * 2
    assert granted.events[1][1] == {
        "leasehold.kind": "feature",
        "leasehold.feature": "pdf_invoices",
        "leasehold.outcome": "allow",
        "leasehold.reason": "granted",
        "leasehold.tenant": "acme",
        "leasehold.revision": 1,
    }
    assert refused.events[-1][1]["leasehold.reason"] == "blocked"
    assert nobody.attributes == {}
    assert [said["leasehold.reason"] for _, said in nobody.events] == ["tenant_required"]

    def count(whose: str, **wanted: str) -> int:
        expected = {f"leasehold.{name}": value for name, value in wanted.items()}
        if tenant_in_metrics and whose:
            expected["leasehold.tenant"] = whose
        return counted.counts[tuple(sorted(expected.items()))]

    assert count("acme", kind="feature", feature="pdf_invoices", outcome="allow", reason="granted") == 1
    assert count("frozen", kind="feature", feature="pdf_invoices", outcome="deny", reason="blocked") == 1
    assert count("", kind="tenant", outcome="deny", reason="tenant_required") == 1
    assert count("acme", kind="limit", feature="max_users", outcome="deny", reason="limit_reached") == 1
    assert count("acme", kind="transition", workflow="order", outcome="allow", reason="granted") == 1
    assert sum(counted.counts.values()) == 7


def test_decisions_are_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "leasehold.decisions")
    for headers in (of("acme"), of("frozen"), {}):
        client.get("/invoices/both", headers=headers)
    assert [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "leasehold.decisions"] == [
        ("DEBUG", "feature `invoicing` for tenant `acme`: allow, granted (revision 1)"),
        ("DEBUG", "feature `invoicing` for tenant `acme`: allow, granted (revision 1)"),
        ("DEBUG", "feature `pdf_invoices` for tenant `acme`: allow, granted (revision 1)"),
        ("DEBUG", "feature `invoicing` for tenant `frozen`: allow, granted (revision 1)"),
        ("INFO", "feature `invoicing` for tenant `frozen`: deny, blocked (revision 1)"),
        ("INFO", "tenant: deny, tenant_required"),
    ]


def test_guards_work_without_opentelemetry() -> None:
    # FastAPI has it since 0.165, and Django does not.
    script = """
import sys
sys.modules["opentelemetry"] = None
from leasehold._guard import Guard
from leasehold._watch import Watch
from leasehold.testing import Policies
guard = Guard(Policies({"acme": {"features": {"pdf": True}}}), "acme", Watch())
print(guard.require("pdf").reason)
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert said.stdout == "granted\n"


def test_the_core_needs_no_framework() -> None:
    script = "import leasehold, sys; print([name for name in ('fastapi', 'pydantic', 'pytest') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_an_app_follows_and_ends_with_its_engine() -> None:
    conformance = Path(__file__).parents[3] / "tests/conformance"
    trust = (conformance / "trust.json").read_text()
    pack = (conformance / "packs/limits.pack").read_bytes()
    followed: list[Engine] = []

    def make() -> Engine:
        followed.append(Engine.from_pack(pack, trust))
        return followed[-1]

    leasehold = Leasehold(make)
    app = FastAPI()
    leasehold.install(app)

    @app.get("/")
    def root(engine: Annotated[Engine, Depends(leasehold.engine)]) -> int:
        return engine.snapshot().revision

    with TestClient(app) as client:
        assert client.get("/").json() == Snapshot.from_pack(pack, trust).revision
    assert followed[0].closed


@pytest.mark.parametrize("name", ["require", "require_limit", "require_transition"])
def test_what_makes_a_dependency_is_none_itself(name: str) -> None:
    with Policies() as engine:
        leasehold = Leasehold(engine)
        app = FastAPI()
        leasehold.install(app)
        app.get("/")(lambda: "in")
        app.router.add_api_route("/open", lambda: "in", dependencies=[Depends(getattr(leasehold, name))])
        with pytest.raises(ArgumentError, match="itself is depended on"), TestClient(app):
            pass


def test_apps_that_start_at_once_share_one_engine() -> None:
    made: list[Engine] = []

    async def make() -> Engine:
        await asyncio.sleep(0)
        made.append(Policies())
        return made[-1]

    leasehold = Leasehold(make)
    apps = [FastAPI(), FastAPI()]
    for app in apps:
        leasehold.install(app)

    async def runs(app: FastAPI) -> None:
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0.05)

    async def both() -> None:
        await asyncio.gather(*map(runs, apps))

    asyncio.run(both())
    assert [engine.closed for engine in made] == [True]


@pytest.mark.parametrize("soon", [True, False])
def test_so_do_apps_that_start_at_once_on_loops_of_their_own(soon: bool) -> None:
    made: list[Engine] = []
    starting: list[FastAPI] = []
    ended = threading.Event()
    problems: list[str] = []

    def make() -> Engine:
        until("the other one starts", lambda: len(starting) == 2)
        # It looks for the engine meanwhile.
        time.sleep(0.05)
        made.append(Policies())
        return made[-1]

    async def make_soon() -> Engine:
        return await asyncio.to_thread(make)

    leasehold = Leasehold(make_soon if soon else make)

    async def runs(app: FastAPI, last: bool) -> None:
        starting.append(app)
        async with app.router.lifespan_context(app):
            if last:
                # The first one ends while this one still runs.
                await asyncio.to_thread(ended.wait, 30)
            if (await leasehold.engine()).closed:
                problems.append("it is closed while an app runs")
        ended.set()

    threads: list[threading.Thread] = []
    for last in (False, True):
        app = FastAPI()
        leasehold.install(app)
        threads.append(threading.Thread(target=asyncio.run, args=(runs(app, last),), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [thread.is_alive() for thread in threads] == [False, False], "an app does not start"
    assert ([engine.closed for engine in made], problems) == ([True], [])


@pytest.mark.parametrize("ends", ["fails", "is cancelled", "is not waited for"])
def test_an_app_that_starts_beside_another_one_starts_whatever_becomes_of_that(ends: str) -> None:
    made: list[Engine] = []
    tries: list[str] = []

    async def make() -> Engine:
        tries.append(ends)
        await asyncio.sleep(0.05)
        if ends == "fails" and len(tries) == 1:
            raise OSError("nothing is there")
        made.append(Policies())
        return made[-1]

    leasehold = Leasehold(make)

    async def runs() -> None:
        app = FastAPI()
        leasehold.install(app)
        async with app.router.lifespan_context(app):
            assert not (await leasehold.engine()).closed

    async def both() -> list[BaseException | None]:
        first, second = asyncio.ensure_future(runs()), asyncio.ensure_future(runs())
        until_end = asyncio.gather(first, second, return_exceptions=True)
        await asyncio.sleep(0.01)
        if ends == "is cancelled":
            first.cancel()
        if ends == "is not waited for":
            second.cancel()
        return list(await asyncio.wait_for(until_end, 30))

    kinds = [type(error) for error in asyncio.run(both())]
    assert (
        kinds
        == {
            "fails": [OSError, type(None)],
            "is cancelled": [asyncio.CancelledError, type(None)],
            "is not waited for": [type(None), asyncio.CancelledError],
        }[ends]
    )
    assert [engine.closed for engine in made] == [True]
