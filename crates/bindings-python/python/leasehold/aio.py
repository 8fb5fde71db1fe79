"""Following from asyncio. Questions are synchronous there too: they are answered from memory, and wait for nobody.

    from leasehold import aio

    engine = await aio.follow(url="https://hq.example", token=token, trust=trust)
    async for changes in aio.changes(engine):
        ...

What carries is a thread in either case: nothing of it runs on the loop, and nothing ends with it. What is called
back is called on the loop that asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from inspect import isawaitable, signature
from typing import Any, ParamSpec, TypeVar

from .answers import Changes, FaultSeen
from .engine import Engine
from .errors import ArgumentError
from .follow.following import Following, listening

__all__ = ["changes", "close", "follow", "on_change", "on_fault", "wait_for"]

P = ParamSpec("P")
R = TypeVar("R")


def _with_options_of(
    begin: Callable[P, R],
) -> Callable[[Callable[..., Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    def named(awaited: Callable[..., Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        awaited.__signature__ = signature(begin)  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        return awaited

    return named


@_with_options_of(Engine.follow)
async def follow(**options: Any) -> Engine:
    """`Engine.follow`, while the loop runs on. Cancelled, it ends what is under way."""
    following = Following(Engine, **options)
    beginning = asyncio.ensure_future(asyncio.to_thread(Engine._follow, following))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        # Nobody hears of what becomes of it.
        beginning.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        following.close()
        raise


async def close(engine: Engine) -> None:
    """`Engine.close`, while the loop runs on."""
    await asyncio.to_thread(engine.close)


async def wait_for(engine: Engine, revision: int, timeout_ms: int = 10_000) -> int:
    """`Engine.wait_for`, while the loop runs on.

    Raises TimedOutError when it did not come in time.
    """
    in_force = engine._waited(revision, timeout_ms)
    if in_force is not None:
        return in_force
    following = engine._follows(revision)
    loop, swapped = asyncio.get_running_loop(), asyncio.Event()
    remove = following.on_swap(partial(_soon(), swapped.set))
    try:
        until = loop.time() + timeout_ms / 1000
        while (in_force := engine._waited(revision, timeout_ms)) is None:
            swapped.clear()
            try:
                await asyncio.wait_for(swapped.wait(), until - loop.time())
            except asyncio.TimeoutError:
                raise following.timed_out(revision) from None
        return in_force
    finally:
        remove()


def on_change(engine: Engine, listener: Callable[[Changes], Awaitable[object] | object]) -> Callable[[], None]:
    """`Engine.on_change`, called on the running loop. It may be a coroutine function.

    An exception of it goes to the loop's exception handler.
    """
    return _listening(engine, engine.on_change, listener)


def on_fault(engine: Engine, listener: Callable[[FaultSeen], Awaitable[object] | object]) -> Callable[[], None]:
    """`Engine.on_fault`, called on the running loop. It may be a coroutine function."""
    return _listening(engine, engine.on_fault, listener)


async def changes(engine: Engine) -> AsyncIterator[Changes]:
    """Whose answers are other ones, whenever there are such, until the engine is closed."""
    soon = _soon()
    queue: asyncio.Queue[Changes | None] = asyncio.Queue()
    with contextlib.ExitStack() as until:
        until.callback(engine.on_change(lambda told: soon(partial(queue.put_nowait, told))))
        until.callback(listening(engine._on_close, lambda: soon(partial(queue.put_nowait, None))))
        while not engine.closed and (told := await queue.get()) is not None:
            yield told


def _soon() -> Callable[[Callable[[], object]], None]:
    """Calls on the running loop, from any thread; after a fork, in the parent alone."""
    loop, process = asyncio.get_running_loop(), os.getpid()

    def soon(call: Callable[[], object]) -> None:
        if os.getpid() == process:
            # A loop that was closed hears of nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

    return soon


def _listening(
    engine: Engine,
    listen: Callable[[Callable[[Any], None]], Callable[[], None]],
    listener: Callable[[Any], Awaitable[object] | object],
) -> Callable[[], None]:
    if not callable(listener):
        raise ArgumentError(f"`listener` is a callable, not of type `{type(listener).__name__}`")
    loop, soon = asyncio.get_running_loop(), _soon()
    under_way: set[asyncio.Future[object]] = set()
    removed = False

    def deliver(told: object) -> None:
        if removed or engine.closed:
            # Whoever hears of it would ask about it.
            return
        answer = listener(told)
        if isawaitable(answer):
            task = asyncio.ensure_future(answer)
            under_way.add(task)
            task.add_done_callback(done)

    def done(task: asyncio.Future[object]) -> None:
        under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "a listener failed", "exception": error, "future": task})

    stop = listen(lambda told: soon(partial(deliver, told)))

    def remove() -> None:
        nonlocal removed
        removed = True
        stop()

    return remove
