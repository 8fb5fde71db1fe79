"""Keys that code names have to exist: found out at the start, not at the first request."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal, TypeAlias

from .answers import SnapshotAbout
from .errors import LeaseholdError

Wanted: TypeAlias = Literal["switch", "value", "limit", "workflow"]


class UnknownKeysError(LeaseholdError):
    """Mistakes in what code names: code `unknown_keys`, and all of them."""

    mistakes: tuple[str, ...]

    def __init__(self, mistakes: Iterable[str], revision: int, otherwise: str) -> None:
        """`otherwise` says how to start all the same."""
        self.mistakes = tuple(mistakes)
        listed = "".join(f"\n  - {mistake}" for mistake in self.mistakes)
        super().__init__(
            "unknown_keys",
            f"code asks for what revision {revision} does not have: correct it, publish what is missing, or {otherwise}"
            f"{listed}",
        )


def mistake_in(about: SnapshotAbout, wanted: Wanted, key: str) -> str | None:
    """What is wrong with a key."""
    if wanted == "workflow":
        return None if key in about.workflows else f"workflow `{key}` is not known{_hint(key, about.workflows)}"
    kind = about.features.get(key)
    if kind is None:
        return (
            f"feature `{key}` is not known{_hint(key, (one for one, is_a in about.features.items() if is_a == wanted))}"
        )
    return None if kind == wanted else f"feature `{key}` is a {kind}, not a {wanted}"


def _hint(key: str, among: Iterable[str]) -> str:
    alike = get_close_matches(key, list(among), 1)
    return f", did you mean `{alike[0]}`?" if alike else ""
