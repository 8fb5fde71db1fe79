"""Engines. All questions are synchronous, and answered from memory; what follows does so in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._native import Snapshot
from .answers import Changes, FaultSeen, Health
from .errors import ArgumentError, ClosedError, TimedOutError
from .follow.folder import Folder
from .follow.following import Following, listening
from .follow.http import Hearing
from .follow.source import Source, milliseconds
from .inputs import Definitions, Instant, Trust

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger("leasehold")


class Engine(_native.Engine):
    """Answers questions from the newest snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """An engine that answers from this snapshot."""
        super().__init__()
        self._following: Following | None = None
        self._on_change: list[Callable[[Changes], object]] = []
        self._on_fault: list[Callable[[FaultSeen], object]] = []
        self._on_close: list[Callable[[], object]] = []

    @classmethod
    def from_pack(cls, pack: bytes, trust: Trust, *, stream: str | None = None) -> Engine:
        """An engine that answers from a pack. Nothing confirms that it is the newest: decisions say `fallback`.

        Raises SnapshotError for whatever is wrong with the pack.
        """
        return cls(Snapshot.from_pack(pack, trust, stream=stream))

    @classmethod
    def from_definitions(
        cls,
        definitions: Definitions,
        *,
        revision: int | None = None,
        issued_at: Instant | None = None,
        expires_at: Instant | None = None,
    ) -> Engine:
        """An engine that answers from definitions as people write them: one document, or files as `(name, content)`.

        Raises DefinitionsError with all mistakes in them.
        """
        return cls(
            Snapshot.from_definitions(definitions, revision=revision, issued_at=issued_at, expires_at=expires_at)
        )

    @classmethod
    def from_directory(cls, directory: str | PathLike[str], trust: Trust, *, stream: str | None = None) -> Engine:
        """An engine that answers from a directory of snapshots as it is now, and does not follow it.

        Raises SnapshotError for whatever is wrong with what is there.
        """
        with closing(Following(cls, trust=trust, stream=stream, source=Folder(directory))) as following:
            return following.begin()

    @classmethod
    def from_last_known_good(cls, folder: str | PathLike[str], trust: Trust, *, stream: str | None = None) -> Engine:
        """An engine that answers from what an engine that followed has kept.

        Raises SnapshotError when nothing was kept, or it is of no use.
        """
        with closing(Following(cls, trust=trust, stream=stream, source=Folder(folder), keep=folder)) as following:
            return following.restore()

    @classmethod
    def follow(
        cls,
        *,
        trust: Trust,
        url: str | None = None,
        token: str | None = None,
        directory: str | PathLike[str] | None = None,
        source: Source | None = None,
        stream: str | None = None,
        engine_id: str | None = None,
        keep: str | PathLike[str] | None = None,
        pack: bytes | None = None,
        poll_ms: int | None = None,
        backoff_min_ms: int | None = None,
        backoff_max_ms: int | None = None,
        report_ms: int | None = None,
        http: Mapping[str, Any] | None = None,
    ) -> Engine:
        """An engine that follows HQ, a directory or another source: it is up to date until it is closed.

        Once there was a snapshot, it answers whatever becomes of the source. A thread carries for it; after a fork, the
        child follows again by itself.

        - `trust`: whom to believe. From your configuration.
        - `url`, `token`: HQ, and the token that it gave out. `http` has options of `HttpSource` beside them.
        - `directory`: in their place, a directory that a publisher writes. `source`: a source of your own.
        - `stream`: the stream, where `trust` names none or another one: a region, such as `GCC-OM`.
        - `engine_id`: with it, HQ knows what it has in force, and it may try staged definitions.
        - `keep`: a folder of its own for what is in force, so that the next start needs nobody.
        - `pack`: a pack that came with the program, for a first start without HQ.
        - `poll_ms`: between two questions for the head where nobody notifies: 30,000.
        - `backoff_min_ms`, `backoff_max_ms`: after the first failed question, and after many: 1,000 and 300,000.
        - `report_ms`: until HQ is told again what is in force: 60,000.

        Raises SnapshotError when there is nothing to answer from: nothing kept, no pack, no source that has anything;
        OptionsError for options that cannot work.
        """
        following = Following(
            cls,
            trust=trust,
            url=url,
            token=token,
            directory=directory,
            source=source,
            stream=stream,
            engine_id=engine_id,
            keep=keep,
            pack=pack,
            poll_ms=poll_ms,
            backoff_min_ms=backoff_min_ms,
            backoff_max_ms=backoff_max_ms,
            report_ms=report_ms,
            http=http,
        )
        return cls._follow(following)

    @classmethod
    def _follow(cls, following: Following) -> Engine:
        try:
            engine = following.begin()
            engine._following = following
            following.start()
        except BaseException:
            following.close()
            raise
        return engine

    def on_change(self, listener: Callable[[Changes], object]) -> Callable[[], None]:
        """Calls back whenever other answers about features are in force: whose, and to which.

        It is called in the thread that follows. What changes workflows alone is not told: a machine is taken when it is
        needed. An exception of a listener is logged, and the engine goes on. What is given back removes the listener.
        """
        return listening(self._on_change, listener)

    def on_fault(self, listener: Callable[[FaultSeen], object]) -> Callable[[], None]:
        """Calls back whenever something was refused or failed while following; what was in force still is."""
        return listening(self._on_fault, listener)

    def snapshot(self) -> Snapshot:
        """What answers."""
        self._open()
        return self._latest

    @property
    def _latest(self) -> Snapshot:
        """What answers, of an engine that is closed too."""
        return super().snapshot()

    def health(self, now: Instant | None = None) -> Health | None:
        """How an engine that follows is doing; None of one that does not."""
        self._open()
        return None if self._following is None else self._following.health(now)

    @property
    def hearing(self) -> Hearing | None:
        """Whether an engine that follows HQ hears of news, or has to ask; None of one that does not."""
        return None if self._following is None else self._following.hearing

    def wait_for(self, revision: int, timeout_ms: int = 10_000) -> int:
        """Waits until a revision is in force, and gives the one that is. HQ says with every write which one has it.

        Raises TimedOutError when it did not come in time.
        """
        in_force = self._waited(revision, timeout_ms)
        return self._follows(revision).wait_for(revision, timeout_ms) if in_force is None else in_force

    def _waited(self, revision: int, timeout_ms: int) -> int | None:
        """The revision in force, where there is nothing to wait for."""
        self._open()
        if isinstance(revision, bool) or not isinstance(revision, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"`revision` is an int, not of type `{type(revision).__name__}`")
        if not 0 <= revision < 2**53:
            raise ArgumentError("`revision` is an integer from 0 to 2^53 − 1")
        milliseconds("timeout_ms", timeout_ms)
        in_force = self.snapshot().revision
        return in_force if in_force >= revision else None

    def _follows(self, revision: int) -> Following:
        if self._following is None:
            raise TimedOutError(f"revision {revision} will not come: this engine does not follow")
        return self._following

    def swap(self, snapshot: Snapshot) -> None:
        """Puts in the next snapshot, and tells whose answers are other ones. One that follows does so by itself."""
        if self._following is not None:
            raise ArgumentError("an engine that follows takes its snapshots from there: make one of your own to swap")
        self._open()
        self._swapped(snapshot, self._replace(snapshot))

    def close(self) -> None:
        """Ends it: whatever is asked from now on is `closed`, and nothing is fetched or written any more."""
        already = self.closed
        self._close()
        for listener in () if already else tuple(self._on_close):
            try:
                listener()
            except Exception:
                # It is theirs, and must not keep the engine open.
                _log.exception("a listener failed")
        if self._following is not None:
            self._following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        about = self._latest.about
        state = "closed" if self.closed else f"following {self._following!r}" if self._following else "not following"
        return f"<Engine at revision {about.revision} with {about.tenants} tenants, {state}>"

    def _open(self) -> None:
        if self.closed:
            raise ClosedError

    def _swapped(self, snapshot: Snapshot, last: Snapshot) -> None:
        """Tells what is new."""
        if self._on_change:
            changes = snapshot.changes(last)
            if changes.added or changes.removed or changes.groups:
                self._tell(self._on_change, changes)

    def _tell(self, listeners: list[Callable[[Any], object]], told: object) -> None:
        for listener in tuple(listeners):
            if self.closed:
                # Whoever hears of it would ask about it.
                return
            try:
                listener(told)
            except BaseException as error:
                # It is theirs, and must not keep the engine from following, not even by `sys.exit`. Whoever swaps by
                # hand is told of an interruption.
                if self._following is None and not isinstance(error, Exception):
                    raise
                _log.exception("a listener failed")
