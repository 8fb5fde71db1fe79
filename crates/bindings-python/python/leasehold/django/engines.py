"""The engine of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .._native import Snapshot
from ..engine import Engine
from ..errors import SnapshotError
from ..follow.following import Following
from .conf import Conf, conf

_lock = threading.Lock()
_engine: Engine | None = None
_made = False
"""Whether it is made here, and closed here."""


def engine() -> Engine:
    """The engine of this process, made when it is first asked for: by `LEASEHOLD`.

    Call it in `wsgi.py` where workers are forked of a process that has loaded the app: each of them follows, and begins
    with what that one has fetched. Raises what making it raises, and ImproperlyConfigured for mistakes in the setting.
    """
    global _engine, _made
    found = _engine
    if found is not None:
        return found
    with _lock:
        if _engine is None:
            _engine, _made = _make(conf())
        return _engine


def is_made() -> bool:
    """Whether asking for the engine waits for nothing."""
    return _engine is not None


@contextmanager
def snapshot_to_check() -> Generator[Snapshot, None, None]:
    """What answers here, for checks.

    One that is followed for it alone leaves no traces: not at HQ, and not in `KEEP`, which belongs to whoever serves.
    What `ENGINE` makes, and a `SOURCE`, are the app's own: they are asked for the engine of this process.
    """
    said = conf()
    if is_made() or said.engine is not None or "source" in said.follow:
        yield engine().snapshot()
        return
    # Those that are left out next are looked at too.
    Following(Engine, **said.follow).close()
    follow = {name: value for name, value in said.follow.items() if name not in ("engine_id", "keep", "report_ms")}
    try:
        following = Engine.follow(**follow)
    except SnapshotError:
        kept = said.follow.get("keep")
        if kept is None:
            raise
        following = Engine.from_last_known_good(kept, follow["trust"], stream=follow.get("stream"))
    with following:
        yield following.snapshot()


def _make(said: Conf) -> tuple[Engine, bool]:
    if said.engine is None:
        return Engine.follow(**said.follow), True
    if isinstance(said.engine, Engine):
        return said.engine, False
    made = said.engine()
    if not isinstance(made, Engine):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ImproperlyConfigured(
            f"`ENGINE` was to give an `Engine`, and gave something of type `{type(made).__name__}`"
        )
    return made, True


def _changed(*, setting: str, **_: object) -> None:
    """Lets go of an engine that is not the setting's any more: in tests."""
    global _engine
    if setting == "LEASEHOLD":
        with _lock:
            last, _engine = _engine, None
        if last is not None and _made:
            last.close()


def _forked() -> None:
    # Whoever held it is not in this process.
    global _lock
    _lock = threading.Lock()


setting_changed.connect(_changed, dispatch_uid="leasehold.django.engines")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
