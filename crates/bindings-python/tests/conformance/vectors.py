"""The corpus as every runtime reads it: files, bytes, times, patterns."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from leasehold import DefinitionsError, Engine, Instant, LeaseholdError

from .answers import raised, said

FOLDER = Path(__file__).resolve().parents[4] / "tests" / "conformance"
"""The folder of the vectors."""

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?(?:Z|([+-]\d\d):(\d\d))")
_FOUR_CENTURIES = timedelta(days=146_097)


class Outcome(NamedTuple):
    """What a question came to: its answer as JSON, or what its error says."""

    answer: Any = None
    error: dict[str, Any] | None = None


def fail(message: str) -> NoReturn:
    raise AssertionError(message)


@cache
def read_bytes(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def read(name: str) -> Any:
    return json.loads(read_bytes(name))


def text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else fail(f"`{key}` is not a text in {value!r}")


def time(value: object) -> int:
    """The milliseconds since 1970 of a time. It may be of the year 0, which Python's calendar does not have."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        fail(f"{value!r} is not a time")
    year, month, day, hour, minute, second, millisecond, hours, minutes = (int(part or 0) for part in found.groups())
    offset = timedelta(hours=hours, minutes=minutes if hours >= 0 else -minutes)
    # The calendar repeats itself.
    early = year < 400
    at = datetime(year + 400 if early else year, month, day, hour, minute, second, tzinfo=timezone.utc)
    since = at - offset - EPOCH - (_FOUR_CENTURIES if early else timedelta(0))
    return since // timedelta(milliseconds=1) + millisecond


def instants(ms: int) -> list[Instant]:
    """The same instant in every way in which it can be told: a `datetime`, where Python's calendar has it."""
    told: list[Instant] = [ms, float(ms)]
    try:
        at = EPOCH + timedelta(milliseconds=ms)
        told += [at, at.astimezone(timezone(timedelta(hours=5, minutes=45)))]
    except OverflowError:
        pass
    return told


def only_keys(value: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    unknown = sorted(set(value) - set(known))
    if unknown:
        fail(f"{what}: unknown key {', '.join(unknown)}")


def bytes_of(value: Any) -> bytes:
    """Bytes as vectors write them: a text, `{"base64": …}`, `{"repeat": text, "times": number}`, or a list of such."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return b"".join(bytes_of(part) for part in value)
    if "times" in value:
        only_keys(value, ["repeat", "times"], "bytes")
        return text(value, "repeat").encode() * int(value["times"])
    only_keys(value, ["base64"], "bytes")
    return base64.b64decode(text(value, "base64"), validate=True)


def trust(args: Mapping[str, Any] | None = None) -> Any:
    """Whom this runtime believes, where a case does not say otherwise."""
    own = (args or {}).get("trust")
    return read_bytes("trust.json").decode() if own is None else own


def engine_of(name: str) -> Engine:
    """The engine of a checked-in pack: a new one each time, so that no case leans on what another has left."""
    return Engine.from_pack(read_bytes(f"packs/{name}.pack"), trust())


def outcome(ask: Callable[[], Any]) -> Outcome:
    """The outcome of a question. What it answers is looked at from all sides."""
    try:
        answer = ask()
    except DefinitionsError:
        raise
    except LeaseholdError as error:
        told = raised(error)
        told["blockers"] = [plain_blocker(one) for one in told["blockers"]]
        return Outcome(error=told)
    return Outcome(answer=said(answer))


def agreed(asks: Iterable[Callable[[], Any]]) -> Outcome:
    """The outcome of the same question, asked in several ways."""
    first, *others = [outcome(ask) for ask in asks]
    for other in others:
        assert exactly(other) == exactly(first)
    return first


def at_any(ms: int, *ways: Callable[[Instant], Any]) -> Outcome:
    """The outcome of a question about an instant, in whatever way it is asked, and however the instant is told."""
    return agreed(partial(way, now) for way in ways for now in instants(ms))


def answer_of(found: Outcome) -> Any:
    """The answer of a question that has one; what is none becomes the outcome of whatever it was asked for."""
    if found.error is not None:
        raise Refused(found.error)
    return found.answer


class Refused(Exception):
    """The outcome is the error of another question."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error = error


def exactly(value: object) -> str:
    """A value so that it is equal to no other one: to Python, `True` is 1, and 1 is 1.0."""
    return json.dumps(value, sort_keys=True)


def plain(answer: Mapping[str, Any], absent: Mapping[str, Any]) -> dict[str, Any]:
    """What is absent stands as null or an empty list."""
    return {**absent, **answer}


def plain_blocker(blocker: Mapping[str, Any]) -> dict[str, Any]:
    return plain(blocker, {"binding": None, "guard": None})


def wrong(found: Outcome, expected: Mapping[str, Any]) -> str | None:
    """What is wrong with an outcome, given what a case, or a step of one, expects."""
    answer, error = found
    if error is not None:
        if "error" not in expected or "expect" in expected:
            return f"refused: {error}"
        pattern = expected["error"]
        return mismatch({"code": pattern} if isinstance(pattern, str) else pattern, error, "")
    if "expect" not in expected or "error" in expected:
        return f"answered {answer}"
    what = mismatch(expected["expect"], answer, "")
    return what and f"{what}\n    in {json.dumps(answer)}"


def mismatch(pattern: Any, answer: Any, path: str) -> str | None:
    """Where an answer differs from its pattern."""
    if isinstance(pattern, dict) and isinstance(answer, dict):
        for key, item in pattern.items():
            what = mismatch(item, answer[key], f"{path}/{key}") if key in answer else f"{path}/{key} is absent"
            if what is not None:
                return what
        return None
    if isinstance(pattern, list) and isinstance(answer, list) and len(pattern) == len(answer):
        found = (mismatch(item, answer[at], f"{path}/{at}") for at, item in enumerate(pattern))
        return next((what for what in found if what is not None), None)
    # Objects and lists were seen to: what is left are scalars, or what is of two kinds.
    if exactly(pattern) == exactly(answer):
        return None
    return f"{path} is {json.dumps(answer)}, not {json.dumps(pattern)}"
