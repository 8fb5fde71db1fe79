"""Carries bytes and timers for the engine's follower. What they mean, the follower decides."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from .._native import Action, Follower
from ..answers import FaultSeen, Health
from ..errors import ArgumentError, ClosedError, SnapshotError, TimedOutError
from ..inputs import Instant, Trust
from .folder import Folder
from .http import Hearing, HttpSource
from .source import Source, milliseconds

if TYPE_CHECKING:
    from .._native import Snapshot
    from ..engine import Engine

_log = logging.getLogger("leasehold")

_AFTER_A_MISTAKE_S = 30.0
"""After a mistake in the engine, until it asks again."""
_LONGEST_WAIT_S = 2**31 / 1000
"""Longest wait: what is to be waited for longer is looked at once before."""
_AGAIN = -1
"""The timer after a mistake; those of the follower are counted from 0."""
_GOODBYE_S = 5.0
"""How long closing waits for what is under way. A source that does not come back is left behind."""


class Following:
    """What carries for one engine: a thread, once it is started."""

    def __init__(
        self,
        make: Callable[[Snapshot], Engine],
        *,
        trust: Trust,
        url: str | None = None,
        token: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        source: Source | None = None,
        stream: str | None = None,
        engine_id: str | None = None,
        keep: str | os.PathLike[str] | None = None,
        pack: bytes | None = None,
        poll_ms: int | None = None,
        backoff_min_ms: int | None = None,
        backoff_max_ms: int | None = None,
        report_ms: int | None = None,
        http: Mapping[str, Any] | None = None,
    ) -> None:
        self._new_follower = partial(
            Follower,
            trust,
            stream=stream,
            engine=engine_id,
            poll_ms=_milliseconds_or_none("poll_ms", poll_ms),
            backoff_min_ms=_milliseconds_or_none("backoff_min_ms", backoff_min_ms),
            backoff_max_ms=_milliseconds_or_none("backoff_max_ms", backoff_max_ms),
            report_ms=_milliseconds_or_none("report_ms", report_ms),
        )
        self._follower = self._new_follower()
        # The heads that were to be kept last, as in force and as seen: one that has to begin anew goes below neither.
        self._last_head: bytes | None = None
        self._last_seen: bytes | None = None
        self._stream = self._follower.stream
        self._folder = None if keep is None else Folder(keep)
        self._pack = None if pack is None else _bytes("pack", pack)
        self._source = _source(self._stream, engine_id, url, token, directory, source, {} if http is None else http)
        self._make = make
        self._engine: Engine | None = None
        self._seen: dict[str, int] = {}
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        # What happens: a timer that is over, news, and what else is to be looked into.
        self._timer: tuple[int, float] | None = None
        self._events: list[str] = []
        self._renew()
        with _all_lock:
            _all.add(self)

    def _renew(self) -> None:
        # Held whenever the follower is asked, and never while a source or a disk is.
        self._lock = threading.RLock()
        # Of a lock that its thread may take again: a handler of a signal may close what that thread waits for.
        self._wake = threading.Condition(threading.RLock())

    def __repr__(self) -> str:
        return f"{self._stream} of {self._source!r}"

    def begin(self) -> Engine:
        """Begins with what was kept, with a pack, and with what the source has; fails where that comes to nothing."""
        self._restore()
        if self._engine is not None and self._folder is not None:
            # What could not be used may be of use to whoever mends the configuration. Room is no reason not to start.
            with contextlib.suppress(OSError):
                self._folder.sweep(set(self._follower.contents()))
        self._open(self._pack)
        if self._engine is None:
            # Of a large fleet it is one answer in place of thousands.
            try:
                pack = self._source.pack(self._stream)
                self._open(None if pack is None else _bytes("pack", pack))
            except Exception as error:
                _log.debug("no pack: %s", error)
        self._happened("started")
        return self._begun()

    def restore(self) -> Engine:
        """Begins with what was kept, and with nothing else."""
        self._restore()
        return self._begun(f"nothing is kept of its stream in {self._folder!r}")

    def start(self) -> None:
        """Follows from now on."""
        self._source.listen(self._notify)
        thread = threading.Thread(target=self._run, name="leasehold-follow", daemon=True)
        thread.start()
        self._thread = thread
        if self._stopped:
            # It was closed meanwhile, before there was anything that listens.
            self._close_source()

    def _begun(self, otherwise: str = "no source has a snapshot") -> Engine:
        if self._engine is None:
            raise self._nothing(otherwise)
        return self._engine

    def _restore(self) -> None:
        if self._folder is not None:
            head, seen, contents = self._folder.kept(self._stream)
            self._last_head, self._last_seen = head, seen
            with self._lock:
                actions = self._follower.restore(head, seen, contents, _now())
            self._carry(actions)

    def _open(self, pack: bytes | None) -> None:
        if pack is None:
            return
        try:
            with self._lock:
                actions = self._follower.open(pack, _now())
        except SnapshotError as error:
            # One that is older than what was kept, or of no use, changes nothing: the source is asked either way.
            _log.debug("a pack of no use: %s", error)
        else:
            self._carry(actions)

    def _nothing(self, otherwise: str) -> SnapshotError:
        """Why there is nothing to answer from. What is wrong says more than what is not there."""
        faults = self.health(None).faults
        telling = [fault for fault in faults if fault.code != "unreachable"] or list(faults)
        if not telling:
            return SnapshotError("unreachable", f"head: {otherwise}", "download", "head")
        newest = max(telling, key=lambda fault: fault.at)
        return SnapshotError(newest.code, f"{newest.item}: {newest.message}", newest.stage, newest.item)

    @property
    def hearing(self) -> Hearing | None:
        """Whether the source tells of news, where it is one that can."""
        return self._source.hearing if isinstance(self._source, HttpSource) else None

    def health(self, now: Instant | None) -> Health:
        """How it is doing."""
        # The follower may be compiling: who waits for it here lets others run.
        with self._lock:
            return self._follower.health(now)

    def wait_for(self, revision: int, timeout_ms: int) -> int:
        """Waits until a revision is in force, and gives the one that is."""
        until = time.monotonic() + timeout_ms / 1000
        with self._wake:
            while not self._stopped and self.in_force < revision:
                left = until - time.monotonic()
                if left <= 0:
                    raise self.timed_out(revision)
                # Not for long: a handler of a signal may have closed it since it was looked at.
                self._wake.wait(min(left, 1.0))
        if self._stopped:
            raise ClosedError
        return self.in_force

    def timed_out(self, revision: int) -> TimedOutError:
        return TimedOutError(
            f"revision {revision} did not come in time: revision {self.in_force} is in force, and `health` says why"
        )

    @property
    def in_force(self) -> int:
        """The revision in force."""
        return 0 if self._engine is None else self._engine._latest.revision

    def on_swap(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls back whenever a snapshot was swapped, and when it is closed."""
        return listening(self._listeners, listener)

    def close(self) -> None:
        """Ends it; once this is over, nothing is asked or written any more."""
        with self._wake:
            already, self._stopped = self._stopped, True
            self._wake.notify_all()
        if not already:
            self._close_source()
            self._tell_swap()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_GOODBYE_S)

    def _close_source(self) -> None:
        try:
            self._source.close()
        except Exception:
            # It is theirs, and there is nothing left to be told.
            _log.exception("a source failed to close")

    def _notify(self) -> None:
        with self._wake:
            # Of many notifications while one is looked into, one is enough.
            if "notified" not in self._events:
                self._events.append("notified")
            self._wake.notify_all()

    def _run(self) -> None:
        while True:
            event, number = self._next()
            if event is None:
                return
            try:
                if event == "again":
                    self._again()
                else:
                    self._happened(event, number=number)
            except BaseException:
                # A mistake of ours, or an exit that a listener called for, which is not this thread's to take. It costs
                # what was under way.
                _log.exception("following failed, and is tried again in %g s", _AFTER_A_MISTAKE_S)
                with self._wake:
                    self._timer = (_AGAIN, time.monotonic() + _AFTER_A_MISTAKE_S)

    def _again(self) -> None:
        """Takes up what was under way, of which nobody knows how far it came."""
        self._swap()
        self._happened("connection_lost")
        self._happened("notified")

    def _next(self) -> tuple[str | None, int | None]:
        """What happens next; nothing once it is closed."""
        with self._wake:
            while not self._stopped:
                if self._events:
                    return self._events.pop(0), None
                left = _LONGEST_WAIT_S
                if self._timer is not None:
                    number, due = self._timer
                    left = due - time.monotonic()
                    if left <= 0:
                        self._timer = None
                        return ("again", None) if number == _AGAIN else ("timer", number)
                self._wake.wait(min(left, _LONGEST_WAIT_S))
        return None, None

    def _happened(self, event: str, **told: Any) -> None:
        self._carry(self._handle(event, **told))
        self._tell_faults()

    def _handle(self, event: str, **told: Any) -> list[Action]:
        with self._lock:
            return self._follower.handle(event, _now(), random.getrandbits(64), **told)

    def _carry(self, actions: list[Action]) -> None:
        """Does what is to be done, and tells what came of it, until nothing is left."""
        todo = list(actions)
        while todo and not self._stopped:
            came = self._do(todo.pop(0))
            if came is not None:
                event, told = came
                todo.extend(self._handle(event, **told))

    def _do(self, action: Action) -> tuple[str, dict[str, Any]] | None:
        kind = action.kind
        if kind == "fetch_head":
            return self._fetch_head(action.hash)
        if kind == "fetch_chunk":
            return self._fetch_chunk(action.hash or "", action.length)
        if kind == "wait":
            with self._wake:
                self._timer = (action.number, time.monotonic() + action.ms / 1000)
            return None
        if kind == "swap":
            self._swap()
            return None
        if kind == "persist":
            return self._persist(action)
        if kind == "persist_seen":
            return self._persist_seen(action)
        if kind == "report":
            try:
                self._source.report(json.loads(action.report or "{}"))
            except Exception as error:
                # Nobody waits for it: the next report says it again.
                _log.debug("no report: %s", error)
        return None

    def _fetch_head(self, known: str | None) -> tuple[str, dict[str, Any]]:
        try:
            head = self._source.head(self._stream, known)
            if head is None:
                return "not_modified", {}
            return "head", {"document": _bytes("head", head)}
        except Exception as error:
            return "head_failed", {"why": _reason(error)}

    def _fetch_chunk(self, hash: str, length: int) -> tuple[str, dict[str, Any]] | None:
        with self._lock:
            # After one that did not come, the others of its head are asked for another time.
            if not self._follower.waits_for(hash):
                return None
        try:
            content = self._source.content(hash, length)
            if content is None:
                return "chunk_missing", {"hash": hash}
            if content.encoding not in ("raw", "zstd"):
                raise ArgumentError(f"`encoding` is raw or zstd, not `{content.encoding}`")
            data = _bytes("data", content.data)
            return "chunk", {"hash": hash, "encoding": content.encoding, "document": data}
        except Exception as error:
            return "chunk_failed", {"hash": hash, "why": _reason(error)}

    def _persist(self, action: Action) -> tuple[str, dict[str, Any]]:
        number, self._last_head = action.number, action.document
        if self._folder is None:
            return "not_kept", {"number": number}
        try:
            self._folder.persist(self._stream, action.document or b"", action.contents, action.obsolete)
        except Exception as error:
            return "not_persisted", {"number": number, "why": _reason(error)}
        return "persisted", {"number": number}

    def _persist_seen(self, action: Action) -> tuple[str, dict[str, Any]] | None:
        self._last_seen = action.document
        if self._folder is not None:
            try:
                self._folder.persist_seen(self._stream, action.document or b"")
            except Exception as error:
                return "seen_not_persisted", {"why": _reason(error)}
        return None

    def _swap(self) -> None:
        with self._lock:
            snapshot = self._follower.snapshot()
            if snapshot is None:
                return
            engine = self._engine
            last = None if engine is None else engine._replace(snapshot)
            if engine is None:
                self._engine = self._make(snapshot)
        self._tell_swap()
        if engine is not None and last is not None:
            engine._swapped(snapshot, last)

    def _tell_swap(self) -> None:
        with self._wake:
            self._wake.notify_all()
        for listener in tuple(self._listeners):
            listener()

    def _tell_faults(self) -> None:
        seen: dict[str, int] = {}
        news: list[FaultSeen] = []
        for fault in self.health(None).faults:
            seen[fault.code] = fault.count
            if fault.count > self._seen.get(fault.code, 0):
                news.append(fault)
        self._seen = seen
        if self._engine is not None:
            for fault in news:
                self._engine._tell(self._engine._on_fault, fault)

    def _forked(self) -> None:
        """Goes on in a child process: threads, locks and connections of the parent are not the child's."""
        self._renew()
        followed, self._thread = self._thread is not None and not self._stopped, None
        # Two that write to a folder would remove what the other one needs: it stays the parent's.
        self._folder = None
        # Those who wait are not in this process.
        self._listeners = []
        self._timer, self._events = None, ["again"]
        if not self._follower.is_free():
            self._begin_anew()
        try:
            self._source.forked()
            if followed:
                self.start()
        except Exception as error:
            if followed:
                self._left_behind(error)

    def _begin_anew(self) -> None:
        """Goes on with another follower, where a thread of the parent was in the middle of asking the one there is."""
        # Of what is half done, nothing can be used, and nothing freed.
        _given_up.append(self._follower)
        self._follower = self._new_follower()
        for seen in (self._last_head, self._last_seen):
            self._follower.restore(None, seen, [], _now())
        self._events = ["started"]

    def _left_behind(self, error: Exception) -> None:
        """Says that nothing is followed in this process: what is in force becomes stale."""
        self._close_source()
        why = f"this process was forked, and does not follow: {_reason(error)}"
        _log.error("%s", why, exc_info=error)
        for event, told in (("connection_lost", {}), ("notified", {}), ("head_failed", {"why": why})):
            self._handle(event, **told)


_all: WeakSet[Following] = WeakSet()
_all_lock = threading.RLock()
_held: list[Following] = []
_given_up: list[Follower] = []


def _before_fork() -> None:
    # While nobody asks a follower, nothing of it is half done: so is the copy of it in the child.
    _all_lock.acquire()
    for following in tuple(_all):
        following._lock.acquire()
        _held.append(following)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()
    _all_lock.release()


def _after_fork_in_child() -> None:
    global _all_lock
    _all_lock = threading.RLock()
    _held.clear()
    # Servers that fork by means of their own may call this alone: then a follower may be in the middle of something.
    for following in tuple(_all):
        following._forked()


def _close_all() -> None:
    # A thread that is inside of the engine when the interpreter ends would have nowhere to come back to.
    with _all_lock:
        followings = tuple(_all)
    for following in followings:
        following.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_close_all)


L = TypeVar("L")


def listening(listeners: list[L], listener: L) -> Callable[[], None]:
    """Adds a listener. What is given back removes it, once."""
    if not callable(listener):
        raise ArgumentError(f"`listener` is a callable, not of type `{type(listener).__name__}`")
    listeners.append(listener)
    left = [listener]

    def remove() -> None:
        while left:
            with contextlib.suppress(ValueError):
                listeners.remove(left.pop())

    return remove


def _now() -> int:
    return time.time_ns() // 1_000_000


def _milliseconds_or_none(name: str, value: object) -> int | None:
    return None if value is None else milliseconds(name, value)


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ArgumentError(f"`{name}` is bytes, not of type `{type(value).__name__}`")
    return value


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _source(
    stream: str,
    engine_id: str | None,
    url: str | None,
    token: str | None,
    directory: str | os.PathLike[str] | None,
    source: Source | None,
    http: Mapping[str, Any],
) -> Source:
    given = {"url": url, "directory": directory, "source": source}
    several = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(several) > 1:
        raise ArgumentError(f"an engine follows one source, and {' and '.join(several)} are given: leave one out")
    if not isinstance(http, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"`http` is a mapping, not of type `{type(http).__name__}`")
    known = HttpSource.__init__.__kwdefaults__ or {}
    unknown = next((name for name in http if name not in known), None)
    if unknown is not None:
        raise ArgumentError(f"`http` has no `{unknown}`; it has {', '.join(known)}")
    if source is not None:
        if not isinstance(source, Source):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(
                f"`source` is a `leasehold.Source`, not of type `{type(source).__name__}`: inherit from it"
            )
        return source
    if directory is not None:
        return Folder(directory)
    for name, value in (("url", url), ("token", token)):
        if value is not None and not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"`{name}` is a str, not of type `{type(value).__name__}`")
    return HttpSource(url or "", token or "", stream, engine_id, **http)
