"""Leasehold in FastAPI: what each tenant may do, asked by dependencies and a decorator, over HTTP and WebSockets.

from leasehold import Engine, Tenant
from leasehold.fastapi import Leasehold

leasehold = Leasehold(lambda: Engine.follow(url=url, token=token, trust=trust, engine_id="orders-1", keep="./kept"))
app = FastAPI()
leasehold.install(app)

@app.get("/invoices/{number}.pdf", dependencies=[Depends(leasehold.require("pdf_invoices"))])
def print_invoice(number: str, tenant: Annotated[Tenant, Depends(leasehold.tenant)]) -> Response: ...
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeGuard, TypeVar, cast
from weakref import WeakSet

from fastapi import Depends, FastAPI, Header, WebSocket, routing
from fastapi.encoders import ENCODERS_BY_TYPE
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocketState

from . import answers
from ._answer import Answer
from ._guard import TENANT_HEADER, Guard, check_action
from ._keys import UnknownKeysError, Wanted, mistake_in
from ._native import Tenant
from ._problems import MEDIA_TYPE, Problem, RefusedError
from ._watch import Watch
from .answers import Action, Allowed, Decision, LimitAnswer
from .engine import Engine
from .errors import ArgumentError
from .inputs import Inputs

__all__ = [
    "TENANT_HEADER",
    "From",
    "Guard",
    "Leasehold",
    "Move",
    "Problem",
    "RefusedError",
    "Requirement",
    "UnknownKeysError",
    "tenant_from_header",
]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

From: TypeAlias = T | Callable[..., T | Awaitable[T]]
"""Something, or a dependency that finds it: what FastAPI calls with whatever its parameters say.

A parameter that is called `request` and has no annotation is the request, or the WebSocket.
"""

_log = logging.getLogger("leasehold")

# Where nothing is said of what a path function gives.
ENCODERS_BY_TYPE.update(
    (kind, kind.to_dict) for kind in vars(answers).values() if isinstance(kind, type) and issubclass(kind, Answer)
)


def tenant_from_header(
    request: HTTPConnection,
    named: Annotated[str | None, Header(alias=TENANT_HEADER, description="The tenant for whom this is.")] = None,
) -> str | None:
    """The tenant that a request names itself, by `x-tenant-id`.

    It believes whoever sends it: behind a gateway that sets the header that is right, and elsewhere it is not.
    """
    # Of a header that is there twice, neither is believed.
    return ", ".join(request.headers.getlist(TENANT_HEADER))


@dataclass(frozen=True)
class Move:
    """A move of an item."""

    from_: str
    to: str
    inputs: Inputs | None = None
    """What is known of the item, for guards."""
    roles: Iterable[str] | None = None
    """The roles of whoever asks."""
    category: str | None = None
    """The service category of the item."""


class Requirement(Generic[R_co]):
    """What a path function asks for: `Depends` of it gives the answer, or refuses."""

    def __init__(
        self,
        said: str,
        ask: Callable[..., R_co],
        needs: Mapping[str, Any],
        keys: Iterable[tuple[Wanted, str]] = (),
        *,
        statuses: Iterable[int] = (400, 403, 503),
    ) -> None:
        self._said = said
        self._ask = ask
        self._given = {name: need for name, need in needs.items() if not callable(need)}
        self._keys = tuple(keys)
        self._statuses = tuple(statuses)
        # What FastAPI looks for: each need is a dependency. They are met in this order.
        self.__signature__ = inspect.Signature(
            [_needed(name, need) for name, need in needs.items() if name not in self._given]
        )

    async def __call__(self, **found: Any) -> R_co:
        return self._ask(**self._given, **found)

    def __repr__(self) -> str:
        return self._said


class Leasehold:
    """Entitlements for FastAPI apps."""

    def __init__(
        self,
        engine: Engine | Callable[[], Engine | Awaitable[Engine]],
        *,
        tenant: Callable[..., object] = tenant_from_header,
        on_unknown_keys: Literal["fail", "warn"] = "fail",
        tenant_in_metrics: bool = True,
    ) -> None:
        """
        - `engine`: an engine, which stays yours; or a function that makes one, which is called when the app starts, and
          whose engine is closed when it ends.
        - `tenant`: a dependency that says which tenant a request is for, by its id; None where it names none. What it
          raises, the client is answered.
        - `on_unknown_keys`: what becomes of an app that asks for features or workflows that do not exist.
        - `tenant_in_metrics`: whether metrics carry the tenant, as spans do. It makes one time series for each tenant.
        """
        if not isinstance(engine, Engine) and not callable(engine):
            raise ArgumentError("`engine` is an `Engine`, or a function that gives one")
        if not callable(tenant):
            raise ArgumentError("`tenant` is a dependency: a function that gives the id of the tenant")
        if on_unknown_keys not in ("fail", "warn"):
            raise ArgumentError(f"`on_unknown_keys` is `fail` or `warn`, not `{on_unknown_keys}`")
        self._source = engine
        self._engine = engine if isinstance(engine, Engine) else None
        self._on_unknown_keys = on_unknown_keys
        self._watch = Watch(tenant_in_metrics=tenant_in_metrics)
        self._apps: WeakSet[FastAPI] = WeakSet()
        # Held where nothing is awaited: apps may run on several loops.
        self._lock = threading.Lock()
        self._running = 0
        self._making: Future[None] | None = None
        self._bare: WeakSet[Callable[..., Any]] = WeakSet()
        self._features: dict[tuple[str, Action], Requirement[Decision]] = {}
        self._guard: Requirement[Guard] = Requirement(
            "leasehold.guard",
            functools.partial(Guard, watch=self._watch),
            {"engine": self.engine, "tenant_id": tenant},
        )
        self._tenant = Requirement("leasehold.tenant", _tenant_of, {"guard": self._guard})

    async def engine(self) -> Engine:
        """A dependency: the engine that answers. A test puts another one in its place by `app.dependency_overrides`."""
        if self._engine is None:
            raise RuntimeError("there is no engine yet: `install` the Leasehold in the app, and run the app's lifespan")
        return self._engine

    @property
    def tenant(self) -> Requirement[Tenant]:
        """A dependency: the tenant for whom a request is, or else a refusal."""
        return self._tenant

    @property
    def guard(self) -> Requirement[Guard]:
        """A dependency: what asks for this tenant in the midst of a path function, and refuses."""
        return self._guard

    def require(self, feature: str, *, action: Action = "use") -> Requirement[Decision]:
        """A dependency that lets through where a switch is on.

        With the action `read`, a tenant whose access was restricted may still look at what it has.
        """
        check_action(action)
        # The same for the same, so that a request asks once and tests find it in `app.dependency_overrides`.
        found = self._features.get((feature, action))
        if found is not None:
            return found

        def ask(guard: Guard) -> Decision:
            return guard.require(feature, action=action)

        said = f"require({feature!r})" if action == "use" else f"require({feature!r}, action={action!r})"
        made = Requirement(said, ask, {"guard": self._guard}, [("switch", feature)])
        return self._features.setdefault((feature, action), made)

    def require_limit(self, feature: str, *, used: From[int], requested: From[int] = 1) -> Requirement[LimitAnswer]:
        """A dependency that lets through where there is room in a limit.

        `used` are in use, and `requested` more are wanted. A soft or billable limit lets through with the outcome
        `warn` or `overage`.
        """

        def ask(guard: Guard, used: int, requested: int) -> LimitAnswer:
            return guard.require_limit(feature, used, requested)

        needs = {"guard": self._guard, "used": used, "requested": requested}
        return Requirement(f"require_limit({feature!r})", ask, needs, [("limit", feature)])

    def require_transition(
        self,
        workflow: str,
        *,
        move: Callable[..., Move | Awaitable[Move]] | None = None,
        from_: From[str] | None = None,
        to: From[str] | None = None,
        inputs: From[Inputs] | None = None,
        roles: From[Iterable[str]] | None = None,
        category: From[str | None] = None,
    ) -> Requirement[Allowed]:
        """A dependency that lets through where an item of a workflow may move.

        `move` is a dependency that gives the whole `Move`; in its place, its parts are said one by one.
        """
        said = f"require_transition({workflow!r})"
        parts = {"from_": from_, "to": to, "inputs": inputs, "roles": roles, "category": category}
        if (move is None) == all(part is None for part in parts.values()):
            raise ArgumentError(f"`{said}` needs to know the move: say either `move`, or `from_` and `to`")
        if move is None and (from_ is None or to is None):
            raise ArgumentError(f"`{said}` needs both ends of the move: say `from_` and `to`")

        def ask(guard: Guard, move: Move | None = None, **parts: Any) -> Allowed:
            move = Move(**parts) if move is None else move
            return guard.require_transition(
                workflow, move.from_, move.to, inputs=move.inputs, roles=move.roles, category=move.category
            )

        return Requirement(
            said,
            ask,
            {"guard": self._guard, **(parts if move is None else {"move": move})},
            [("workflow", workflow)],
            statuses=(400, 403, 409, 503),
        )

    def requires(self, *requirements: str | Requirement[Any]) -> Callable[[F], F]:
        """A decorator of path functions, which stands below the one that says the path: asks for all of these.

        A text is a switch that has to be on. What is decorated runs where FastAPI runs it, and nowhere else.
        """
        if not requirements:
            raise ArgumentError("`requires` asks for nothing: name a feature")
        asked = [self.require(one) if isinstance(one, str) else one for one in requirements]
        for one in asked:
            if not isinstance(one, Requirement):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ArgumentError(f"`requires` takes features and requirements, not `{one!r}`")

        def decorate(function: F) -> F:
            signature = inspect.signature(function)
            beside = sum(name.startswith("leasehold_") for name in signature.parameters)
            names = {f"leasehold_{beside + index}": one for index, one in enumerate(asked)}

            def freed(found: dict[str, Any]) -> dict[str, Any]:
                missing = names.keys() - found.keys()
                if missing:
                    raise RuntimeError(
                        f"`{function.__qualname__}` is called by FastAPI alone: nothing was decided here"
                    )
                return {name: value for name, value in found.items() if name not in names}

            def call(*args: Any, **found: Any) -> Any:
                return function(*args, **freed(found))

            async def call_soon(*args: Any, **found: Any) -> Any:
                return await function(*args, **freed(found))

            guarded = functools.wraps(function)(call_soon if inspect.iscoroutinefunction(function) else call)
            # What is asked for comes first, before anything is looked up for a request that is refused.
            guarded.__signature__ = signature.replace(  # type: ignore[attr-defined]
                parameters=[
                    *(_needed(name, one) for name, one in names.items()),
                    *(
                        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) if one.kind is _EITHER else one
                        for one in signature.parameters.values()
                    ),
                ]
            )
            self._bare.add(function)
            return guarded  # type: ignore[return-value]

        decorate._leasehold_decorates = True  # type: ignore[attr-defined]
        return decorate

    def install(self, app: FastAPI) -> None:
        """Installs this in an app, and in what is mounted in it: before it starts.

        With it come problem documents, what is wrong with keys at the start, and the engine, where it is to be made.
        """
        if not isinstance(app, FastAPI):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"`app` is a `FastAPI`, not of type `{type(app).__name__}`")
        if app in self._apps:
            raise ArgumentError("this is installed in the app already")
        self._answer_in(app)
        within = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(started: FastAPI) -> AsyncGenerator[Any]:
            async with self._open(app), within(started) as state:
                yield state

        app.router.lifespan_context = lifespan

    def _answer_in(self, app: FastAPI) -> None:
        """Problem documents, as they are sent and as they are documented."""
        self._apps.add(app)
        if RefusedError not in app.exception_handlers:
            app.exception_handlers[RefusedError] = cast(Any, _answer)
        generate = app.openapi

        def openapi() -> dict[str, Any]:
            schema = generate()
            if _SCHEMA_NAME not in schema.get("components", {}).get("schemas", {}):
                _document(app, schema)
            return schema

        app.openapi = openapi  # type: ignore[method-assign]

    @asynccontextmanager
    async def _open(self, app: FastAPI) -> AsyncGenerator[None]:
        """The engine, while an app runs."""
        # What a test puts in its place is checked, and the one that would be made is not made.
        replaced = app.dependency_overrides.get(self.engine)
        if replaced is not None or isinstance(self._source, Engine):
            self._check(app, await _made(replaced) if replaced is not None else await self.engine())
            yield
            return
        with self._lock:
            self._running += 1
        try:
            self._check(app, await self._shared(self._source))
            yield
        finally:
            engine = None
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    engine, self._engine = self._engine, None
            if engine is not None:
                await run_in_threadpool(engine.close)

    async def _shared(self, make: Callable[[], Any]) -> Engine:
        """The engine that is made here. Apps that run at once share it, each on a loop of its own perhaps."""
        made: Future[None] = Future()
        # Whoever gives up waiting does not end it for the others.
        made.set_running_or_notify_cancel()
        while True:
            with self._lock:
                if self._engine is not None:
                    return self._engine
                making = self._making
                if making is None:
                    self._making = made
            if making is None:
                break
            # Where it comes to nothing, the next one tries.
            await asyncio.wrap_future(making)
        try:
            self._engine = await _made(make)
            return self._engine
        finally:
            self._making = None
            made.set_result(None)

    def _check(self, app: FastAPI, engine: Engine) -> None:
        about = engine.snapshot().about
        mistakes: list[str] = []
        for place, route in _routes(app):
            mounted = getattr(route, "app", None)
            if isinstance(mounted, FastAPI) and mounted not in self._apps:
                self._answer_in(mounted)
            if getattr(route, "endpoint", None) in self._bare:
                mistakes.append(
                    f"{place}: `requires` stands above what says the path, and guards nothing: put it below"
                )
            for call in _calls(route):
                bound = getattr(call, "__self__", None) is self and getattr(call, "__name__", "") in _NOT_ASKED
                if bound or getattr(call, "_leasehold_decorates", False):
                    name = getattr(call, "__name__", "requires")
                    raise ArgumentError(
                        f"{place}: `{name}` itself is depended on, and asks for nothing: "
                        'call it, as in `Depends(leasehold.require("feature"))`, and decorate with `requires`'
                    )
            for one in _requirements(route):
                said = (mistake_in(about, wanted, key) for wanted, key in one._keys)
                mistakes.extend(f"{place}: {one!r}: {what}" for what in said if what is not None)
        if not mistakes:
            return
        error = UnknownKeysError(dict.fromkeys(mistakes), about.revision, 'set `on_unknown_keys="warn"`')
        if self._on_unknown_keys == "fail":
            raise error
        _log.warning("%s", error)


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
_NOT_ASKED = {"require", "require_limit", "require_transition", "requires"}
"""What makes a dependency, and is none."""


def _needed(name: str, need: Callable[..., Any]) -> inspect.Parameter:
    annotation = Annotated[Any, Depends(_dependency(need))]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _dependency(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function as FastAPI takes it, for whom a parameter without an annotation is one of the query."""
    signature = inspect.signature(call)
    request = signature.parameters.get("request")
    if request is None or request.annotation is not inspect.Parameter.empty:
        return call

    async def soon(**found: Any) -> Any:
        return await call(**found)

    # Older versions take what is bound for a function that does not wait.
    bound: Callable[..., Any] = soon if inspect.iscoroutinefunction(call) else functools.partial(call)
    parameters = {**signature.parameters, "request": request.replace(annotation=HTTPConnection)}
    bound.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    return bound


def _tenant_of(guard: Guard) -> Tenant:
    return guard.tenant


async def _made(make: Callable[[], Any]) -> Engine:
    """What a function makes: it may wait for HQ, and others are served meanwhile."""
    engine = make() if inspect.iscoroutinefunction(make) else await run_in_threadpool(make)
    if inspect.isawaitable(engine):
        engine = await engine
    if not isinstance(engine, Engine):
        raise ArgumentError(f"`engine` gives an `Engine`, not what is of type `{type(engine).__name__}`")
    return engine


def _routes(app: FastAPI) -> Iterator[tuple[str, Any]]:
    """All routes, with what they are called: those of routers and of mounted apps too."""
    # Newer versions keep routers that were included as they are.
    flat: Callable[[Any], Iterable[Any]] = getattr(routing, "iter_route_contexts", iter)
    for route in flat(app.routes):
        methods = ", ".join(sorted(getattr(route, "methods", None) or ()))
        path = getattr(route, "path", "")
        yield f"{methods} {path}".strip(), route
        mounted = getattr(route, "app", None)
        if isinstance(mounted, FastAPI):
            for place, below in _routes(mounted):
                yield f"{path}: {place}", below


def _requirements(route: Any) -> Iterator[Requirement[Any]]:
    """All that is asked for by a route, its routers and their dependencies."""
    return (call for call in _calls(route) if _asks(call))


def _calls(route: Any) -> Iterator[Any]:
    """All that is called for a route."""
    waiting = [dependant for dependant in [getattr(route, "dependant", None)] if dependant is not None]
    for dependant in waiting:
        yield dependant.call
        waiting.extend(dependant.dependencies)


def _asks(call: object) -> TypeGuard[Requirement[Any]]:
    return isinstance(call, Requirement)


async def _answer(request: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, RefusedError)
    problem = error.problem
    answer = JSONResponse(dict(problem), status_code=problem["status"], media_type=MEDIA_TYPE)
    if not isinstance(request, WebSocket):
        return answer
    may_be_denied = "websocket.http.response" in request.scope.get("extensions", {})
    if may_be_denied and request.application_state is WebSocketState.CONNECTING:
        await request.send_denial_response(answer)
    else:
        # There is no way to say more than that: 1008 is a policy that was violated.
        await request.close(code=1008, reason=error.code)
    return None


_SCHEMA_NAME = "LeaseholdProblem"


def _document(app: FastAPI, schema: dict[str, Any]) -> None:
    """Says in an OpenAPI document which requests may be refused."""
    text, number, thing = {"type": "string"}, {"type": "integer"}, {"type": "object"}
    for _, route in _routes(app):
        statuses = sorted({status for one in _requirements(route) for status in one._statuses})
        operations = schema.get("paths", {}).get(getattr(route, "path_format", None), {})
        for method in getattr(route, "methods", None) or () if statuses else ():
            operation = operations.get(method.lower())
            if operation is None:
                continue
            for status in statuses:
                answer = operation["responses"].setdefault(str(status), {"description": "Refused by Leasehold"})
                content = answer.setdefault("content", {})
                content[MEDIA_TYPE] = {"schema": {"$ref": f"#/components/schemas/{_SCHEMA_NAME}"}}
    schema.setdefault("components", {}).setdefault("schemas", {})[_SCHEMA_NAME] = {
        "title": _SCHEMA_NAME,
        "description": "A problem document (RFC 9457). Programs go by `code` and `reason`; `detail` is for people.",
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            **{name: text for name in ("type", "title", "code", "detail", "reason", "feature", "block")},
            **{name: text for name in ("workflow", "from", "to")},
            "status": number,
            "revision": number,
            "limit": thing,
            "blockers": {"type": "array", "items": thing},
        },
    }
