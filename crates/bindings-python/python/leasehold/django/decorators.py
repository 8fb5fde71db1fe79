"""What views ask for, asked before they run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial, wraps
from inspect import isawaitable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from .._guard import Guard, check_action
from .._keys import Wanted
from .._problems import RefusedError
from ..answers import Action
from ..errors import ArgumentError
from ..inputs import Inputs
from .conf import Refuse, conf
from .requests import aentitlements_of, entitlements_of, outcomes_of
from .responses import problem_response

_T = TypeVar("_T")
_View = TypeVar("_View", bound=Callable[..., Any])

From: TypeAlias = _T | Callable[..., _T | Awaitable[_T]]
"""Something, or a function that is called with what the view is called with, and gives it."""


class Move(NamedTuple):
    """A move of an item."""

    from_stage: str
    to_stage: str
    inputs: Inputs | None = None
    """What guards go by."""
    roles: Iterable[str] | None = None
    """The roles of whoever asks."""
    category: str | None = None
    """The service category of the item."""


@dataclass(frozen=True)
class Named:
    """A key that a decorator or a template names."""

    wanted: Wanted | None
    """What it has to be; None where any feature will do."""
    key: str
    place: str
    """Where: file, line, and what stands there."""
    needs_usage: bool = False
    """Whether the setting `USAGE` has to say how much is in use."""


named: list[Named] = []
"""All that decorators name, for the system check."""


def feature_required(*features: str, action: Action = "use", refuse: Refuse | None = None) -> Callable[[_View], _View]:
    """Lets through where all these features are on.

    - `action`: with `read`, a tenant whose access was restricted may still look at what it has.
    - `refuse`: makes the response to those who may not, in place of the setting `REFUSE`.

    Of views as functions, and of methods of views with `method_decorator`.
    """
    if not features:
        raise ArgumentError("name a feature: `@feature_required` without one would let everybody through")
    check_action(action)
    for feature in features:
        _name("switch", feature, "feature_required")

    def ask(guard: Guard, request: HttpRequest) -> None:
        for feature in features:
            outcomes_of(request).features[feature] = guard.require(feature, action=action)

    return _guarding({}, ask, refuse)


def limit_required(
    feature: str,
    *,
    used: From[int] | None = None,
    requested: From[int] = 1,
    refuse: Refuse | None = None,
) -> Callable[[_View], _View]:
    """Lets through where there is room in a limit. What the limit said is in `outcomes_of(request).limits`.

    - `used`: how many there are. Where it is not said, the setting `USAGE` is asked.
    - `requested`: how many more.
    - `refuse`: makes the response to those who may not, in place of the setting `REFUSE`.
    """
    _name("limit", feature, "limit_required", needs_usage=used is None)

    def count(request: HttpRequest, *args: Any, **kwargs: Any) -> int | Awaitable[int]:
        usage = conf().usage
        if usage is None:
            raise ImproperlyConfigured(f"nothing says how much of `{feature}` is in use: say `used`, or set `USAGE`")
        # The tenant is known by now, whoever asks.
        return usage(feature, entitlements_of(request).tenant, request)

    def ask(guard: Guard, request: HttpRequest, used: int, requested: int) -> None:
        outcomes_of(request).limits[feature] = guard.require_limit(feature, used, requested)

    return _guarding({"used": count if used is None else used, "requested": requested}, ask, refuse)


def transition_required(
    workflow: str,
    *,
    move: Callable[..., Move | Awaitable[Move]] | None = None,
    from_stage: From[str] | None = None,
    to_stage: From[str] | None = None,
    inputs: From[Inputs | None] = None,
    roles: From[Iterable[str] | None] = None,
    category: From[str | None] = None,
    refuse: Refuse | None = None,
) -> Callable[[_View], _View]:
    """Lets through where an item may move. The transition is in `outcomes_of(request).transitions`.

    - `move`: gives the whole move, of what the view is called with. Or else, piece by piece:
    - `from_stage`, `to_stage`, `inputs`, `roles`, `category`: see `Move`.
    - `refuse`: makes the response to those who may not, in place of the setting `REFUSE`.
    """
    _name("workflow", workflow, "transition_required")
    pieces = {"from_stage": from_stage, "to_stage": to_stage, "inputs": inputs, "roles": roles, "category": category}
    if move is None:
        if from_stage is None or to_stage is None:
            raise ArgumentError("say which move: `move`, or `from_stage` and `to_stage`")
    elif any(piece is not None for piece in pieces.values()):
        raise ArgumentError("say `move` or its pieces, not both")

    def ask(guard: Guard, request: HttpRequest, move: Move | None = None, **pieces: Any) -> None:
        wanted = Move(**pieces) if move is None else move
        if not isinstance(wanted, Move):  # pyright: ignore[reportUnnecessaryIsInstance]
            # Not what the client asks for, but what this app makes of it.
            raise TypeError(f"`move` was to give a `Move`, and gave something of type `{type(wanted).__name__}`")
        outcomes_of(request).transitions[workflow] = guard.require_transition(
            workflow,
            wanted.from_stage,
            wanted.to_stage,
            inputs=wanted.inputs,
            roles=wanted.roles,
            category=wanted.category,
        )

    return _guarding(pieces if move is None else {"move": move}, ask, refuse)


def _name(wanted: Wanted, key: str, decorator: str, needs_usage: bool = False) -> None:
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"`@{decorator}` takes a key, which is a str, not of type `{type(key).__name__}`")
    # `method_decorator` decorates anew for each request: what is named, is named where the decorator is made.
    frame = sys._getframe(2)
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}: @{decorator}({key!r})"
    named.append(Named(wanted, key, place, needs_usage))


def _guarding(pieces: dict[str, Any], ask: Callable[..., None], refuse: Refuse | None) -> Callable[[_View], _View]:
    """A decorator that finds out the pieces, and asks with them."""

    def decorate(view: _View) -> _View:
        if _is_async(view):

            @wraps(view)
            async def aguarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                try:
                    guard = await aentitlements_of(request)
                    found = {name: await _afound(piece, request, args, kwargs) for name, piece in pieces.items()}
                    ask(guard, request, **found)
                except RefusedError as error:
                    respond = refuse or conf().refuse
                    if respond is problem_response:
                        return respond(request, error.problem)
                    return await sync_to_async(respond)(request, error.problem)
                response = view(request, *args, **kwargs)
                return await response if isawaitable(response) else response

            return cast("_View", aguarded)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                guard = entitlements_of(request)
                ask(guard, request, **{name: _found(piece, request, args, kwargs) for name, piece in pieces.items()})
            except RefusedError as error:
                return (refuse or conf().refuse)(request, error.problem)
            return view(request, *args, **kwargs)

        return cast("_View", guarded)

    return decorate


def _is_async(view: Callable[..., Any]) -> bool:
    if iscoroutinefunction(view):
        return True
    # `dispatch` of a view whose handlers are coroutines is a plain method, and what it gives is awaited.
    bound: Any = view.func if isinstance(view, partial) else view
    return bool(getattr(getattr(bound, "__self__", None), "view_is_async", False))


def _found(piece: Any, request: HttpRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = piece(request, *args, **kwargs) if callable(piece) else piece
    if isawaitable(found):
        close = getattr(found, "close", None)
        if close is not None:
            close()
        raise TypeError("a view that is no coroutine cannot await: give plain functions to its decorators and `USAGE`")
    return found


async def _afound(piece: Any, request: HttpRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not callable(piece):
        return piece
    if iscoroutinefunction(piece):
        return await piece(request, *args, **kwargs)
    # A plain function may ask the database, which coroutines may not.
    found = await sync_to_async(piece)(request, *args, **kwargs)
    return await found if isawaitable(found) else found
