"""What the tenant of a request may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import HttpRequest

from .._guard import Guard
from ..answers import Allowed, Decision, LimitAnswer
from .conf import conf, tenant_from_header
from .engines import engine, is_made

if TYPE_CHECKING:

    class LeaseholdRequest(HttpRequest):
        """A request behind the middleware, for annotations."""

        leasehold: Guard
        """What its tenant may do. Raises RefusedError where it names no tenant that there is."""
        aleasehold: Callable[[], Awaitable[Guard]]
        """The same for coroutines, as `auser` is for `user`."""
else:
    LeaseholdRequest = HttpRequest


@dataclass
class Outcomes:
    """What decorators found out about a request."""

    features: dict[str, Decision] = field(default_factory=dict[str, Decision])
    """Decisions of `feature_required`, by feature."""
    limits: dict[str, LimitAnswer] = field(default_factory=dict[str, LimitAnswer])
    """Answers to `limit_required`, by feature: what to warn of, and what to bill."""
    transitions: dict[str, Allowed] = field(default_factory=dict[str, Allowed])
    """Transitions that `transition_required` let through, by workflow."""


@dataclass
class _Handled:
    """What is known of a request."""

    guard: Guard | None = None
    outcomes: Outcomes = field(default_factory=Outcomes)


def entitlements_of(request: HttpRequest) -> Guard:
    """What the tenant of a request may do: `request.leasehold`, for type checkers and without the middleware.

    Raises RefusedError: `tenant_required`, `unknown_tenant`, `closed`.
    """
    handled = _handled(request)
    if handled.guard is None:
        tenant_of = conf().tenant
        if iscoroutinefunction(tenant_of):
            tenant_of = async_to_sync(cast("Callable[[HttpRequest], Awaitable[str | None]]", tenant_of))
        handled.guard = entitlements_for(tenant_of(request))
    return handled.guard


async def aentitlements_of(request: HttpRequest) -> Guard:
    """`entitlements_of` for coroutines. A plain function `TENANT` runs in a thread, and may ask the database."""
    handled = _handled(request)
    if handled.guard is None:
        tenant_of = conf().tenant
        if iscoroutinefunction(tenant_of):
            tenant = await cast("Callable[[HttpRequest], Awaitable[str | None]]", tenant_of)(request)
        elif tenant_of is tenant_from_header:
            tenant = tenant_from_header(request)
        else:
            tenant = await sync_to_async(cast("Callable[[HttpRequest], str | None]", tenant_of))(request)
        if not is_made():
            await sync_to_async(engine, thread_sensitive=False)()
        handled.guard = entitlements_for(tenant)
    return handled.guard


def entitlements_for(tenant_id: object) -> Guard:
    """What a tenant may do, where there is no request: in jobs and commands.

    Raises RefusedError: `tenant_required`, `unknown_tenant`, `closed`.
    """
    return Guard(engine(), tenant_id, conf().watch)


def outcomes_of(request: HttpRequest) -> Outcomes:
    """What decorators found out about a request."""
    return _handled(request).outcomes


def _handled(request: HttpRequest) -> _Handled:
    # Requests of other frameworks hand through what the one within them has.
    found = getattr(request, "_leasehold", None)
    if not isinstance(found, _Handled):
        found = _Handled()
        request._leasehold = found  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return found
