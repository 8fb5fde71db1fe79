"""Following from asyncio: nothing waits on the loop, and what is called back is called there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from leasehold import ArgumentError, ClosedError, Content, Engine, Snapshot, SnapshotError, Source, TimedOutError, aio
from leasehold.answers import Changes, FaultSeen
from leasehold.follow.folder import Folder
from support.desk import SWITCH, TENANT, Desk
from support.wait import until

T = TypeVar("T")
LONG_MS = 60_000


def ran(work: Coroutine[Any, Any, T]) -> T:
    """Whatever the loop is told of, which nobody expects, fails."""
    told: list[dict[str, Any]] = []

    async def run() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        return await work

    came = asyncio.run(run())
    gc.collect()
    assert told == []
    assert [it.name for it in threading.enumerate() if it.name.startswith("leasehold")] == []
    return came


async def soon(what: str, condition: Callable[[], T]) -> T:
    """Waits until a condition holds, while the loop runs on."""
    for _ in range(24_000):
        if held := condition():
            return held
        await asyncio.sleep(0.005)
    raise AssertionError(f"it never came to this: {what}")


@contextlib.asynccontextmanager
async def followed(desk: Desk, **more: Any) -> AsyncIterator[Engine]:
    options: dict[str, Any] = {"directory": desk.snapshots, "trust": desk.trust, "poll_ms": 5, "backoff_max_ms": 5}
    engine = await aio.follow(**{**options, **more})
    try:
        yield engine
    finally:
        await aio.close(engine)


async def published(desk: Desk, is_on: bool) -> int:
    return await asyncio.to_thread(desk.publish, is_on)


class Slow(Source):
    """The directory, which answers once it is told to, or is closed."""

    def __init__(self, desk: Desk) -> None:
        self.folder = Folder(desk.snapshots)
        self.asked, self.goes_on, self.closed = threading.Event(), threading.Event(), 0

    def head(self, stream: str, known: str | None) -> bytes | None:
        self.asked.set()
        self.goes_on.wait()
        return self.folder.head(stream)

    def content(self, hash: str, length: int) -> Content | None:
        return self.folder.content(hash, length)

    def close(self) -> None:
        self.closed += 1
        self.goes_on.set()


# Beginning.


def test_the_loop_runs_on_while_it_begins(desk: Desk) -> None:
    async def work() -> None:
        source = Slow(desk)
        beginning = asyncio.ensure_future(aio.follow(source=source, trust=desk.trust))
        await soon("it is asked", source.asked.is_set)
        assert not beginning.done()
        source.goes_on.set()
        engine = await beginning
        assert engine.tenant(TENANT).is_enabled("delivery") is True
        await aio.close(engine)
        assert engine.closed
        assert source.closed == 1

    ran(work())


def test_what_cannot_begin_says_why(desk: Desk) -> None:
    async def work() -> None:
        with pytest.raises(SnapshotError, match="there is no head"):
            await aio.follow(directory=desk.at("nowhere"), trust=desk.trust)
        with pytest.raises(ArgumentError):
            await aio.follow(directory=desk.snapshots, trust=desk.trust, poll_ms=0)
        with pytest.raises(TypeError, match="nope"):
            await aio.follow(directory=desk.snapshots, trust=desk.trust, nope=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    ran(work())
    assert list(inspect.signature(aio.follow).parameters) == list(inspect.signature(Engine.follow).parameters)


@pytest.mark.parametrize("what", ["ends", "fails"])
def test_cancelled_while_it_begins(desk: Desk, what: str) -> None:
    async def work() -> None:
        source = Slow(desk)
        if what == "fails":
            source.folder = Folder(desk.at("nowhere"))
        beginning = asyncio.ensure_future(aio.follow(source=source, trust=desk.trust))
        await soon("it is asked", source.asked.is_set)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        # What was under way is ended, and nobody waits for an answer.
        assert source.closed >= 1
        assert source.goes_on.is_set()

    ran(work())


# Waiting.


def test_waiting(desk: Desk) -> None:
    async def work() -> None:
        async with followed(desk) as engine:
            assert await aio.wait_for(engine, 0) == 1
            assert await aio.wait_for(engine, 1) == 1
            waiting = [asyncio.ensure_future(aio.wait_for(engine, 2, LONG_MS)) for _ in range(3)]
            assert await published(desk, True) == 2
            assert await asyncio.gather(*waiting) == [2, 2, 2]
            with pytest.raises(TimedOutError, match="revision 3 did not come in time: revision 2 is in force"):
                await aio.wait_for(engine, 3, 1)
            with pytest.raises(ArgumentError):
                await aio.wait_for(engine, 3, 0)
            with pytest.raises(ArgumentError):
                await aio.wait_for(engine, "3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            cancelled = asyncio.ensure_future(aio.wait_for(engine, 3, LONG_MS))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert engine._following is not None
            assert engine._following._listeners == []
            waits = asyncio.ensure_future(aio.wait_for(engine, 3, LONG_MS))
            await asyncio.sleep(0)
        with pytest.raises(ClosedError):
            await waits
        with pytest.raises(ClosedError):
            await aio.wait_for(engine, 1)

    ran(work())


def test_what_does_not_follow_is_not_waited_for() -> None:
    async def work() -> None:
        engine = Engine.from_definitions({}, revision=3)
        assert await aio.wait_for(engine, 3) == 3
        with pytest.raises(TimedOutError, match="does not follow"):
            await aio.wait_for(engine, 4)

    ran(work())


# Listening.


def test_listeners_are_called_on_the_loop(desk: Desk) -> None:
    async def work() -> None:
        told: list[tuple[str, int, threading.Thread]] = []

        async def awaited(changes: Changes) -> None:
            await asyncio.sleep(0)
            told.append(("awaited", changes.revision.to, threading.current_thread()))

        async with followed(desk) as engine:
            remove = [
                aio.on_change(engine, lambda it: told.append(("called", it.revision.to, threading.current_thread()))),
                aio.on_change(engine, awaited),
            ]
            await published(desk, True)
            await soon("both are told", lambda: len(told) == 2)
            here = threading.current_thread()
            assert sorted(told) == [("awaited", 2, here), ("called", 2, here)]
            for one in remove * 2:
                one()
            await published(desk, False)
            await aio.wait_for(engine, 3, LONG_MS)
            assert len(told) == 2
            with pytest.raises(ArgumentError):
                aio.on_change(engine, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    ran(work())


def test_faults_are_told(desk: Desk) -> None:
    async def work() -> None:
        told: list[FaultSeen] = []
        async with followed(desk) as engine:
            aio.on_fault(engine, told.append)
            desk.snapshots.rename(desk.at("elsewhere"))
            await soon("it is told", lambda: told)
            assert told[0].code == "unreachable"
            desk.at("elsewhere").rename(desk.snapshots)

    ran(work())


def test_what_listeners_raise_goes_to_the_loop(desk: Desk) -> None:
    async def work() -> None:
        failed: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(str(context["exception"])))

        def fails(changes: Changes) -> None:
            raise RuntimeError("called boom")

        async def fails_later(changes: Changes) -> None:
            raise RuntimeError("awaited boom")

        async with followed(desk) as engine:
            aio.on_change(engine, fails)
            aio.on_change(engine, fails_later)
            for is_on in (True, False):
                await aio.wait_for(engine, await published(desk, is_on), LONG_MS)
            await soon("all is told", lambda: len(failed) == 4)
        assert sorted(failed) == ["awaited boom"] * 2 + ["called boom"] * 2

    ran(work())


def test_listeners_hear_nothing_of_an_engine_that_is_closed(desk: Desk) -> None:
    async def work() -> None:
        told: list[Changes] = []
        async with followed(desk) as engine:
            heard = threading.Event()
            aio.on_change(engine, told.append)
            engine.on_change(lambda _: heard.set())
            desk.publish(True)
            # It is on its way to the loop, which does not run meanwhile.
            assert heard.wait(60)
            engine.close()
        await asyncio.sleep(0)
        assert told == []

    ran(work())


def test_changes_come_one_after_another_until_it_is_closed(desk: Desk) -> None:
    async def work() -> None:
        async with followed(desk) as engine:
            seen: list[int] = []

            async def look() -> None:
                async for changes in aio.changes(engine):
                    seen.append(changes.revision.to)

            looking = [asyncio.ensure_future(look()) for _ in range(2)]
            await soon("it listens", lambda: len(engine._on_change) == 2)
            for is_on in (True, False):
                await aio.wait_for(engine, await published(desk, is_on), LONG_MS)
            await soon("all is seen", lambda: seen == [2, 2, 3, 3])
        await asyncio.gather(*looking)
        assert engine._on_change == []
        assert engine._on_close == []
        async for _ in aio.changes(engine):
            raise AssertionError("it is closed")

    ran(work())


def test_changes_that_are_left_listen_no_more(desk: Desk) -> None:
    async def work() -> None:
        engine = Engine(Snapshot.from_pack(desk.at("oman.pack").read_bytes(), desk.trust))
        desk.publish(True)
        first, second = engine.snapshot(), Engine.from_directory(desk.snapshots, desk.trust).snapshot()
        looking = aio.changes(engine)
        coming = asyncio.ensure_future(anext_of(looking))
        await asyncio.sleep(0)
        engine.swap(second)
        assert [group.features for group in (await coming).groups] == [(SWITCH,)]
        coming = asyncio.ensure_future(anext_of(looking))
        await asyncio.sleep(0)
        coming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await coming
        assert (engine._on_change, engine._on_close) == ([], [])
        # Of an engine that does not follow, they end as well.
        ending = asyncio.ensure_future(anext_of(aio.changes(engine)))
        await asyncio.sleep(0)
        engine.swap(first)
        await ending
        ending = asyncio.ensure_future(anext_of(aio.changes(engine)))
        await asyncio.sleep(0)
        engine.close()
        with pytest.raises(StopAsyncIteration):
            await ending

    ran(work())


async def anext_of(changes: AsyncIterator[Changes]) -> Changes:
    return await changes.__anext__()


# Loops.


def test_several_loops_hear_of_one_engine(desk: Desk) -> None:
    options: dict[str, Any] = {"directory": desk.snapshots, "trust": desk.trust, "poll_ms": 5}
    with Engine.follow(**options) as engine:
        told: list[tuple[threading.Thread, threading.Thread]] = []
        failed: list[BaseException] = []

        async def listen() -> None:
            here = threading.current_thread()
            aio.on_change(engine, lambda _: told.append((here, threading.current_thread())))
            await aio.wait_for(engine, 2, LONG_MS)
            await soon("all are told", lambda: len(told) == 3)

        def run() -> None:
            try:
                asyncio.run(listen())
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        until("all listen", lambda: failed or len(engine._on_change) == 3)
        desk.publish(True)
        for thread in threads:
            thread.join()
        assert failed == []
        assert {here for here, _ in told} == set(threads)
        assert all(here is there for here, there in told)
        # Their loops are closed, and the engine goes on.
        desk.publish(False)
        assert engine.wait_for(3, LONG_MS) == 3
        assert len(told) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_does_not_call_on_the_loop_of_its_parent(desk: Desk) -> None:
    async def work() -> None:
        async with followed(desk) as engine:
            told: list[int] = []
            aio.on_change(engine, lambda changes: told.append(changes.revision.to))
            ready = vars(asyncio.get_running_loop())["_ready"]
            child = os.fork()
            if child == 0:
                is_left_alone = False
                with contextlib.suppress(BaseException):
                    before = len(ready)
                    engine.wait_for(2, LONG_MS)
                    engine.close()
                    is_left_alone = len(ready) == before
                os._exit(0 if is_left_alone else 1)
            await published(desk, True)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            await soon("it is told", lambda: told == [2])

    ran(work())
