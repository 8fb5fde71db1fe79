"""Waits until a condition holds, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LONGEST_S = 120.0


def until(what: str, condition: Callable[[], T]) -> T:
    """Gives what the condition came to."""
    end = time.monotonic() + _LONGEST_S
    while True:
        held = condition()
        if held:
            return held
        if time.monotonic() > end:
            raise AssertionError(f"it never came to this: {what}")
        time.sleep(0.005)
