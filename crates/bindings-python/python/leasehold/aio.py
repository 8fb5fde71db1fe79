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
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import Any

from .answers import Changes, FaultSeen
from .engine import Engine

__all__ = ["changes", "close", "follow", "on_change", "on_fault", "wait_for"]


async def follow(**options: Any) -> Engine:
    """`Engine.follow`, while the loop runs on."""
    beginning = asyncio.ensure_future(asyncio.to_thread(partial(Engine.follow, **options)))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(beginning: asyncio.Future[Engine]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().close()


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
    remove = following.on_swap(lambda: _soon(loop, swapped.set))
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
    return engine.on_change(_on_loop(listener))


def on_fault(engine: Engine, listener: Callable[[FaultSeen], Awaitable[object] | object]) -> Callable[[], None]:
    """`Engine.on_fault`, called on the running loop. It may be a coroutine function."""
    return engine.on_fault(_on_loop(listener))


async def changes(engine: Engine) -> AsyncIterator[Changes]:
    """Whose answers are other ones, whenever there are such, until the engine is closed."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Changes | None] = asyncio.Queue()
    remove = [engine.on_change(lambda told: _soon(loop, partial(queue.put_nowait, told)))]

    def end() -> None:
        if engine.closed:
            _soon(loop, partial(queue.put_nowait, None))

    if engine._following is not None:
        remove.append(engine._following.on_swap(end))
    try:
        while not engine.closed and (told := await queue.get()) is not None:
            yield told
    finally:
        for one in remove:
            one()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _on_loop(listener: Callable[[Any], Awaitable[object] | object]) -> Callable[[Any], None]:
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Future[object]] = set()

    def deliver(told: object) -> None:
        answer = listener(told)
        if isawaitable(answer):
            task = asyncio.ensure_future(answer)
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(_report)

    def _report(task: asyncio.Future[object]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": "a listener failed", "exception": error, "future": task})

    return lambda told: _soon(loop, partial(deliver, told))
