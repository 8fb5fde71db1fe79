"""Processes that were forked while an engine follows: each follows by itself, or says that it does not."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import multiprocessing
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import leasehold
import pytest
from leasehold import ArgumentError, Content, Engine, Source, TimedOutError
from leasehold._native import Follower
from leasehold.answers import Changes, FaultSeen
from leasehold.follow.folder import Folder
from support.desk import STREAM, SWITCH, TENANT, Desk
from support.fake_hq import FakeHq
from support.wait import until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # That a process with threads is forked is what this is about.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

WORKERS = Path(__file__).parent / "workers"
LONG_MS = 15_000
LONG_S = 20.0


class Child:
    """A process that was forked to do some work, and what that came to."""

    def __init__(self, work: Callable[[], object], fork: Callable[[], int] = os.fork) -> None:
        self._read, write = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            # One that hangs says where it is. A watch of faulthandler's would hang itself in a child of the child.
            faulthandler.register(signal.SIGUSR1, file=write)
            said: dict[str, object] = {}
            try:
                said["came"] = work()
            except BaseException:
                said["failed"] = traceback.format_exc()
            try:
                os.write(write, json.dumps(said).encode())
            finally:
                # What the parent does at its end is not the child's.
                os._exit(0)
        os.close(write)

    def came(self) -> Any:
        """What its work came to. One that hangs is ended."""
        said, asked = b"", False
        while True:
            ready, _, _ = select.select([self._read], [], [], 1.0 if asked else LONG_S)
            if ready:
                piece = os.read(self._read, 65536)
                if not piece:
                    break
                said += piece
            elif not asked:
                os.kill(self.pid, signal.SIGUSR1)
                asked = True
            else:
                os.kill(self.pid, signal.SIGKILL)
                break
        os.close(self._read)
        os.waitpid(self.pid, 0)
        assert not asked, f"the child hangs: {said.decode()}"
        told = json.loads(said)
        assert "failed" not in told, told["failed"]
        return told["came"]


def environment(**more: str) -> dict[str, str]:
    """For programs that are started with the package and the modules of `workers`."""
    path = os.pathsep.join([str(WORKERS), str(Path(leasehold.__file__).parents[1])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", **more}


def followed(desk: Desk, **more: Any) -> Engine:
    options: dict[str, Any] = {"directory": desk.snapshots, "trust": desk.trust, "poll_ms": 5, "backoff_max_ms": 5}
    return Engine.follow(**{**options, **more})


def answers(engine: Engine, revision: int) -> list[object]:
    """Once a revision is in force."""
    return [engine.wait_for(revision, LONG_MS), engine.tenant(TENANT).is_enabled(SWITCH)]


def test_a_child_follows_and_so_does_its_parent(desk: Desk) -> None:
    with followed(desk) as engine:
        children = [Child(lambda: answers(engine, 2)) for _ in range(3)]
        desk.publish(True)
        assert [child.came() for child in children] == [[2, True]] * 3
        assert answers(engine, 2) == [2, True]
        desk.publish(False)
        assert answers(engine, 3) == [3, False]


def test_a_child_of_a_child_follows(desk: Desk) -> None:
    with followed(desk) as engine:

        def fork_again() -> object:
            grandchild = Child(lambda: answers(engine, 2))
            return [answers(engine, 2), grandchild.came()]

        child = Child(fork_again)
        desk.publish(True)
        assert child.came() == [[2, True], [2, True]]


def test_a_child_tells_its_own_listeners_and_closes_its_own_engine(desk: Desk) -> None:
    with followed(desk) as engine:
        told: list[Changes] = []
        engine.on_change(told.append)

        def work() -> object:
            until("it is told", lambda: told)
            engine.close()
            left = [thread.name for thread in threading.enumerate() if thread.name.startswith("leasehold")]
            return [told[0].revision.to, left]

        child = Child(work)
        desk.publish(True)
        assert child.came() == [2, []]
        assert answers(engine, 2) == [2, True]
        desk.publish(False)
        assert answers(engine, 3) == [3, False]


def test_what_was_closed_before_stays_closed(desk: Desk) -> None:
    engine = followed(desk)
    engine.close()
    assert Child(
        lambda: [engine.closed, [it.name for it in threading.enumerate() if it.name[:5] == "lease"]]
    ).came() == [
        True,
        [],
    ]


def test_a_child_hears_of_news_over_a_connection_of_its_own(desk: Desk) -> None:
    http = {"pause_min_ms": 5, "pause_max_ms": 50}
    with (
        FakeHq(desk.snapshots, STREAM) as hq,
        Engine.follow(url=hq.url, token="t", trust=desk.trust, engine_id="python-1", http=http) as engine,
    ):

        def told() -> bool:
            assert engine.hearing is not None
            return engine.hearing.told

        until("it hears", told)
        child = Child(lambda: [until("the child hears", told), answers(engine, 2)])
        until("both hear", lambda: hq.listeners == 2)
        desk.publish(True)
        hq.tell()
        assert child.came() == [True, [2, True]]
        assert answers(engine, 2) == [2, True]
        until("the child has gone", lambda: hq.listeners == 1)
        assert told(), "the connection of the parent is still there"
        desk.publish(False)
        hq.tell()
        assert answers(engine, 3) == [3, False]


def test_a_child_does_not_write_what_its_parent_keeps(desk: Desk) -> None:
    kept = desk.at("kept")
    engine = followed(desk, keep=kept)

    def work() -> object:
        came = answers(engine, 2)
        health = engine.health()
        assert health is not None
        return [came, health.persisted]

    child = Child(work)
    engine.close()
    desk.publish(True)
    assert child.came() == [[2, True], False]
    assert Engine.from_last_known_good(kept, desk.trust).snapshot().revision == 1


def test_a_child_that_was_forked_before_a_swap_makes_up_for_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with followed(desk) as engine:
        it, parent = engine._following, os.getpid()
        assert it is not None
        swap, comes, goes_on = it._swap, threading.Event(), threading.Event()

        def wait() -> None:
            # The follower has it already, and the engine has not.
            if os.getpid() == parent:
                comes.set()
                goes_on.wait()
            swap()

        monkeypatch.setattr(it, "_swap", wait)
        desk.publish(True)
        comes.wait()
        child = Child(lambda: answers(engine, 2))
        assert child.came() == [2, True]
        goes_on.set()
        assert answers(engine, 2) == [2, True]


def test_a_callback_may_fork(desk: Desk) -> None:
    with followed(desk) as engine:
        children: list[Child] = []

        def fork(changes: Changes) -> None:
            if changes.revision.to == 2:
                children.append(Child(lambda: [engine.snapshot().revision, answers(engine, 3)]))

        engine.on_change(fork)
        desk.publish(True)
        until("it was called", lambda: children)
        desk.publish(False)
        assert children[0].came() == [2, [3, False]]
        assert answers(engine, 3) == [3, False]


def test_a_child_that_cannot_start_threads_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(desk) as engine:

        def work() -> object:
            health = engine.health()
            assert health is not None
            with contextlib.suppress(TimedOutError):
                engine.wait_for(2, 1)
            return [[fault.message for fault in health.faults], caplog.text, answers(engine, 1)]

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            child = Child(work)
        messages, logged, answered = child.came()
        why = "this process was forked, and does not follow: can't start new thread"
        assert messages == [why]
        assert why in logged
        assert answered == [1, False]
        desk.publish(True)
        assert answers(engine, 2) == [2, True]
        health = engine.health()
        assert health is not None
        assert health.faults == ()


class Busy(Source):
    """A source with locks of its own, of which it lets go in a child."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)
        self._lock = threading.Lock()

    def head(self, stream: str, known: str | None) -> bytes | None:
        with self._lock:
            return self._folder.head(stream)

    def content(self, hash: str, length: int) -> Content | None:
        with self._lock:
            return self._folder.content(hash, length)

    def forked(self) -> None:
        self._lock = threading.Lock()


def test_a_hundred_forks_in_the_middle_of_everything(desk: Desk) -> None:
    series = []
    for number in range(12):
        desk.publish(number % 2 == 0)
        series.append(desk.snapshots.joinpath("heads", f"{STREAM}.head").read_bytes())
    newest, folder = 1 + len(series), Folder(desk.snapshots)
    folder.persist(STREAM, series.pop(0), [], [])
    ended, failed = threading.Event(), list[str]()

    def goes_on(work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                while not ended.is_set():
                    work()
            except BaseException:
                failed.append(traceback.format_exc())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def contact(engine: Engine) -> datetime:
        health = engine.health()
        assert health is not None
        assert health.last_contact_at is not None
        return health.last_contact_at

    with (
        followed(desk, poll_ms=1) as engine,
        followed(desk, directory=None, source=Busy(desk.snapshots), poll_ms=1, keep=desk.at("kept")) as other,
    ):
        engine.on_change(lambda changes: engine.health())
        tenants = engine.snapshot().tenant_ids()

        def ask() -> None:
            engine.is_enabled_many(tenants, [SWITCH, "delivery"])
            engine.tenant(TENANT).entitlements()
            engine.tenant(TENANT).machine("order").covering_paths()
            other.health()

        def open_another() -> None:
            followed(desk).close()

        threads = [goes_on(ask), goes_on(ask), goes_on(open_another)]

        def work(before: datetime, revision: int) -> object:
            came = [one.wait_for(revision, LONG_MS) for one in (engine, other)]
            ask()
            # It has asked in this process.
            for one in (engine, other):
                until("it follows", lambda one=one: contact(one) > before)  # type: ignore[misc]
            return [one >= revision for one in came]

        for number in range(100):
            if series and number % 8 == 0:
                folder.persist(STREAM, series.pop(0), [], [])
            before, revision = max(contact(engine), contact(other)), engine.snapshot().revision
            child = Child(lambda before=before, revision=revision: work(before, revision))  # type: ignore[misc]
            assert child.came() == [True, True]
        assert series == []
        last = Child(lambda: [answers(one, newest) for one in (engine, other)])
        assert last.came() == [[newest, False]] * 2
        assert [answers(one, newest) for one in (engine, other)] == [[newest, False]] * 2
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == []


class InUse:
    """A follower that a thread was in the middle of asking, when a process without that thread was made."""

    def is_free(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"waits for a thread that is not there: `{name}`")


def fork_without_hooks() -> int:
    """As uWSGI may: of Python's hooks it calls but the last one."""
    interval = sys.getswitchinterval()
    # In a server, no Python runs between these two calls. Here it does: were a thread waiting for its turn, the child,
    # which does not have it, would wait until it takes that. So none asks for a turn, and those who did have had it.
    sys.setswitchinterval(LONG_S)
    time.sleep(4 * interval)
    pid: int = ctypes.PyDLL(None).fork()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    sys.setswitchinterval(interval)
    return pid


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python takes locks of its own before a fork, which it needs")
def test_a_server_that_forks_by_means_of_its_own(desk: Desk) -> None:
    with followed(desk) as engine:
        child = Child(lambda: answers(engine, 2), fork_without_hooks)
        desk.publish(True)
        assert child.came() == [2, True]
        assert answers(engine, 2) == [2, True]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python takes locks of its own before a fork, which it needs")
def test_a_server_that_forks_in_the_middle_of_everything(desk: Desk) -> None:
    with followed(desk, poll_ms=1) as engine:
        for number in range(50):
            revision = desk.publish(number % 2 == 0)
            child = Child(lambda revision=revision: answers(engine, revision), fork_without_hooks)  # type: ignore[misc]
            assert child.came() == [revision, number % 2 == 0]


def test_a_child_that_was_forked_while_a_follower_was_asked_begins_anew(desk: Desk) -> None:
    with followed(desk) as engine:
        older = desk.snapshots.joinpath("heads", f"{STREAM}.head").read_bytes()
        desk.publish(True)
        assert answers(engine, 2) == [2, True]
        following = engine._following
        assert following is not None

        def fork() -> int:
            with following._lock:
                its = following._follower
                following._follower = cast("Follower", InUse())
                pid = os.fork()
                if pid != 0:
                    following._follower = its
                return pid

        def faults() -> Sequence[FaultSeen]:
            health = engine.health()
            assert health is not None
            return health.faults

        def goes_back() -> object:
            Folder(desk.snapshots).persist(STREAM, older, [], [])
            until("it is refused", lambda: "older_revision" in [fault.code for fault in faults()])
            return answers(engine, 2)

        assert Child(lambda: answers(engine, 2), fork).came() == [2, True]
        child = Child(lambda: answers(engine, 3), fork)
        desk.publish(False)
        assert child.came() == [3, False]
        assert answers(engine, 3) == [3, False]
        assert Child(goes_back, fork).came() == [3, False]


def test_a_program_that_is_started_with_a_hook(desk: Desk) -> None:
    with followed(desk) as engine:
        run = subprocess.run(
            [sys.executable, "-c", "print(5)"], preexec_fn=os.getpid, capture_output=True, text=True, timeout=LONG_S
        )
        assert (run.stdout, run.stderr, run.returncode) == ("5\n", "", 0)
        desk.publish(True)
        assert answers(engine, 2) == [2, True]


def test_nothing_is_imported_while_the_engine_is_asked() -> None:
    run = subprocess.run(
        [sys.executable, str(WORKERS / "looks_up.py")],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        env=environment(),
    )
    assert run.returncode == 0, run.stderr


# `multiprocessing`.


def put_answers(engine: Engine, revision: int, pipe: Any) -> None:
    pipe.send(answers(engine, revision))


def test_multiprocessing_that_forks(desk: Desk) -> None:
    with followed(desk) as engine:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=put_answers, args=(engine, 2, theirs))
        child.start()
        desk.publish(True)
        assert ours.poll(LONG_S)
        assert ours.recv() == [2, True]
        child.join(LONG_S)
        assert child.exitcode == 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_engine_is_not_handed_to_a_process_that_is_not_forked(desk: Desk, method: Any) -> None:
    with followed(desk) as engine:
        context = multiprocessing.get_context(method)
        _, theirs = context.Pipe()
        child = context.Process(target=put_answers, args=(engine, 2, theirs))
        with pytest.raises(ArgumentError, match=r"an engine is neither copied nor pickled.*make one in each process"):
            child.start()


# Servers, really started.


@contextlib.contextmanager
def served(desk: Desk, *arguments: str, ready: str) -> Iterator[str]:
    """A program that serves, once it says so; gives what it says then. It is ended by its process id."""
    log = desk.at("served.log")
    with log.open("w") as written:
        program = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=desk.folder,
            env=environment(LEASEHOLD_DESK=str(desk.folder)),
            stdout=written,
            stderr=written,
        )
    try:

        def said() -> list[str]:
            assert program.poll() is None, log.read_text()
            return re.findall(ready, log.read_text())

        yield until("it serves", said)[0]
    except BaseException:
        print(log.read_text())
        raise
    finally:
        program.terminate()
        try:
            program.wait(LONG_S)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            raise AssertionError(f"it does not end: {log.read_text()}") from None


def asked(url: str) -> list[Any] | None:
    """What one of the workers answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            came: list[Any] = json.load(answer)
            return came
    except OSError:
        # One that is ended meanwhile says nothing.
        return None


def workers_at(ask: Callable[[], list[Any] | None], revision: int, but: int = 0) -> set[int]:
    """The two workers that have a revision in force."""
    seen: set[int] = set()

    def both() -> bool:
        came = ask()
        if came is not None and came[0] != but and came[1:] == [revision, revision % 2 == 0]:
            seen.add(came[0])
        return len(seen) == 2

    until(f"two workers have revision {revision}", both)
    return seen


def test_gunicorn_with_preload(desk: Desk) -> None:
    arguments = (
        "gunicorn",
        "--preload",
        "--workers",
        "2",
        "--bind",
        "127.0.0.1:0",
        "--no-control-socket",
        "serves:wsgi",
    )
    with served(desk, *arguments, ready=r"http://127.0.0.1:\d+") as url:
        first = workers_at(lambda: asked(url), 1)
        desk.publish(True)
        assert workers_at(lambda: asked(url), 2) == first
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        second = workers_at(lambda: asked(url), 2, killed)
        assert len(first & second) == 1
        desk.publish(False)
        assert workers_at(lambda: asked(url), 3) == second


def test_uvicorn_with_workers(desk: Desk) -> None:
    arguments = ("uvicorn", "serves:asgi", "--workers", "2", "--port", "0", "--no-access-log")
    with served(desk, *arguments, ready=r"http://127.0.0.1:\d+") as url:
        first = workers_at(lambda: asked(url), 1)
        desk.publish(True)
        assert workers_at(lambda: asked(url), 2) == first


def test_celery_that_forks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(WORKERS)
    from broker import celery  # type: ignore[import-not-found]

    client = celery(desk.at("celery"))

    def ask() -> list[Any]:
        came: list[Any] = client.send_task("ask").get(timeout=LONG_S, interval=0.01)
        return came

    arguments = ("celery", "--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO")
    with served(desk, *arguments, "--without-gossip", "--without-mingle", ready=r"celery@.* ready"):
        first = workers_at(ask, 1)
        desk.publish(True)
        assert workers_at(ask, 2) == first


def test_a_server_that_forks_for_multiprocessing(desk: Desk) -> None:
    program = subprocess.Popen(
        [sys.executable, str(WORKERS / "preloaded.py")],
        env=environment(LEASEHOLD_DESK=str(desk.folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    first = program.stdout.readline()
    desk.publish(True)
    second, wrong = program.communicate("published\n", timeout=LONG_S)
    assert re.fullmatch(r"\(\[\d+, 1, False\], True\)\n", first), wrong
    assert re.fullmatch(r"\[\d+, 2, True\]\n", second), wrong
    assert (program.returncode, wrong) == (0, "")
