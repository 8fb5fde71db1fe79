"""The setting `LEASEHOLD`, read once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeAlias, Union, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from .._guard import TENANT_HEADER
from .._native import Tenant
from .._problems import Problem
from .._watch import Watch
from ..engine import Engine
from .responses import problem_response

TenantOf: TypeAlias = Callable[[HttpRequest], Union["str | None", "Awaitable[str | None]"]]
"""Says which tenant a request is for: its id; None or an empty text where it names none."""

UsageOf: TypeAlias = Callable[[str, Tenant, HttpRequest], int | Awaitable[int]]
"""Says how much of a limit a tenant has in use: it is given the limit, the tenant and the request."""

Refuse: TypeAlias = Callable[[HttpRequest, Problem], HttpResponseBase]
"""Makes the response to a request that is refused."""


def tenant_from_header(request: HttpRequest) -> str | None:
    """The tenant that a request names itself, by the header `x-tenant-id`.

    It believes whoever sends it: behind a gateway that sets the header that is right, and elsewhere it is not.
    """
    return request.headers.get(TENANT_HEADER)


@dataclass(frozen=True)
class Conf:
    """What `LEASEHOLD` says."""

    engine: Engine | Callable[[], Engine] | None
    """An engine, or what makes one; None where `follow` says what to follow."""
    follow: Mapping[str, Any]
    """What `Engine.follow` takes."""
    tenant: TenantOf
    usage: UsageOf | None
    refuse: Refuse
    watch: Watch


@dataclass
class _Reading:
    """A reading of the setting, with all mistakes."""

    said: Mapping[str, Any]
    mistakes: list[str] = field(default_factory=list[str])

    def callable_of(self, name: str) -> Any:
        """A callable that is named by its dotted path, or is there itself; None where nothing is said, or a mistake."""
        said = self.said.get(name)
        if isinstance(said, str):
            try:
                said = import_string(said)
            except Exception as error:
                # Whatever the module of somebody else raises: it cannot be used.
                self.mistakes.append(f"`{name}`: {error}")
                return None
        if said is None or callable(said) or (name == "ENGINE" and isinstance(said, Engine)):
            return said
        self.mistakes.append(f"`{name}` is a callable, or the dotted path of one, not of type `{type(said).__name__}`")
        return None


_FOLLOW = {name.upper(): name for name in inspect.signature(Engine.follow).parameters}
_OWN = ("ENGINE", "TENANT", "USAGE", "REFUSE", "TENANT_IN_METRICS")
_SOURCES = ("URL", "DIRECTORY", "SOURCE")


def read() -> tuple[Conf | None, list[str]]:
    """What `LEASEHOLD` says, or all mistakes in it."""
    said = getattr(settings, "LEASEHOLD", None)
    if said is None:
        return None, ["there is no `LEASEHOLD`: say `ENGINE`, or what `Engine.follow` takes, such as `URL`"]
    if not isinstance(said, Mapping):
        return None, [f"`LEASEHOLD` is a dict, not of type `{type(said).__name__}`"]
    reading = _Reading(cast("Mapping[str, Any]", said))
    mistakes = reading.mistakes
    for name in reading.said:
        if name not in _OWN and name not in _FOLLOW:
            alike = get_close_matches(str(name).upper(), [*_OWN, *_FOLLOW], 1)
            mistakes.append(f"`{name}` is not known" + (f", did you mean `{alike[0]}`?" if alike else ""))
    follow = {_FOLLOW[name]: value for name, value in reading.said.items() if name in _FOLLOW and value is not None}
    engine = reading.callable_of("ENGINE")
    _check_engine(reading, follow)
    refuse = reading.callable_of("REFUSE")
    if iscoroutinefunction(refuse):
        mistakes.append(
            "`REFUSE` is a coroutine function: say a plain one, which is called in a thread where that matters"
        )
    conf = Conf(
        engine=engine,
        follow=follow,
        tenant=reading.callable_of("TENANT") or tenant_from_header,
        usage=reading.callable_of("USAGE"),
        refuse=refuse or problem_response,
        watch=Watch(tenant_in_metrics=bool(reading.said.get("TENANT_IN_METRICS", True))),
    )
    return (None if mistakes else conf), mistakes


def _check_engine(reading: _Reading, follow: Mapping[str, Any]) -> None:
    if reading.said.get("ENGINE") is not None:
        if follow:
            beside = ", ".join(f"`{name.upper()}`" for name in follow)
            reading.mistakes.append(f"with `ENGINE`, nothing is followed: leave out {beside}, or `ENGINE`")
        return
    sources = [name for name in _SOURCES if name.lower() in follow]
    if len(sources) != 1:
        reading.mistakes.append(
            "say where the engine comes from: `ENGINE`, `URL`, `DIRECTORY` or `SOURCE`"
            if not sources
            else "there is one source: leave out all but one of " + ", ".join(f"`{name}`" for name in sources)
        )
    if "trust" not in follow:
        reading.mistakes.append("say in `TRUST` whom to believe: the trust file that came with your engine's token")


@cache
def conf() -> Conf:
    """What `LEASEHOLD` says.

    Raises ImproperlyConfigured with all mistakes in it.
    """
    found, mistakes = read()
    if found is None:
        raise ImproperlyConfigured("the setting `LEASEHOLD`: " + "; ".join(mistakes))
    return found


def _changed(*, setting: str, **_: object) -> None:
    if setting == "LEASEHOLD":
        conf.cache_clear()


setting_changed.connect(_changed, dispatch_uid="leasehold.django.conf")
