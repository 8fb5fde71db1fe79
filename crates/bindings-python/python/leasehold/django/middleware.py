"""Puts on requests what their tenants may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from .._problems import RefusedError
from .conf import conf
from .requests import LeaseholdRequest, aentitlements_of, entitlements_of


class LeaseholdMiddleware:
    """Gives requests `leasehold` and `aleasehold`, and those who are refused a response.

    Both are looked up when they are used first: a view that needs no tenant is asked for none.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: LeaseholdRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        request.leasehold = SimpleLazyObject(partial(entitlements_of, request))  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        request.aleasehold = partial(aentitlements_of, request)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answers what a view did not go on with."""
        return conf().refuse(request, exception.problem) if isinstance(exception, RefusedError) else None
