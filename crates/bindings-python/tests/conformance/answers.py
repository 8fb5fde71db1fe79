"""Answers, looked at from all sides: whatever they say can be read, printed, copied and pickled."""

from __future__ import annotations

import copy
import json
import keyword
import pickle
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import leasehold.answers
import pytest
from leasehold import (
    AmountOutOfRangeError,
    ArgumentError,
    DefinitionsError,
    IllegalTransitionError,
    InactiveTemplateError,
    LeaseholdError,
    QuestionError,
    SnapshotError,
    TransitionError,
    UnknownFeatureError,
    UnknownStageError,
    UnknownTenantError,
    UnknownWorkflowError,
    WrongKindError,
)
from leasehold._answer import Answer

SEEN: set[type[Answer]] = set()
"""The classes of all answers that were looked at."""

ALL: set[type[Answer]] = {
    thing
    for thing in vars(leasehold.answers).values()
    if isinstance(thing, type) and issubclass(thing, Answer) and thing is not Answer
}


_CLASSES: dict[str, type[LeaseholdError]] = {
    "unknown_tenant": UnknownTenantError,
    "unknown_feature": UnknownFeatureError,
    "wrong_kind": WrongKindError,
    "amount_out_of_range": AmountOutOfRangeError,
    "unknown_workflow": UnknownWorkflowError,
    "inactive_template": InactiveTemplateError,
    "unknown_stage": UnknownStageError,
    "illegal_transition": IllegalTransitionError,
    "guard_failed": TransitionError,
    "invalid_argument": ArgumentError,
    "invalid_definitions": DefinitionsError,
}
"""Errors that are met in practice. Others are of the class that says who has to act."""

_EXAMINED: set[tuple[type[Answer], str]] = set()


def said(answer: Any) -> Any:
    """An answer as JSON, once it was looked at."""
    if isinstance(answer, Answer):
        _examine(answer)
        return answer.to_dict()
    if isinstance(answer, tuple):
        return [said(item) for item in answer]
    if isinstance(answer, Mapping):
        return {key: said(item) for key, item in answer.items()}
    if isinstance(answer, list):
        return [said(item) for item in answer]
    assert answer is None or type(answer) in (bool, int, float, str), f"{answer!r} is no answer"
    return answer


def raised(error: LeaseholdError) -> dict[str, Any]:
    """What an error says, once it was looked at."""
    kind = SnapshotError if hasattr(error, "stage") else _CLASSES.get(error.code, QuestionError)
    assert type(error) is kind, f"{type(error)} has the code {error.code}"
    message = str(error)
    assert message, "it says nothing"
    assert message == error.args[0]
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(twin) is type(error)
        assert (str(twin), vars(twin)) == (message, vars(error))
    blockers, diagnostics = getattr(error, "blockers", ()), getattr(error, "diagnostics", ())
    told = {"code": error.code, "message": message, "blockers": said(blockers), "diagnostics": said(diagnostics)}
    places = {name: getattr(error, name) for name in ("stage", "item") if hasattr(error, name)}
    return {**told, **places}


def attribute_of(member: str) -> str:
    """The property that stands for a member: Python keeps some words for itself."""
    return f"{member}_" if keyword.iskeyword(member) else member


def _examine(answer: Answer) -> None:
    kind = type(answer)
    whole = answer.to_dict()
    known = (kind, json.dumps(whole))
    if known in _EXAMINED:
        return
    _EXAMINED.add(known)
    SEEN.add(kind)
    assert repr(answer).startswith(f"{kind.__name__}(")
    assert f"<caption>{kind.__name__}</caption>" in answer._repr_html_()
    for twin in (pickle.loads(pickle.dumps(answer)), copy.deepcopy(answer), copy.copy(answer)):
        assert type(twin) is kind
        assert twin == answer
        assert hash(twin) == hash(answer)
        assert twin.to_dict() == whole
    # It holds what JSON has, and nothing else that is written likewise.
    assert kind(json.loads(json.dumps(whole))) == answer
    # Whatever is done to what it gives away, it stays as it is.
    whole_again = answer.to_dict()
    whole_again.clear()
    assert answer.to_dict() == whole
    for member in kind._members:
        name = attribute_of(member)
        assert isinstance(getattr(kind, name, None), property), f"{kind.__name__} has no property `{name}`"
        _compare(getattr(answer, name), whole.get(member), f"{kind.__name__}.{name}")
        with pytest.raises(AttributeError, match="an answer does not change"):
            setattr(answer, name, None)
        with pytest.raises(AttributeError, match="an answer does not change"):
            delattr(answer, name)
    others = {name: value for name, value in whole.items() if name not in kind._members}
    if hasattr(kind, "limits") and "limits" not in kind._members:
        assert dict(answer.limits) == others  # type: ignore[attr-defined]
    else:
        assert not others, f"{kind.__name__} says nothing of {', '.join(others)}"


def _compare(value: Any, member: Any, what: str) -> None:
    """A property gives what the member has."""
    if isinstance(value, datetime):
        assert value.tzinfo is timezone.utc, what
        assert _spelt(value) == member or (member.startswith("0000") and value.year == 1), what
    elif isinstance(value, Answer):
        _examine(value)
        assert value.to_dict() == member, what
    elif isinstance(value, tuple):
        if member is None:
            # Lists that are empty are left out.
            assert value == (), what
            return
        assert len(value) == len(member), what
        for item, said_of_it in zip(value, member, strict=True):
            _compare(item, said_of_it, what)
    elif isinstance(value, Mapping) and not isinstance(value, dict):
        member = member or {}
        assert list(value) == list(member), what
        with pytest.raises(TypeError):
            value["new"] = None  # type: ignore[index]
        for key in value:
            _compare(value[key], member[key], what)
    else:
        # What is any JSON is given as it is.
        assert json.dumps(value) == json.dumps(member), what


def _spelt(at: datetime) -> str:
    """A time as JSON has it: parts of a second only where there are any."""
    parts = "milliseconds" if at.microsecond else "seconds"
    assert at.microsecond % 1000 == 0
    assert at.utcoffset() == timedelta(0)
    return at.replace(tzinfo=None).isoformat(timespec=parts) + "Z"
