"""Engines that follow: directories, sources of one's own, folders that are kept, HQ, and all that may go wrong."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from leasehold import (
    ArgumentError,
    ClosedError,
    Content,
    Engine,
    OptionsError,
    Snapshot,
    SnapshotError,
    Source,
    TimedOutError,
)
from leasehold.answers import Changes, FaultSeen
from leasehold.follow import following
from leasehold.follow.folder import Folder
from support.desk import STREAM, SWITCH, TENANT, Desk
from support.fake_hq import Exchange, FakeHq
from support.hq import Hq
from support.wait import until

LONG_MS = 60_000


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    # A source that does not come back is ended by its test.
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("leasehold")]
    assert left == []


def followed(desk: Desk, **more: Any) -> Engine:
    """An engine that follows what is published."""
    options: dict[str, Any] = {"directory": desk.snapshots, "trust": desk.trust, "poll_ms": 5, "backoff_max_ms": 5}
    return Engine.follow(**{**options, **more})


def revision(engine: Engine) -> int:
    return engine.snapshot().revision


def faults(engine: Engine) -> list[str]:
    health = engine.health()
    assert health is not None
    return [fault.code for fault in health.faults]


def said(engine: Engine) -> str:
    """What is wrong."""
    health = engine.health()
    assert health is not None
    return "; ".join(fault.message for fault in health.faults)


# A directory.


def test_a_directory_is_followed_and_tells_whose_answers_are_other_ones(desk: Desk) -> None:
    with followed(desk) as engine:
        tenant, before = engine.tenant(TENANT), revision(engine)
        assert tenant.is_enabled(SWITCH) is False
        told: list[Changes] = []
        stop = engine.on_change(told.append)
        assert desk.publish(True) == before + 1
        assert engine.wait_for(before + 1, LONG_MS) == before + 1
        assert tenant.is_enabled(SWITCH) is True
        until("it is told", lambda: told)
        assert told[0].to_dict() == {
            "revision": {"from": before, "to": before + 1},
            "added": [],
            "removed": [],
            "groups": [{"features": [SWITCH], "tenants": [TENANT]}],
        }
        stop()
        stop()
        desk.publish(False)
        engine.wait_for(before + 2, LONG_MS)
        assert tenant.is_enabled(SWITCH) is False
        health = engine.health()
        assert health is not None
        assert (health.revision, health.freshness, health.persisted) == (before + 2, "fresh", False)
        assert engine.hearing is None
        assert repr(engine) == f"<Engine at revision {before + 2} with {engine.snapshot().about.tenants} tenants, " + (
            f"following {STREAM} of Folder({str(desk.snapshots)!r})>"
        )
    assert len(told) == 1


def test_a_directory_is_read_once_without_following_it(desk: Desk) -> None:
    engine = Engine.from_directory(desk.snapshots, desk.trust)
    assert engine.health() is None
    assert engine.hearing is None
    assert TENANT in engine.snapshot().tenant_ids()
    with pytest.raises(SnapshotError, match="there is no head") as failed:
        Engine.from_directory(desk.at("nowhere"), desk.trust)
    assert (failed.value.code, failed.value.stage, failed.value.item) == ("unreachable", "download", "head")
    root = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    with pytest.raises(SnapshotError) as failed:
        Engine.from_directory(desk.snapshots, {**json.loads(desk.trust), "roots": [root]})
    assert failed.value.code == "unknown_key"
    other = Engine.from_directory(desk.snapshots, desk.trust, stream="GCC-SA")
    assert TENANT not in other.snapshot().tenant_ids()
    with pytest.raises(SnapshotError):
        Engine.from_directory(desk.snapshots, desk.trust, stream="GCC-XX")


def test_a_pack_is_enough_to_begin_with(desk: Desk) -> None:
    pack = desk.at("oman.pack").read_bytes()
    with followed(desk, directory=desk.at("nothing yet"), pack=pack) as engine:
        assert engine.tenant(TENANT).decide("delivery").freshness == "fallback"
        assert "unreachable" in faults(engine)
        desk.publish(True)
        shutil.copytree(desk.snapshots, desk.at("nothing yet"))
        assert engine.wait_for(2, LONG_MS) == 2
        assert engine.tenant(TENANT).decide("delivery").freshness == "fresh"
    with pytest.raises(SnapshotError, match="there is no head"):
        followed(desk, directory=desk.at("nowhere"), pack=pack[:-1])
    with followed(desk, pack=b"no pack") as engine:
        assert revision(engine) == 2


# A folder that is kept.


def test_a_folder_that_is_kept_is_enough_for_the_next_start(desk: Desk) -> None:
    kept = desk.at("kept")
    with followed(desk, keep=kept) as engine:
        health = engine.health()
        assert health is not None
        assert health.persisted is True
        desk.publish(True)
        engine.wait_for(2, LONG_MS)
        until("it is kept", lambda: (it := engine.health()) and it.persisted)
    shutil.rmtree(desk.snapshots)
    with followed(desk, keep=kept) as again:
        assert revision(again) == 2
        assert again.tenant(TENANT).is_enabled(SWITCH) is True
        assert again.tenant(TENANT).decide("delivery").freshness == "fallback"
        assert "unreachable" in faults(again)
    alone = Engine.from_last_known_good(kept, desk.trust)
    assert (revision(alone), alone.health()) == (2, None)
    with pytest.raises(SnapshotError, match="nothing is kept of its stream in Folder"):
        Engine.from_last_known_good(desk.at("nothing"), desk.trust)


def test_folders_stay_where_they_are_wherever_the_process_goes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with followed(desk, directory=desk.snapshots.relative_to(tmp_path), keep="kept") as engine:
        monkeypatch.chdir(elsewhere)
        desk.publish(True)
        engine.wait_for(2, LONG_MS)
        until("it is kept", lambda: (it := engine.health()) and it.persisted)
    assert list(elsewhere.iterdir()) == []
    assert revision(Engine.from_last_known_good(tmp_path / "kept", desk.trust)) == 2


def test_a_folder_that_has_rotted_is_fetched_anew(desk: Desk) -> None:
    kept = desk.at("kept")
    followed(desk, keep=kept).close()
    for path in [path for path in kept.joinpath("chunks").rglob("*") if path.is_file()]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(SnapshotError):
        Engine.from_last_known_good(kept, desk.trust)
    with followed(desk, keep=kept) as engine:
        assert engine.tenant(TENANT).is_enabled("delivery") is True
    assert Engine.from_last_known_good(kept, desk.trust).tenant(TENANT).is_enabled("delivery") is True


def test_a_folder_that_is_kept_never_takes_back_what_was_newer(desk: Desk) -> None:
    kept, older = desk.at("kept"), desk.at("older")
    shutil.copytree(desk.snapshots, older)
    desk.publish(True)
    followed(desk, keep=kept).close()
    with followed(desk, directory=older, keep=kept) as again:
        assert revision(again) == 2
        assert "older_revision" in faults(again)


def test_a_folder_that_cannot_be_written_is_a_fault_and_the_engine_answers(desk: Desk) -> None:
    kept = desk.at("kept")
    kept.mkdir()
    kept.joinpath("chunks").write_text("in the way")
    with followed(desk, keep=kept) as engine:
        assert engine.tenant(TENANT).is_enabled("delivery") is True
        health = engine.health()
        assert health is not None
        assert health.persisted is False
        assert "not_persisted" in faults(engine)


# A source of one's own.


class Own(Source):
    """The directory, in which something goes wrong once a test says so."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.wrong: Callable[[], bytes | None] | None = None
        self.notify: Callable[[], None] = lambda: None
        self.reports: list[dict[str, object]] = []
        self.closed = 0
        self.asked = 0

    def head(self, stream: str, known: str | None) -> bytes | None:
        self.asked += 1
        return self.folder.head(stream) if self.wrong is None else self.wrong()

    def content(self, hash: str, length: int) -> Content | None:
        return self.folder.content(hash, length)

    def report(self, report: dict[str, object]) -> None:
        self.reports.append(report)
        raise RuntimeError("report boom")

    def listen(self, notify: Callable[[], None]) -> None:
        self.notify = notify

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("close boom")


def own(desk: Desk, source: Source, **more: Any) -> Engine:
    return followed(desk, directory=None, source=source, **more)


def boom() -> NoReturn:
    raise RuntimeError("head boom")


def test_a_source_may_do_what_it_likes(desk: Desk) -> None:
    source = Own(desk.snapshots)
    with own(desk, source, engine_id="python-1", poll_ms=LONG_MS) as engine:
        told: list[FaultSeen] = []
        engine.on_fault(told.append)
        source.wrong = boom
        source.notify()
        until("it is told", lambda: told)
        assert (told[0].code, told[0].message) == ("unreachable", "head boom")
        until("it is asked again", lambda: (health := engine.health()) and health.failures > 3)
        desk.publish(True)
        source.wrong = None
        assert engine.wait_for(2, LONG_MS) == 2
        assert faults(engine) == []
        until("it is reported", lambda: any(report.get("revision") == 2 for report in source.reports))
    assert source.closed == 1


@pytest.mark.parametrize("wrong", ["text", 5, bytearray(b"x"), b"", b"\xff", b"{}", None])
def test_a_source_that_gives_something_else_is_told_what_is_wrong(desk: Desk, wrong: Any) -> None:
    source = Own(desk.snapshots)
    source.wrong = lambda: wrong
    with pytest.raises(SnapshotError):
        own(desk, source)
    source.wrong = None
    with own(desk, source) as engine:
        source.wrong = lambda: wrong
        until("it is noticed", lambda: wrong is None or faults(engine))
        assert engine.tenant(TENANT).is_enabled("delivery") is True


@pytest.mark.parametrize(
    "wrong",
    [None, 5, ("raw",), Content("raw", b"{}"), Content("gzip", b""), Content("raw", "text")],  # type: ignore[arg-type]
)
def test_a_source_whose_contents_are_something_else_is_told_what_is_wrong(desk: Desk, wrong: Any) -> None:
    source = Own(desk.snapshots)
    source.content = lambda hash, length: wrong  # type: ignore[method-assign]
    with pytest.raises(SnapshotError):
        own(desk, source)


def test_a_source_that_has_a_pack_is_asked_for_it_at_first(desk: Desk) -> None:
    class Packed(Own):
        def pack(self, stream: str) -> bytes | None:
            assert stream == STREAM
            return desk.at("oman.pack").read_bytes()

        def content(self, hash: str, length: int) -> Content | None:
            raise AssertionError("it was all in the pack")

    with own(desk, Packed(desk.snapshots)) as engine:
        assert revision(engine) == 1
        assert engine.tenant(TENANT).decide("delivery").freshness == "fresh"


@pytest.mark.parametrize("pack", [b"garbage", "text", None])
def test_a_source_whose_pack_is_of_no_use_is_asked_for_pieces(desk: Desk, pack: Any) -> None:
    source = Own(desk.snapshots)
    source.pack = lambda stream: pack  # type: ignore[method-assign]
    with own(desk, source) as engine:
        assert revision(engine) == 1


def test_a_source_that_does_not_come_back_keeps_nobody_from_closing(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(following, "_GOODBYE_S", 0.05)
    source, hangs, goes_on = Own(desk.snapshots), threading.Event(), threading.Event()

    def hang() -> bytes | None:
        hangs.set()
        goes_on.wait()
        return desk.snapshots.joinpath("heads", f"{STREAM}.head").read_bytes()

    engine = own(desk, source)
    codes: list[str] = []

    def wait() -> None:
        try:
            engine.wait_for(99, LONG_MS)
        except ClosedError as error:
            codes.append(error.code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    source.wrong = hang
    hangs.wait()
    health = engine.health()
    assert health is not None
    assert health.revision == 1
    desk.publish(True)
    engine.close()
    waiting.join()
    assert codes == ["closed"]
    goes_on.set()
    until("it has gone", lambda: not any(it.name == "leasehold-follow" for it in threading.enumerate()))
    assert engine._latest.revision == 1, "what comes after closing is of no use"


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt, RuntimeError])
def test_a_mistake_in_the_engine_costs_a_pause(
    desk: Desk, monkeypatch: Any, caplog: Any, exit: type[BaseException]
) -> None:
    monkeypatch.setattr(following, "_AFTER_A_MISTAKE_S", 0.01)
    with followed(desk, poll_ms=5) as engine:
        it = engine._following
        assert it is not None
        swap, fails = it._swap, [True]

        def fail_once() -> None:
            # What was under way is lost: the follower is ahead of the engine.
            if fails and fails.pop():
                raise exit("a mistake")
            swap()

        monkeypatch.setattr(it, "_swap", fail_once)
        assert engine.wait_for(desk.publish(True), LONG_MS) == 2
        assert fails == []
        assert engine.wait_for(desk.publish(False), LONG_MS) == 3
    assert "following failed, and is tried again in 0.01 s" in caplog.text


# Listeners.


def test_a_listener_that_fails_or_exits_keeps_nobody_from_following(desk: Desk, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(following, "_AFTER_A_MISTAKE_S", 0.01)
    with followed(desk) as engine:
        told: list[int] = []

        def fails(changes: Changes) -> None:
            raise RuntimeError("listener boom")

        def exits(changes: Changes) -> None:
            told.append(changes.revision.to)
            sys.exit()

        engine.on_change(fails)
        engine.on_change(exits)
        for is_on in (True, False, True):
            engine.wait_for(desk.publish(is_on), LONG_MS)
        until("all is told", lambda: told == [2, 3, 4])
    assert "listener boom" in caplog.text


def test_listeners_hear_nothing_of_an_engine_that_is_closed_and_may_close_it(desk: Desk) -> None:
    engine = followed(desk)
    heard: list[int] = []

    def close(changes: Changes) -> None:
        heard.append(revision(engine))
        engine.close()

    engine.on_change(close)
    engine.on_change(close)
    desk.publish(True)
    until("it is closed", lambda: engine.closed)
    engine.close()
    assert heard == [2]


def test_one_listener_may_listen_twice(desk: Desk) -> None:
    engine = Engine(Snapshot.from_pack(desk.at("oman.pack").read_bytes(), desk.trust))
    heard: list[Changes] = []
    stop = engine.on_change(heard.append)
    engine.on_change(heard.append)
    stop()
    stop()
    desk.publish(True)
    engine.swap(Engine.from_directory(desk.snapshots, desk.trust).snapshot())
    assert len(heard) == 1
    for listen in (engine.on_change, engine.on_fault):
        with pytest.raises(ArgumentError):
            listen(5)  # type: ignore[arg-type]


def test_a_listener_may_ask_everything(desk: Desk) -> None:
    with followed(desk) as engine:
        heard: list[object] = []

        def ask(changes: Changes) -> None:
            health = engine.health()
            assert health is not None
            heard.append((health.revision, engine.wait_for(2), engine.tenant(TENANT).is_enabled(SWITCH)))

        engine.on_change(ask)
        desk.publish(True)
        until("it is told", lambda: heard)
        assert heard == [(2, 2, True)]


# Waiting and closing.


def test_waiting(desk: Desk) -> None:
    with followed(desk) as engine:
        assert engine.wait_for(0) == 1
        assert engine.wait_for(1) == 1
        with pytest.raises(TimedOutError, match="revision 2 did not come in time: revision 1 is in force"):
            engine.wait_for(2, 1)
        for wrong in ("1", 1.5, True, None):
            with pytest.raises(ArgumentError):
                engine.wait_for(wrong)  # type: ignore[arg-type]
        for wrong in (0, -1, 2**31, 1.5, "5", True, None):
            with pytest.raises(ArgumentError):
                engine.wait_for(1, wrong)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="make one of your own"):
            engine.swap(engine.snapshot())
    with pytest.raises(ClosedError):
        engine.wait_for(1)
    still = Engine.from_definitions({}, revision=0)
    assert still.wait_for(0) == 0
    with pytest.raises(TimedOutError, match="does not follow"):
        still.wait_for(1)


def test_closing_once_and_again_from_everywhere(desk: Desk) -> None:
    engine = followed(desk, keep=desk.at("kept"))
    threads = [threading.Thread(target=engine.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    assert engine.closed
    asks: list[Callable[[], object]] = [
        engine.health,
        engine.snapshot,
        lambda: engine.tenant(TENANT),
        lambda: engine.wait_for(1),
    ]
    for ask in asks:
        with pytest.raises(ClosedError):
            ask()
    before = sorted(desk.at("kept").rglob("*"))
    desk.publish(True)
    assert sorted(desk.at("kept").rglob("*")) == before
    assert engine._latest.revision == 1


def test_what_is_closed_leaves_nothing_behind(desk: Desk) -> None:
    engine = followed(desk)
    held: list[Engine] = [engine]
    # A listener that holds the engine is no reason to stay.
    engine.on_change(lambda _, held=held: held[0].health())  # type: ignore[misc]
    gone: list[weakref.ref[Any]] = [weakref.ref(engine), weakref.ref(engine._following)]
    engine.close()
    del engine, held
    gc.collect()
    assert [it() for it in gone] == [None, None]


def test_a_start_that_fails_leaves_nothing_behind(desk: Desk) -> None:
    source = Own(desk.snapshots)
    source.wrong = boom
    with pytest.raises(SnapshotError, match="head boom"):
        own(desk, source)
    assert source.closed == 1

    class Deaf(Own):
        def listen(self, notify: Callable[[], None]) -> None:
            raise RuntimeError("listen boom")

    deaf = Deaf(desk.snapshots)
    with pytest.raises(RuntimeError, match="listen boom"):
        own(desk, deaf)
    assert deaf.closed == 1


def test_a_process_ends_while_its_engine_follows(desk: Desk) -> None:
    script = f"""
import sys
from leasehold import Engine
engine = Engine.follow(directory={str(desk.snapshots)!r}, trust={desk.trust!r}, poll_ms=1, keep={str(desk.at("k"))!r})
engine.wait_for(1)
print(engine.tenant({TENANT!r}).is_enabled("delivery"))
"""
    for _ in range(5):
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


WRONG: list[dict[str, Any]] = [
    {"directory": 5},
    {"keep": 5},
    {"engine_id": 5},
    {"engine_id": "no good"},
    {"pack": "x"},
    {"pack": bytearray(b"x")},
    {"directory": None, "source": 5},
    {"directory": None, "source": object()},
    {"url": "https://hq.example", "token": "t"},
    {"source": Folder(".")},
    {"http": 5},
    {"directory": None, "url": "https://hq.example", "token": "t", "http": {"answer_msec": 5}},
    {"trust": None},
    {"stream": 5},
    {"directory": None, "url": 5, "token": "t"},
    {"directory": None, "url": "https://hq.example", "token": 5},
    *(
        {name: ms}
        for ms in (0, -5, float("nan"), 2**32, 1.5, "5", True)
        for name in ("poll_ms", "backoff_min_ms", "backoff_max_ms", "report_ms")
    ),
    {"directory": None, "url": "https://hq.example", "token": "t", "http": {"answer_ms": 2**31}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_options_that_cannot_be_meant_are_refused(desk: Desk, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError) as failed:
        followed(desk, **wrong)
    assert failed.value.code == "invalid_argument"


def test_an_hq_whose_options_cannot_work_is_refused_at_once(desk: Desk) -> None:
    for url, token, code in [
        ("hq.example", "t", "invalid_base_url"),
        ("http://hq.example", "t", "insecure_base_url"),
        (None, "t", "invalid_base_url"),
        ("https://hq.example", "", "invalid_token"),
        ("https://hq.example", None, "invalid_token"),
    ]:
        with pytest.raises(OptionsError) as failed:
            Engine.follow(trust=desk.trust, url=url, token=token)
        assert failed.value.code == code
    with pytest.raises(TypeError, match="nope"):
        followed(desk, nope=5)


# HQ, as a double of it answers.


def hq_options(hq: FakeHq, desk: Desk, **more: Any) -> dict[str, Any]:
    http = {"pause_min_ms": 5, "pause_max_ms": 50, "answer_ms": 300, "content_ms": 300, "silence_ms": 500}
    return {
        "url": hq.url,
        "token": "a-token",
        "trust": desk.trust,
        "engine_id": "python-1",
        "backoff_min_ms": 5,
        "backoff_max_ms": 50,
        "http": http,
        **more,
    }


def is_told(engine: Engine) -> bool:
    assert engine.hearing is not None
    return engine.hearing.told


def test_hq_is_followed_by_its_events_and_is_told_what_is_in_force(desk: Desk) -> None:
    with FakeHq(desk.snapshots, STREAM) as hq, Engine.follow(**hq_options(hq, desk)) as engine:
        until("it hears", lambda: is_told(engine))
        asked = len(hq.asked("/v1/snapshots/head"))
        desk.publish(True)
        hq.tell()
        assert engine.wait_for(2, LONG_MS) == 2
        assert len(hq.asked("/v1/snapshots/head")) == asked, "the head came along with the event"
        reports = until("it is reported", lambda: [it for it in hq.reports if it.get("revision") == 2])
        assert (reports[0]["report"], reports[0]["stream"], reports[0]["persisted"]) == ("ack", STREAM, False)


def test_hq_that_breaks_off_is_heard_again_and_nothing_is_missed(desk: Desk) -> None:
    with FakeHq(desk.snapshots, STREAM) as hq, Engine.follow(**hq_options(hq, desk)) as engine:
        until("it hears", lambda: is_told(engine))
        hq.instead = lambda exchange: exchange.break_off()
        hq.hang_up()
        until("it asks", lambda: not is_told(engine))
        desk.publish(True)
        assert engine.tenant(TENANT).is_enabled("delivery") is True
        hq.instead = lambda _: False
        assert engine.wait_for(2, LONG_MS) == 2


ANSWERS: dict[str, Callable[[Exchange], bool]] = {
    "a server that fails": lambda it: it.say(500, b'{"code":"internal","detail":"sorry"}'),
    "a refusal": lambda it: it.say(403, b'{"code":"forbidden","detail":"not with a-token"}'),
    "a redirect": lambda it: it.say(302, b"", {"location": "http://127.0.0.1:9/"}),
    "a page in place of answers": lambda it: it.say(200, b"<p>hello", {"content-type": "text/html"}),
    "an answer that breaks off": lambda it: it.break_off(),
    "no answer": lambda it: it.wait_for_the_end(),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_hq_that_fails(desk: Desk, what: str) -> None:
    with FakeHq(desk.snapshots, STREAM) as hq:
        with Engine.follow(**hq_options(hq, desk, poll_ms=5)) as engine:
            told: list[FaultSeen] = []
            engine.on_fault(told.append)
            hq.instead = ANSWERS[what]
            hq.hang_up()
            until("it is noticed", lambda: told and not is_told(engine))
            assert revision(engine) == 1
            desk.publish(True)
            hq.instead = lambda _: False
            assert engine.wait_for(2, LONG_MS) == 2
        hq.instead = ANSWERS[what]
        with pytest.raises(SnapshotError) as failed:
            Engine.follow(**hq_options(hq, desk))
        assert str(failed.value)
        assert "a-token" not in str(failed.value)


# HQ as it is.


def test_an_engine_follows_hq_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "leasehold")
    customer, phase, kept = "ae-alain-oasis", "2-starter", tmp_path / "kept"
    with Hq(tmp_path / "hq-desk") as hq:
        options = hq.options("python-1")
        with Engine.follow(**options, keep=kept) as engine:
            until("it hears", lambda: is_told(engine))
            tenant = engine.tenant(customer)
            assert tenant.is_enabled("delivery") is False
            changes: list[Changes] = []
            engine.on_change(changes.append)
            changed = hq.change_plan(customer, phase, "growth")
            assert engine.wait_for(changed, LONG_MS) == changed
            assert tenant.is_enabled("delivery") is True
            assert tenant.entitlements().plan == "growth"
            until("it is told", lambda: changes)
            assert [group.tenants for group in changes[0].groups] == [(customer,)]
            assert "delivery" in changes[0].groups[0].features

            def reported() -> bool:
                items = hq.asks("GET", "/v1/fleet")["items"]
                return any(it["engine"] == "python-1" and it["applied"] == changed for it in items)

            until("it is reported", reported)

            # A kill switch is in force at once.
            kill = {"feature": "delivery", "since": "2026-01-01T00:00:00Z", "reason": "wrong fees", "actor": "admin"}
            killed = hq.asks("PUT", "/v1/kills/python", kill, {"if-none-match": "*"})["revision"]
            engine.wait_for(killed, LONG_MS)
            assert tenant.decide("delivery").reason == "killed"

            # A token that was revoked is good for nothing, and the engine answers.
            others = hq.options("python-2")
            with Engine.follow(**others) as other:
                until("it hears", lambda: is_told(other))
                token = next(it["id"] for it in hq.asks("GET", "/v1/tokens")["items"] if it["name"] == "python-2")
                hq.asks("DELETE", f"/v1/tokens/{token}")
                until("it is let go", lambda: not is_told(other))
                assert other.tenant(customer).entitlements().plan == "growth"
            with pytest.raises(SnapshotError) as failed:
                Engine.follow(**others)
            assert others["token"] not in str(failed.value)

            # An engine outlives HQ.
            hq.kill()
            until("it is noticed", lambda: not is_told(engine))
            assert tenant.entitlements().plan == "growth"
        with Engine.follow(**options, keep=kept) as again:
            assert revision(again) == killed
            assert again.tenant(customer).decide("delivery").reason == "killed"
    assert [record.getMessage() for record in caplog.records] == []
