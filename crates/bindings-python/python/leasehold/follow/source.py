"""Where snapshots come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

from ..errors import ArgumentError

Encoding = Literal["raw", "zstd"]

MAX_HEAD_BYTES = 64 << 10
"""Longest head, in bytes."""
MAX_CONTENT_BYTES = 64 << 20
"""Longest content, in bytes."""
MAX_PACK_BYTES = 256 << 20
"""Longest pack that is fetched, in bytes. A longer one is fetched in pieces, whose lengths the head vouches for."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Content(NamedTuple):
    """A content as it is kept or carried. What is in it is known only once it was verified."""

    encoding: Encoding
    data: bytes


class Source(ABC):
    """Where snapshots come from.

    A source carries bytes; what they mean, whether they are right, and when to ask again, the engine decides. Whatever
    a method raises is the reason that is told: the engine asks again later. All methods may block, but `close`, which
    ends what is under way in other threads.
    """

    @abstractmethod
    def head(self, stream: str, known: str | None) -> bytes | None:
        """The current head of a stream; nothing where it is the one with this hash."""

    @abstractmethod
    def content(self, hash: str, length: int) -> Content | None:
        """A content by its hash, and how many bytes it has; nothing where the source does not have it."""

    def pack(self, stream: str) -> bytes | None:
        """A head with all that it names, where that can be had at once."""
        return None

    def report(self, report: dict[str, object]) -> None:  # noqa: B027 - not every source does so
        """Tells the publisher what is in force, or what was refused. It is not waited for."""

    def listen(self, notify: Callable[[], None]) -> None:  # noqa: B027 - not every source does so
        """Calls back whenever something is new, from now on until it is closed, in a thread of its own."""

    def close(self) -> None:  # noqa: B027 - not every source does so
        """Ends what is under way. Nothing is asked any more."""

    def forked(self) -> None:  # noqa: B027 - not every source does so
        """Is called in a child process after a fork, before anything else.

        Connections, threads and locks of the parent are not the child's; let go of them without touching what the
        parent shares, such as by writing to a TLS connection. Where it listened, `listen` is called again.
        """


def content_of(data: bytes) -> Content:
    """A content whose first bytes say whether it is compressed: JSON, which contents are, begins otherwise."""
    return Content("zstd" if data.startswith(_ZSTD_MAGIC) else "raw", data)


def milliseconds(name: str, value: object) -> int:
    """A time, checked. The longest is what every timer can count."""
    shown = f"of type `{type(value).__name__}`"
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value < 2**31:
            return value
        # What a value says of itself may be long, or fail: a number is repeated where it is short.
        if abs(value) < 2**63:
            shown = int.__repr__(value)
    raise ArgumentError(f"`{name}` is a time in milliseconds, an integer from 1 to 2147483647, not {shown}")
