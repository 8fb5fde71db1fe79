"""Signals, and processes that end: at any moment, in any thread, and without closing anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent

_DEADLINE_S = 120.0

BEGIN = """
import atexit, gc, os, random, signal, sys, threading
from conformance.vectors import engine_of, read_bytes, trust
from leasehold import ClosedError, Engine, LeaseholdError, Source, TimedOutError
from support.memory_source import MemorySource
from support.wait import until
NOW = 1773144000000
"""


def started(script: str) -> subprocess.Popen[str]:
    """A process that runs a script."""
    import leasehold

    paths = [str(_TESTS), str(Path(leasehold.__file__).resolve().parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONFAULTHANDLER": "1", "RUST_BACKTRACE": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What it wrote, once it has ended as it should and complained of nothing."""
    try:
        written, complaints = process.communicate(timeout=_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        written, complaints = process.communicate()
        raise AssertionError(f"it does not end\n{written}\n{complaints}") from None
    assert (process.returncode, complaints) == (0, ""), written
    return written


def runs(script: str) -> str:
    return ended(started(BEGIN + script))


# Signals.


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_an_interruption_ends_a_wait_and_the_engine_goes_on() -> None:
    process = started(
        BEGIN
        + """
source = MemorySource()
with Engine.follow(source=source, trust=trust(), poll_ms=1) as engine:
    try:
        print("waiting", flush=True)
        engine.wait_for(1000, 2_000_000_000)
    except KeyboardInterrupt:
        print("interrupted", engine.tenant(engine.snapshot().tenant_ids()[0]).entitlements(NOW).revision)
    source.current = "head_2"
    print(engine.wait_for(8, 100_000), engine.health().revision)
"""
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == "interrupted 7\n8 8\n"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_an_interruption_reaches_the_caller_of_a_long_call() -> None:
    process = started(
        BEGIN
        + """
engine = engine_of("shop")
try:
    print("asking", flush=True)
    while True:
        engine.is_enabled_many(["t1"] * 1_000, ["orders"] * 20, NOW)
except KeyboardInterrupt:
    print("interrupted", engine.is_enabled("t1", "orders", NOW))
"""
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asking\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == "interrupted True\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers of that sort")
def test_a_handler_of_a_signal_may_ask_while_its_thread_asks() -> None:
    written = runs("""
engine = Engine.follow(source=MemorySource(), trust=trust(), poll_ms=1)
tenant = engine.tenant(engine.snapshot().tenant_ids()[0])
heard, random = [], random.Random(1)
def handler(number, frame):
    heard.append(tenant.entitlements(NOW).revision)
    engine.is_enabled_many([tenant.id] * 10, [], NOW)
    engine.health()
    try:
        engine.wait_for(9, 1)
    except TimedOutError:
        pass
signal.signal(signal.SIGALRM, handler)
while len(heard) < 200:
    # It comes once, somewhere in what follows.
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 0.002))
    tenant.entitlements(NOW)
    engine.is_enabled_many([tenant.id] * 100, [], NOW)
    engine.health()
    try:
        engine.wait_for(9, 1)
    except TimedOutError:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
engine.close()
print(set(heard))
""")
    assert written == "{7}\n"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise there")
def test_a_handler_of_a_signal_may_close_what_its_thread_waits_for() -> None:
    # The signal comes at the worst moment: while the thread that waits looks at what is in force.
    written = runs("""
from leasehold.follow.following import Following
engine = Engine.follow(source=MemorySource(), trust=trust())
in_force = Following.in_force.fget
def interrupted(self):
    signal.raise_signal(signal.SIGTERM)
    return in_force(self)
def handler(number, frame):
    Following.in_force = property(in_force)
    print("told to end")
    engine.close()
signal.signal(signal.SIGTERM, handler)
Following.in_force = property(interrupted)
try:
    engine.wait_for(1000, 100_000)
except ClosedError:
    print("closed")
""")
    assert written == "told to end\nclosed\n"


# Ends.


def test_a_process_ends_while_a_source_never_does() -> None:
    written = runs("""
class Endless(MemorySource):
    def __init__(self):
        super().__init__()
        self.asked = threading.Event()
        self.times = 0
    def head(self, stream, known):
        self.times += 1
        if self.times > 1:
            self.asked.set()
            threading.Event().wait()
        return super().head(stream, known)

source = Endless()
engine = Engine.follow(source=source, trust=trust(), poll_ms=1)
assert source.asked.wait(100)
print(engine.snapshot().revision)
""")
    assert written == "7\n"


def test_a_process_ends_while_threads_ask_in_a_loop() -> None:
    for _ in range(3):
        written = runs("""
engine = Engine.follow(source=MemorySource(), trust=trust(), poll_ms=1)
shop = engine_of("shop")
tenant, machine = shop.tenant("t1"), engine_of("guards").tenant("t").machine("guards")
asks = [
    lambda: tenant.explain("orders", NOW),
    lambda: shop.is_enabled_many(["t1"] * 50, ["orders"] * 20, NOW),
    lambda: machine.covering_paths(),
    lambda: (tenant.is_enabled("orders", NOW), tenant.entitlements(NOW)),
    lambda: engine.health(),
    lambda: shop.swap(engine_of("shop").snapshot()),
    lambda: refused(lambda: tenant.is_enabled("nothing", NOW)),
    lambda: refused(lambda: tenant.decide(1, NOW)),
    lambda: refused(lambda: shop.tenant("nobody")),
]
def refused(ask):
    try:
        ask()
    except LeaseholdError:
        return
    raise AssertionError("it is answered")
asked = [0] * len(asks)
def loop(at):
    while True:
        asks[at]()
        asked[at] += 1
for at in range(len(asks)):
    threading.Thread(target=loop, args=(at,), daemon=True).start()
until("all have asked", lambda: min(asked) >= 3)
print("ends")
""")
        assert written == "ends\n"


def test_a_thread_that_exits_ends_nothing_else() -> None:
    written = runs("""
source = MemorySource()
engine = Engine.follow(source=source, trust=trust(), poll_ms=1)
def exits():
    engine.snapshot()
    sys.exit(3)
thread = threading.Thread(target=exits)
thread.start()
thread.join()
source.current = "head_2"
print(engine.wait_for(8, 100_000))
""")
    assert written == "8\n"


def test_a_process_that_exits_in_the_middle_of_everything() -> None:
    written = runs("""
engine = Engine.follow(source=MemorySource(), trust=trust(), poll_ms=1)
def ids():
    yield "t1"
    print("exits")
    sys.exit(0)
engine.is_enabled_many(ids(), [], NOW)
""")
    assert written == "exits\n"


def test_handlers_of_the_end_may_ask_and_close() -> None:
    written = runs("""
engine = None
def begins_first_and_ends_last():
    print("last", engine.snapshot().revision, engine.health().revision, engine.closed)
    print(engine.tenant(engine.snapshot().tenant_ids()[0]).entitlements(NOW).revision)
    engine.close()
    try:
        engine.tenant("t1")
    except ClosedError as error:
        print(error.code)
atexit.unregister(begins_first_and_ends_last)
atexit.register(begins_first_and_ends_last)
engine = Engine.follow(source=MemorySource(), trust=trust(), poll_ms=1)
atexit.register(lambda: print("first", engine.wait_for(7), engine.closed))
""")
    assert written == "first 7 False\nlast 7 7 False\n7\nclosed\n"


def test_a_handler_of_the_end_that_was_there_before_the_package() -> None:
    before = """
import atexit
def late():
    print(engine.snapshot().revision, engine.tenant(engine.snapshot().tenant_ids()[0]).entitlements(NOW).revision)
atexit.register(late)
"""
    behind = "engine = Engine.follow(source=MemorySource(), trust=trust(), poll_ms=1)"
    assert ended(started(before + BEGIN + behind)) == "7 7\n"


def test_an_object_may_ask_when_it_is_finalised() -> None:
    written = runs("""
class Asks:
    def __init__(self):
        self.engine = engine_of("shop")
        self.tenant = self.engine.tenant("t1")
    def __del__(self):
        print(self.tenant.is_enabled("orders", NOW), self.tenant.decide("orders", NOW).enabled)
Asks()
one = Asks()
one.itself = one
del one
gc.collect()
""")
    assert written == "True True\n" * 2


def test_an_object_may_ask_when_it_is_finalised_with_the_interpreter() -> None:
    # Nothing was asked before: whatever an answer or an error takes is there all the same.
    written = runs("""
class Asks:
    def __init__(self):
        self.engine = engine_of("shop")
        self.tenant = self.engine.tenant("t1")
        self.itself = self
    def __del__(self):
        print(self.tenant.is_enabled("orders", NOW), self.tenant.decide("orders", NOW).enabled)
        print(self.tenant.entitlements(NOW).plan, self.tenant.value("theme", NOW))
        try:
            self.tenant.is_enabled("nothing", NOW)
        except Exception as error:
            print(error.code)
        self.engine.close()
        try:
            self.tenant.decide("orders", NOW)
        except Exception as error:
            print(error.code)
asks = Asks()
""")
    assert written == "True True\nbasic plain\nunknown_feature\nclosed\n"
