"""Django: a small project, asked through both of Django's clients."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template import Context, Template, TemplateSyntaxError
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from leasehold import ArgumentError, ClosedError, Engine, SnapshotError, UnknownFeatureError
from leasehold.testing import Policies
from support.desk import STREAM, Desk
from support.wait import until

SINCE = "2000-01-01T00:00:00Z"
LOCMEM = "django.template.loaders.locmem.Loader"


def templates_of(loaders: list[Any] | None = None, **of: Any) -> list[dict[str, Any]]:
    options: dict[str, Any] = {"context_processors": ["django.template.context_processors.request"]}
    if loaders is not None:
        options["loaders"] = loaders
    return [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options, **of}]


settings.configure(
    SECRET_KEY="of tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["leasehold.django"],
    MIDDLEWARE=["leasehold.django.LeaseholdMiddleware"],
    TEMPLATES=templates_of([(LOCMEM, {"403.html": "<h1>No: {{ exception }}</h1>"})]),
    USE_TZ=True,
)
django.setup()

from leasehold.django import (  # noqa: E402
    LeaseholdMiddleware,
    LeaseholdRequest,
    Move,
    Problem,
    RefusedError,
    engine,
    entitlements_for,
    entitlements_of,
    feature_required,
    limit_required,
    outcomes_of,
    permission_denied,
    tenant_from_header,
    transition_required,
)
from leasehold.django import engines as engines_of_app  # noqa: E402
from leasehold.django.decorators import named  # noqa: E402


def labelled(**of: Any) -> dict[str, Any]:
    return {"name": "a", "name2": "a", **of}


def put(feature: str, to: object) -> dict[str, Any]:
    return {"feature": feature, "op": "set", "value": to, "reason": "r", "actor": "a"}


def tenant(*overrides: dict[str, Any], **of: Any) -> dict[str, Any]:
    by_id = {one["feature"]: one for one in overrides}
    return labelled(region="R", anchor=SINCE, overrides=by_id, **of)


DEFINITIONS: dict[str, Any] = {
    "features": {
        "invoicing": labelled(kind="switch", group="module"),
        "pdf_invoices": labelled(kind="switch", group="add_on", requires=["invoicing"]),
        "max_users": labelled(kind="limit", unit="user", group="limits"),
        "max_orders": labelled(kind="limit", unit="order", group="limits"),
        "currency": labelled(kind="value", type="string", default="OMR", group="values"),
    },
    "workflows": {
        "order": labelled(
            versions={
                "1": {
                    "stages": {
                        "ready": labelled(initial=True),
                        "closed": labelled(final=True),
                        "lost": labelled(final=True),
                    },
                    "transitions": {
                        "pick_up": {
                            **labelled(),
                            "from": "ready",
                            "event": "pick_up",
                            "to": "closed",
                            "guards": {"requires_invoice": {}},
                        },
                        "lose": {**labelled(), "from": "ready", "event": "lose", "to": "lost", "role": "manager"},
                    },
                }
            }
        )
    },
    "tenants": {
        "acme": tenant(
            put("invoicing", True),
            put("pdf_invoices", True),
            put("max_users", {"amount": 5}),
            put("max_orders", {"amount": 5, "mode": "soft"}),
        ),
        "bare": tenant(put("max_users", {"amount": 5})),
        "frozen": tenant(
            put("invoicing", True),
            put("pdf_invoices", True),
            blocks={
                "b": {"kind": "restricted", "level": "read_only", "laid_by": "staff", "since": SINCE, "reason": "r"}
            },
        ),
    },
}


def make(revision: int = 7) -> Engine:
    return Engine.from_definitions(DEFINITIONS, revision=revision)


# The project: views, settings that name functions, and URLs.


def answer(request: HttpRequest, **more: object) -> JsonResponse:
    return JsonResponse({"tenant": entitlements_of(request).tenant.id, **more})


def in_use(feature: str, tenant: Any, request: HttpRequest) -> int:
    assert feature == "max_users"
    return {"acme": 4, "bare": 5, "frozen": 0}[tenant.id]


async def ain_use(feature: str, tenant: Any, request: HttpRequest) -> int:
    return in_use(feature, tenant, request)


def tenant_of_query(request: HttpRequest) -> str | None:
    if "denied" in request.GET:
        raise PermissionDenied("not with that session")
    return request.GET.get("of")


async def atenant_of_query(request: HttpRequest) -> str | None:
    return tenant_of_query(request)


def tenant_of_database(request: HttpRequest) -> str | None:
    # What the ORM does in a coroutine.
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    return request.GET.get("of")


def as_text(request: HttpRequest, problem: Problem) -> HttpResponse:
    return HttpResponse(f"{problem['code']} of {request.path}", "text/plain", problem["status"])


async def as_coroutine(request: HttpRequest, problem: Problem) -> HttpResponse:
    return as_text(request, problem)


def plain(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


@feature_required("invoicing", "pdf_invoices")
def pdf(request: HttpRequest) -> JsonResponse:
    decisions = outcomes_of(request).features
    return answer(request, reasons={key: decision.reason for key, decision in decisions.items()})


@feature_required("pdf_invoices")
async def apdf(request: HttpRequest) -> JsonResponse:
    return answer(request)


@feature_required("pdf_invoices", action="read")
def read_pdf(request: HttpRequest) -> JsonResponse:
    return answer(request)


@feature_required("pdf_invoices", refuse=permission_denied)
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<h1>Yes</h1>")


@feature_required("pdf_invoices", refuse=permission_denied)
async def apage(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<h1>Yes</h1>")


def said(name: str) -> Callable[..., int]:
    def of(request: HttpRequest, **kwargs: object) -> int:
        assert kwargs == {"branch": 3}
        return int(request.GET[name])

    return of


async def aused(request: HttpRequest, branch: int) -> int:
    return int(request.GET["used"])


@limit_required("max_users", used=said("used"), requested=said("requested"))
def users(request: HttpRequest, branch: int) -> JsonResponse:
    return answer(request, remaining=outcomes_of(request).limits["max_users"].remaining)


@limit_required("max_users", used=aused, requested=said("requested"))
async def ausers(request: HttpRequest, branch: int) -> JsonResponse:
    return answer(request, remaining=outcomes_of(request).limits["max_users"].remaining)


@limit_required("max_users")
def counted(request: HttpRequest) -> JsonResponse:
    return answer(request)


@limit_required("max_users")
async def acounted(request: HttpRequest) -> JsonResponse:
    return answer(request)


@limit_required("max_orders", used=5)
def orders(request: HttpRequest) -> JsonResponse:
    return answer(request, outcome=outcomes_of(request).limits["max_orders"].outcome)


@limit_required("max_users", used=-1)
def miscounted(request: HttpRequest) -> JsonResponse:
    raise AssertionError("nobody may get here")


@limit_required("max_users", used=1, requested=True)
def misrequested(request: HttpRequest) -> JsonResponse:
    raise AssertionError("nobody may get here")


@limit_required("max_users", used=aused)
def awaiting(request: HttpRequest, branch: int) -> JsonResponse:
    raise AssertionError("nobody may get here")


def move_of(request: HttpRequest) -> Move:
    return Move(
        request.GET.get("from", "ready"),
        request.GET["to"],
        inputs={"invoice_issued": "invoice" in request.GET},
        roles=request.GET.getlist("role"),
    )


@transition_required("order", move=move_of)
def move(request: HttpRequest) -> JsonResponse:
    return answer(request, transition=outcomes_of(request).transitions["order"].transition)


@transition_required(
    "order",
    from_stage="ready",
    to_stage=lambda request: request.GET["to"],
    inputs=lambda request: {"invoice_issued": "invoice" in request.GET},
    roles=lambda request: request.GET.getlist("role"),
)
async def amove(request: HttpRequest) -> JsonResponse:
    return answer(request, transition=outcomes_of(request).transitions["order"].transition)


def bad_move(request: HttpRequest) -> Any:
    return ("ready", "closed")


@transition_required("order", move=bad_move)
def moved_badly(request: HttpRequest) -> JsonResponse:
    raise AssertionError("nobody may get here")


@method_decorator(feature_required("pdf_invoices"), name="dispatch")
class OfDispatch(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


@method_decorator(feature_required("pdf_invoices"), name="dispatch")
class AsyncOfDispatch(View):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


class OfMethod(View):
    @method_decorator(feature_required("pdf_invoices"))
    def get(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


class AsyncOfMethod(View):
    @method_decorator(feature_required("pdf_invoices"))
    async def get(self, request: HttpRequest) -> JsonResponse:
        return answer(request)


def inside(request: LeaseholdRequest) -> JsonResponse:
    request.leasehold.require("pdf_invoices")
    return JsonResponse({"tenant": request.leasehold.tenant.id})


async def ainside(request: LeaseholdRequest) -> JsonResponse:
    leasehold = await request.aleasehold()
    leasehold.require("pdf_invoices")
    return JsonResponse({"tenant": request.leasehold.tenant.id})


def rendered(request: HttpRequest) -> HttpResponse:
    source = request.GET["template"]
    from django.template import engines

    return HttpResponse(engines["django"].from_string("{% load leasehold %}" + source).render({"n": 5}, request))


urlpatterns = [
    path("plain", plain),
    path("pdf", pdf),
    path("apdf", apdf),
    path("read_pdf", read_pdf),
    path("page", page),
    path("apage", apage),
    path("users/<int:branch>", users),
    path("ausers/<int:branch>", ausers),
    path("counted", counted),
    path("acounted", acounted),
    path("orders", orders),
    path("miscounted", miscounted),
    path("misrequested", misrequested),
    path("awaiting/<int:branch>", awaiting),
    path("move", move),
    path("amove", amove),
    path("moved_badly", moved_badly),
    path("of_dispatch", OfDispatch.as_view()),
    path("aof_dispatch", AsyncOfDispatch.as_view()),
    path("of_method", OfMethod.as_view()),
    path("aof_method", AsyncOfMethod.as_view()),
    path("inside", inside),
    path("ainside", ainside),
    path("rendered", rendered),
]

FEATURE_VIEWS = ["pdf", "apdf", "of_dispatch", "aof_dispatch", "of_method", "aof_method", "inside", "ainside"]


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    before = list(named)
    with override_settings(LEASEHOLD={"ENGINE": make(), "USAGE": "test_django.in_use"}):
        yield
    named[:] = before


@pytest.fixture(params=["WSGI", "ASGI"])
def get(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Asks over one of the two interfaces. What a view raises is a 500, as it is to a client."""

    def ask(path: str, tenant: str | None = None, **query: str | int) -> Any:
        headers = {} if tenant is None else {"x-tenant-id": tenant}
        if request.param == "WSGI":
            return Client(raise_request_exception=False).get(f"/{path}", query, headers=headers)
        client = AsyncClient(raise_request_exception=False)
        return asyncio.run(_awaited(client.get(f"/{path}", query, headers=headers)))

    return ask


async def _awaited(asked: Awaitable[Any]) -> Any:
    return await asked


def problem_of(response: Any) -> dict[str, Any]:
    assert response["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == response.status_code
    assert document["type"] == f"urn:leasehold:problem:{document['code']}"
    return document


# Who is asked for, and who may.


@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_a_feature_that_is_on_lets_through_and_one_that_is_off_does_not(get: Callable[..., Any], view: str) -> None:
    through = get(view, "acme")
    assert (through.status_code, through.json()["tenant"]) == (200, "acme")
    refused = get(view, "bare")
    assert refused.status_code == 403
    document = problem_of(refused)
    assert document["code"] == "feature_off"
    assert document["reason"] == "not_granted"
    assert document["revision"] == 7
    assert refused["cache-control"] == "no-store"
    assert problem_of(get(view, "frozen"))["block"] == "restricted"


@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_without_a_tenant_that_there_is_nobody_gets_through(get: Callable[..., Any], view: str) -> None:
    for tenant_id, status, code in (
        (None, 400, "tenant_required"),
        ("", 400, "tenant_required"),
        ("who", 403, "unknown_tenant"),
    ):
        response = get(view, tenant_id)
        assert (response.status_code, problem_of(response)["code"]) == (status, code)


@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_a_closed_engine_lets_nobody_through(get: Callable[..., Any], view: str) -> None:
    engine().close()
    response = get(view, "acme")
    assert (response.status_code, problem_of(response)["code"]) == (503, "closed")


@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_an_engine_that_cannot_be_made_lets_nobody_through(get: Callable[..., Any], view: str) -> None:
    def fail() -> Engine:
        raise SnapshotError("unreachable", "nothing is there", "download", "head")

    with override_settings(LEASEHOLD={"ENGINE": fail}):
        assert get(view, "acme").status_code == 500
        # Who needs no tenant is served.
        assert get("plain").status_code == 200


def test_what_was_decided_is_at_hand(get: Callable[..., Any]) -> None:
    assert get("pdf", "acme").json()["reasons"] == {"invoicing": "granted", "pdf_invoices": "granted"}


def test_with_action_read_a_restricted_tenant_may_look(get: Callable[..., Any]) -> None:
    assert get("pdf", "frozen").status_code == 403
    assert get("read_pdf", "frozen").status_code == 200


def test_a_feature_that_the_revision_does_not_have_is_refused(get: Callable[..., Any]) -> None:
    definitions = {
        **DEFINITIONS,
        "features": {key: of for key, of in DEFINITIONS["features"].items() if key == "currency"},
    }
    definitions["tenants"] = {"acme": tenant()}
    engine().swap(Engine.from_definitions(definitions, revision=8).snapshot())
    document = problem_of(get("pdf", "acme"))
    assert (document["code"], document["status"], document["feature"]) == ("unknown_feature", 403, "invoicing")


# Limits.


@pytest.mark.parametrize("view", ["users/3", "ausers/3"])
def test_limits_count_what_functions_of_the_request_say(get: Callable[..., Any], view: str) -> None:
    through = get(view, "acme", used=3, requested=2)
    assert (through.status_code, through.json()["remaining"]) == (200, 2)
    document = problem_of(get(view, "acme", used=4, requested=2))
    assert (document["status"], document["code"], document["feature"]) == (403, "limit_reached", "max_users")
    assert document["limit"]["outcome"] == "deny"
    assert document["detail"] == "`max_users` allows 5: in use are 4, asked for is 2 more"
    # What the client asks for and cannot mean.
    assert problem_of(get(view, "acme", used=4, requested=-2))["status"] == 400
    # What this app says of itself.
    assert get(view, "acme", used=-4, requested=1).status_code == 500
    assert get(view, "acme", used="many", requested=1).status_code == 500


@pytest.mark.parametrize("usage", ["test_django.in_use", in_use])
def test_where_nothing_is_said_the_setting_knows_what_is_in_use(get: Callable[..., Any], usage: object) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "USAGE": usage}):
        for view in ("counted", "acounted"):
            assert get(view, "acme").status_code == 200
            assert problem_of(get(view, "bare"))["code"] == "limit_reached"
            # It has no such limit, so there is no room in it.
            assert problem_of(get(view, "frozen"))["code"] == "feature_off"


def test_a_coroutine_counts_for_coroutines_and_keeps_others_out(get: Callable[..., Any]) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "USAGE": ain_use}):
        assert get("acounted", "acme").status_code == 200
        assert get("acounted", "bare").status_code == 403
        assert get("counted", "acme").status_code == 500
    assert get("awaiting/3", "acme", used=1).status_code == 500


def test_where_nobody_knows_what_is_in_use_nobody_gets_through(get: Callable[..., Any]) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make()}):
        assert get("counted", "acme").status_code == 500
        assert get("acounted", "acme").status_code == 500
    assert get("miscounted", "acme").status_code == 500


def test_what_is_no_number_is_requested_by_the_app_alone(get: Callable[..., Any]) -> None:
    assert get("misrequested", "acme").status_code == 500


def test_a_soft_limit_lets_through_and_says_so(get: Callable[..., Any]) -> None:
    assert get("orders", "acme").json()["outcome"] == "warn"


# Transitions.


@pytest.mark.parametrize("view", ["move", "amove"])
def test_a_move_that_is_allowed_and_all_that_stands_against_others(get: Callable[..., Any], view: str) -> None:
    assert get(view, "acme", to="closed", invoice=1).json()["transition"] == "pick_up"
    assert get(view, "acme", to="lost", role="manager").json()["transition"] == "lose"

    guarded = problem_of(get(view, "acme", to="closed"))
    assert (guarded["status"], guarded["code"], guarded["workflow"]) == (409, "guard_failed", "order")
    assert (guarded["from"], guarded["to"]) == ("ready", "closed")
    assert [blocker["transition"] for blocker in guarded["blockers"]] == ["pick_up"]
    # Somebody else could.
    assert problem_of(get(view, "acme", to="lost"))["status"] == 403

    for to, status, code in (("ready", 409, "illegal_transition"), ("nowhere", 400, "unknown_stage")):
        document = problem_of(get(view, "acme", to=to))
        assert (document["status"], document["code"], document["to"]) == (status, code, to)


def test_what_gives_no_move_keeps_out(get: Callable[..., Any]) -> None:
    assert get("moved_badly", "acme").status_code == 500
    # What functions of the app raise is theirs.
    assert get("move", "acme").status_code == 500


# The tenant, and the response.


@pytest.mark.parametrize("tenant_of", ["test_django.tenant_of_query", atenant_of_query, tenant_of_database])
@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_a_function_of_the_app_says_which_tenant_a_request_is_for(
    get: Callable[..., Any], view: str, tenant_of: Any
) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "TENANT": tenant_of}):
        # The header counts for nothing then.
        assert problem_of(get(view, "acme"))["code"] == "tenant_required"
        through = get(view, "bare", of="acme")
        assert (through.status_code, through.json()["tenant"]) == (200, "acme")


def test_what_it_raises_the_client_is_answered() -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "TENANT": tenant_of_query}):
        response = Client().get("/pdf", {"denied": 1})
    assert (response.status_code, response.content) == (403, b"<h1>No: not with that session</h1>")


def test_what_is_no_text_is_no_tenant(get: Callable[..., Any]) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "TENANT": lambda request: 17}):
        assert get("pdf", "acme").status_code == 500
        assert get("apdf", "acme").status_code == 500


def test_the_header_names_the_tenant_whatever_its_case() -> None:
    request = RequestFactory().get("/", headers={"X-Tenant-ID": "acme"})
    assert tenant_from_header(request) == "acme"


def test_a_view_that_needs_no_tenant_is_asked_for_none(get: Callable[..., Any]) -> None:
    def never(request: HttpRequest) -> str:
        raise AssertionError("nobody asks")

    with override_settings(LEASEHOLD={"ENGINE": make(), "TENANT": never}):
        assert get("plain").status_code == 200


@pytest.mark.parametrize("refuse", ["test_django.as_text", as_text])
@pytest.mark.parametrize("view", FEATURE_VIEWS)
def test_another_response_for_those_who_may_not(get: Callable[..., Any], view: str, refuse: object) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make(), "REFUSE": refuse}):
        response = get(view, "bare")
    assert (response.status_code, response.content.decode()) == (403, f"feature_off of /{view}")


@pytest.mark.parametrize("view", ["page", "apage"])
def test_a_page_for_people(get: Callable[..., Any], view: str) -> None:
    assert get(view, "acme").content == b"<h1>Yes</h1>"
    response = get(view, "bare")
    assert response.status_code == 403
    assert response.content.startswith(b"<h1>No: `pdf_invoices` is off")
    # What has another status elsewhere has this page as well.
    assert get(view).status_code == 403


def test_without_the_middleware_decorators_guard_all_the_same(get: Callable[..., Any]) -> None:
    with override_settings(MIDDLEWARE=[]):
        for view in ("pdf", "apdf", "of_dispatch", "aof_dispatch"):
            assert get(view, "acme").status_code == 200
            assert problem_of(get(view, "bare"))["code"] == "feature_off"
        assert get("inside", "acme").status_code == 500


def test_the_middleware_takes_both_kinds_of_neighbours() -> None:
    def respond(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse("plain")

    async def arespond(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse("coroutine")

    request: Any = RequestFactory().get("/", headers={"x-tenant-id": "acme"})
    answered: Any = LeaseholdMiddleware(respond)(request)
    assert answered.content == b"plain"
    assert request.leasehold.is_enabled("pdf_invoices")
    middleware: Any = LeaseholdMiddleware(arespond)
    assert asyncio.run(_awaited(middleware(request))).content == b"coroutine"
    assert middleware.process_exception(request, ValueError("of somebody else")) is None


def test_decorators_keep_what_a_view_is() -> None:
    assert (pdf.__name__, apdf.__name__) == ("pdf", "apdf")
    assert asyncio.iscoroutinefunction(apdf)
    assert not asyncio.iscoroutinefunction(pdf)


@pytest.mark.parametrize(
    "decorate",
    [
        lambda: feature_required(),
        lambda: feature_required(pdf),  # type: ignore[arg-type]
        lambda: limit_required(5),  # type: ignore[arg-type]
        lambda: feature_required("invoicing", action="raed"),  # type: ignore[arg-type]
        lambda: transition_required("order"),
        lambda: transition_required("order", from_stage="ready"),
        lambda: transition_required("order", move=move_of, to_stage="closed"),
    ],
)
def test_decorators_that_cannot_be_meant(decorate: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError):
        decorate()


def test_jobs_have_no_request() -> None:
    assert entitlements_for("acme").is_enabled("pdf_invoices")
    with pytest.raises(RefusedError) as refused:
        entitlements_for("bare").require("pdf_invoices")
    assert refused.value.code == "feature_off"
    with pytest.raises(RefusedError):
        entitlements_for(None)


# Templates.


@pytest.mark.parametrize(
    ("template", "acme", "bare"),
    [
        ('{% if_feature "pdf_invoices" %}on{% else %}off{% end_if_feature %}', "on", "off"),
        ('{% if_feature "pdf_invoices" %}on{% end_if_feature %}', "on", ""),
        ('{% if_feature "invoicing" "pdf_invoices" action="read" %}on{% else %}off{% end_if_feature %}', "on", "off"),
        ('{% if_feature "max_users" %}on{% else %}off{% end_if_feature %}', "on", "on"),
        ('{% if_feature "invoicing" %}{% if_feature "max_users" %}a{% end_if_feature %}{% end_if_feature %}', "a", ""),
        ('{% feature "pdf_invoices" as pdf %}{% if pdf and n %}on{% else %}off{% endif %}', "on", "off"),
        ('{% feature_value "currency" as currency %}{{ currency }}', "OMR", "OMR"),
        ('{% has_room "max_users" used=4 as room %}{{ room }}', "True", "True"),
        ('{% has_room "max_users" used=n as room %}{{ room }}', "False", "False"),
        ('{% has_room "max_orders" used=n requested=2 as room %}{{ room }}', "True", "False"),
        ('{% limit "max_users" used=2 as seats %}{{ seats.limit }} {{ seats.remaining }}', "5 3", "5 3"),
        ('{% limit "max_users" used=n as seats %}{{ seats.outcome }}', "deny", "deny"),
    ],
)
def test_tags(get: Callable[..., Any], template: str, acme: str, bare: str) -> None:
    assert get("rendered", "acme", template=template).content.decode() == acme
    assert get("rendered", "bare", template=template).content.decode() == bare


@pytest.mark.parametrize("tenant_id", [None, "who"])
def test_where_nobody_can_say_a_template_shows_what_is_off(get: Callable[..., Any], tenant_id: str | None) -> None:
    template = (
        '{% if_feature "pdf_invoices" %}on{% else %}off{% end_if_feature %} {% feature "invoicing" %} '
        '{% feature_value "currency" %} {% has_room "max_users" %} {% limit "max_users" %}'
    )
    assert get("rendered", tenant_id, template=template).content == b"off False None False None"


def test_what_a_template_names_and_there_is_not_is_off(get: Callable[..., Any]) -> None:
    template = (
        '{% if_feature "nothing" %}on{% else %}off{% end_if_feature %} {% if_feature missing %}on{% else %}off'
        '{% end_if_feature %} {% has_room "currency" %} {% feature_value "invoicing" %}'
    )
    assert get("rendered", "acme", template=template).content == b"off off False None"
    engine().close()
    assert get("rendered", "acme", template='{% feature "invoicing" %}').content == b"False"


def test_what_no_policy_of_a_tenant_names_is_off_in_templates(get: Callable[..., Any]) -> None:
    policies = Policies({"acme": {"values": {"theme": "dark"}, "limits": {"branches": 2}}, "bare": {}})
    template = '{% feature_value "theme" as theme %}{{ theme }} {% feature "theme" %} {% feature "branches" %}'
    with override_settings(LEASEHOLD={"ENGINE": policies}):
        assert get("rendered", "acme", template=template).content == b"dark True True"
        assert get("rendered", "bare", template=template).content == b"None False False"


@pytest.mark.parametrize(
    "template",
    [
        "{% if_feature %}{% end_if_feature %}",
        '{% if_feature action="read" %}{% end_if_feature %}',
        '{% if_feature "a" action="read" "b" %}{% end_if_feature %}',
        '{% if_feature "a" acton="read" %}{% end_if_feature %}',
        '{% if_feature "a" %}',
        "{% feature %}",
    ],
)
def test_tags_that_cannot_be_meant(template: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        Template("{% load leasehold %}" + template)


def test_tags_without_a_request_say_what_is_missing() -> None:
    with pytest.raises(ArgumentError, match="need the request"):
        Template('{% load leasehold %}{% feature "invoicing" %}').render(Context({}))
    request = RequestFactory().get("/", headers={"x-tenant-id": "acme"})
    for wrong in ('{% feature "invoicing" action="write" %}', '{% has_room "max_users" used="many" %}'):
        with pytest.raises(ArgumentError):
            Template("{% load leasehold %}" + wrong).render(Context({"request": request}))


# Checks.


def check() -> list[str]:
    """What `manage.py check` finds, by id and message."""
    try:
        call_command("check", fail_level="WARNING")
    except SystemCheckError as error:
        return [line for line in str(error).splitlines() if "leasehold." in line]
    return []


def test_a_project_without_mistakes_passes() -> None:
    assert check() == []


def test_keys_that_decorators_name_have_to_exist() -> None:
    feature_required("pdf_invoice", "max_users")
    limit_required("max_user", used=1)
    limit_required("currency", used=1)
    transition_required("orders", from_stage="ready", to_stage="closed")
    found = check()
    assert len(found) == 5
    assert all("(leasehold.E003)" in line and "test_django.py:" in line for line in found)
    assert {line[line.index("@") :] for line in found} == {
        "@feature_required('pdf_invoice'): feature `pdf_invoice` is not known, did you mean `pdf_invoices`?",
        "@feature_required('max_users'): feature `max_users` is a limit, not a switch",
        "@limit_required('max_user'): feature `max_user` is not known, did you mean `max_users`?",
        "@limit_required('currency'): feature `currency` is a value, not a limit",
        "@transition_required('orders'): workflow `orders` is not known, did you mean `order`?",
    }


def test_a_decorator_is_named_once_however_often_it_decorates() -> None:
    before = len(named)
    for _ in range(3):
        Client().get("/of_method", headers={"x-tenant-id": "acme"})
        Client().get("/of_dispatch", headers={"x-tenant-id": "acme"})
    assert len(named) == before


def test_a_limit_needs_somebody_who_counts() -> None:
    with override_settings(LEASEHOLD={"ENGINE": make()}):
        found = check()
    # Of this module: `counted` and `acounted`.
    assert len(found) == 2
    assert all("(leasehold.E005)" in line and line.endswith("nothing says how much is in use") for line in found)


TEMPLATES = {
    "good.html": '{% load leasehold %}{% if_feature "invoicing" "currency" %}{% end_if_feature %}',
    "bad/one.html": (
        "{% load i18n leasehold %}\n"
        '{% if_feature "invoicing" \'pdf_invoice\' action="read" %}{% else %}{% end_if_feature %}\n'
        '{% feature feature="nothing_like_it" as a %}{% limit "pdf_invoices" used=3 as b %}\n'
        '{% feature_value "currenc" as c %}{% has_room "max_user" used="4" as d %}{% feature variable %}\n'
    ),
    "bad/part.txt": '{% load feature from leasehold %}{% feature "gone" %}{% limit "not_loaded" %}',
    # Tags of somebody else, and what is not rendered.
    "other.html": '{% load other %}{% feature "theirs" %}',
    "quoted.html": (
        '{% load leasehold %}{% verbatim %}{% feature "shown" %}{% endverbatim %}'
        '{% comment %}{% feature "old" %}{% endcomment %}{# {% feature "older" %} #}'
    ),
    "broken.html": "{% load leasehold %}{% if_feature %}{%  %}{% feature",
}


def test_keys_that_templates_name_have_to_exist(tmp_path: Path) -> None:
    for name, text in TEMPLATES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG feature \xff\xfe")
    with override_settings(TEMPLATES=templates_of(DIRS=[tmp_path], APP_DIRS=True)):
        found = check()
    one, part = tmp_path / "bad/one.html", tmp_path / "bad/part.txt"
    assert sorted(found) == sorted(
        f"?: (leasehold.E004) {line}"
        for line in (
            f'{one}:2: {{% if_feature "invoicing" \'pdf_invoice\' action="read" %}}: feature `pdf_invoice` is not known'
            + ", did you mean `pdf_invoices`?",
            f'{one}:3: {{% feature feature="nothing_like_it" as a %}}: feature `nothing_like_it` is not known',
            f'{one}:3: {{% limit "pdf_invoices" used=3 as b %}}: feature `pdf_invoices` is a switch, not a limit',
            f'{one}:4: {{% feature_value "currenc" as c %}}: feature `currenc` is not known, did you mean `currency`?',
            f'{one}:4: {{% has_room "max_user" used="4" as d %}}: feature `max_user` is not known'
            + ", did you mean `max_users`?",
            f'{part}:1: {{% feature "gone" %}}: feature `gone` is not known',
        )
    )


def test_tags_that_are_built_in_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('{% feature "gone" %}')
    templates = templates_of(DIRS=[tmp_path])
    with override_settings(TEMPLATES=templates):
        assert check() == []
    templates[0]["OPTIONS"]["builtins"] = ["leasehold.django.templatetags.leasehold"]
    with override_settings(TEMPLATES=templates):
        assert len(check()) == 1


TRUST = {"TRUST": "{}"}


@pytest.mark.parametrize(
    ("said", "mistakes"),
    [
        (None, ["there is no `LEASEHOLD`"]),
        ("https://hq.example", ["`LEASEHOLD` is a dict, not of type `str`"]),
        ({}, ["say where the engine comes from", "say in `TRUST` whom to believe"]),
        ({"URL": "https://hq.example"}, ["say in `TRUST` whom to believe"]),
        ({"URL": "https://hq.example", "DIRECTORY": "/tmp", **TRUST}, ["leave out all but one of `URL`, `DIRECTORY`"]),
        ({"ENGINE": make, "URL": "https://hq.example"}, ["nothing is followed: leave out `URL`, or `ENGINE`"]),
        ({"ENGINE": make, "TENENT": "a.b"}, ["`TENENT` is not known, did you mean `TENANT`?"]),
        ({"ENGINE": make, "engine_id": "a"}, ["`engine_id` is not known, did you mean `ENGINE_ID`?"]),
        ({"ENGINE": make, 5: "a"}, ["`5` is not known"]),
        ({"ENGINE": "nowhere.make"}, ["`ENGINE`: No module named 'nowhere'"]),
        ({"ENGINE": "test_django.nothing"}, ['`ENGINE`: Module "test_django" does not define a "nothing"']),
        ({"ENGINE": "make"}, ["`ENGINE`: make doesn't look like a module path"]),
        ({"ENGINE": {}}, ["`ENGINE` is a callable, or the dotted path of one, not of type `dict`"]),
        ({"ENGINE": make, "TENANT": 5, "USAGE": 6}, ["`TENANT` is a callable", "`USAGE` is a callable"]),
        ({"ENGINE": make, "REFUSE": "test_django.as_coroutine"}, ["`REFUSE` is a coroutine function"]),
    ],
)
def test_mistakes_in_the_setting_are_told_all_at_once(said: object, mistakes: list[str]) -> None:
    with override_settings(LEASEHOLD=said):
        found = check()
        assert len(found) == len(mistakes)
        assert all("(leasehold.E001)" in line for line in found)
        for mistake in mistakes:
            assert any(mistake in line for line in found)
        with pytest.raises(ImproperlyConfigured):
            engine()


@pytest.mark.parametrize(
    "make_engine",
    [
        lambda: Engine.from_definitions({"features": {"a": 1}}),
        lambda: Engine.from_pack("pack", "{}"),  # type: ignore[arg-type]
        lambda: None,
    ],
)
def test_an_engine_that_can_never_be_made_is_an_error(make_engine: Callable[[], Engine]) -> None:
    with override_settings(LEASEHOLD={"ENGINE": make_engine, "USAGE": in_use}):
        found = check()
    assert len(found) == 1
    assert "(leasehold.E002) the engine cannot be made: " in found[0]


def test_an_engine_that_cannot_be_made_now_is_a_warning() -> None:
    def fail() -> Engine:
        raise SnapshotError("unreachable", "HQ is down", "download", "head")

    with override_settings(LEASEHOLD={"ENGINE": fail, "USAGE": in_use}):
        assert check() == ["?: (leasehold.W001) there is no engine at the moment: HQ is down"]
        # Nobody is kept from migrating a database.
        call_command("check")
    engine().close()
    assert check() == [
        "?: (leasehold.W001) there is no engine at the moment: the engine is closed: ask one that is open"
    ]


# The engine of the process.


def test_the_engine_is_made_once_when_it_is_first_asked_for() -> None:
    made: list[Engine] = []

    def slowly() -> Engine:
        # The others are there by now, and wait.
        until("others ask", lambda: len(asking) == 8)
        made.append(make())
        return made[-1]

    asking: list[int] = []
    got: list[Engine] = []

    def ask() -> None:
        asking.append(1)
        got.append(engine())

    with override_settings(LEASEHOLD={"ENGINE": slowly}):
        assert not engines_of_app.is_made()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        assert all(one is made[0] for one in got)
    # What was made for a setting ends with it, and what was given does not.
    assert made[0].closed
    given = make()
    with override_settings(LEASEHOLD={"ENGINE": given}):
        assert engine() is given
    assert not given.closed


def test_one_that_failed_is_made_the_next_time() -> None:
    tries: list[int] = []

    def fail_once() -> Engine:
        tries.append(1)
        if len(tries) == 1:
            raise SnapshotError("unreachable", "HQ is down", "download", "head")
        return make()

    with override_settings(LEASEHOLD={"ENGINE": fail_once}):
        with pytest.raises(SnapshotError):
            engine()
        assert not engine().closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_is_forked_while_an_engine_is_made_makes_its_own() -> None:
    with override_settings(LEASEHOLD={"ENGINE": make}):
        with engines_of_app._lock:
            child = os.fork()
            if child == 0:
                # It would wait for ever for a lock that nobody gives back.
                signal.alarm(60)
                os._exit(0 if engine().is_enabled("acme", "pdf_invoices") else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture(scope="module")
def published(first_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The definitions of this module, in a directory of snapshots."""
    desk = first_desk.copied(tmp_path_factory.mktemp("django") / "desk")
    shutil.rmtree(desk.snapshots)
    shutil.rmtree(desk.at("definitions"))
    desk.at("definitions").mkdir()
    tenants = {id: {**of, "region": STREAM} for id, of in DEFINITIONS["tenants"].items()}
    desk.at("definitions", "all.json").write_text(json.dumps({**DEFINITIONS, "tenants": tenants}))
    desk.build()
    return desk


def test_an_engine_that_follows_is_made_of_options(published: Desk, tmp_path: Path, get: Callable[..., Any]) -> None:
    followed = {"DIRECTORY": published.snapshots, "TRUST": published.trust, "POLL_MS": 20, "KEEP": tmp_path / "kept"}
    with override_settings(LEASEHOLD={**followed, "USAGE": in_use}):
        assert check() == []
        # Checks need an engine, and leave none behind.
        assert not engines_of_app.is_made()
        assert not (tmp_path / "kept").exists()
        assert get("apdf", "acme").status_code == 200
        assert get("pdf", "bare").status_code == 403
        serving = engine()
        until("it is kept", lambda: (health := serving.health()) is not None and health.persisted)
        assert check() == []
        assert not serving.closed
    assert serving.closed
    # Where nobody can be asked, what was kept is checked.
    with override_settings(LEASEHOLD={**followed, "DIRECTORY": tmp_path / "nothing", "USAGE": in_use}):
        assert check() == []
        feature_required("pdf_invoice")
        assert len(check()) == 1
    with override_settings(LEASEHOLD={"DIRECTORY": tmp_path / "nothing", "TRUST": published.trust, "USAGE": in_use}):
        assert ["leasehold.W001" in line for line in check()] == [True]
    with override_settings(LEASEHOLD={"DIRECTORY": published.snapshots, "TRUST": "{}", "USAGE": in_use}):
        assert ["leasehold.E002" in line for line in check()] == [True]
    good = {"DIRECTORY": published.snapshots, "TRUST": published.trust, "USAGE": in_use}
    hq = {"URL": "https://hq.example", "TOKEN": "t", "TRUST": published.trust, "USAGE": in_use}
    for wrong in (
        {**good, "ENGINE_ID": "a/b"},
        {**good, "KEEP": 5},
        {**good, "REPORT_MS": 0},
        {**hq, "HTTP": {"answer_msec": 5000}},
        {**hq, "HTTP": 5},
    ):
        with override_settings(LEASEHOLD=wrong):
            assert ["leasehold.E002" in line for line in check()] == [True], wrong
            with pytest.raises(ArgumentError):
                engine()


def test_errors_of_questions_are_errors_outside_of_requests() -> None:
    with pytest.raises(UnknownFeatureError):
        entitlements_for("acme").is_enabled("nothing")
    engine().close()
    with pytest.raises(ClosedError):
        engine().tenant("acme")


def test_a_plain_view_that_a_coroutine_calls_is_a_plain_view() -> None:
    async def call() -> Any:
        request = RequestFactory().get("/", headers={"x-tenant-id": "acme"})
        return await sync_to_async(pdf)(request)

    assert asyncio.run(call()).status_code == 200
