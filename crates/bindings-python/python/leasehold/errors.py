"""Errors. Each class stands for who has to act: whoever wrote the call, the question, the definitions, or publishes.

`code` is stable, and the same in every language.
"""

from __future__ import annotations

import json
from typing import Any

from .answers import Blocker, Diagnostic


class LeaseholdError(Exception):
    """What all errors of this package are."""

    code: str
    """Stable, the same in every language."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # What is made anew has other arguments than the message alone.
        return _again, (type(self), self.args, self.__dict__)


class ArgumentError(LeaseholdError, TypeError, ValueError):
    """A call with arguments that cannot be meant: code `invalid_argument`."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_argument", message)


class QuestionError(LeaseholdError):
    """A question that has no answer. Those that are met in practice have classes of their own."""


class UnknownTenantError(QuestionError):
    """The snapshot has no such tenant: code `unknown_tenant`."""


class UnknownFeatureError(QuestionError):
    """The snapshot has no such feature: code `unknown_feature`."""


class WrongKindError(QuestionError):
    """The feature is of another kind than the question is for: code `wrong_kind`."""


class AmountOutOfRangeError(QuestionError):
    """A used or requested amount outside 0 to 2^53 − 1: code `amount_out_of_range`."""


class UnknownWorkflowError(QuestionError):
    """The snapshot has no such workflow: code `unknown_workflow`."""


class InactiveTemplateError(QuestionError):
    """The workflow, or the tenant's use of it, is switched off: code `inactive_template`."""


class UnknownStageError(QuestionError):
    """The machine has no such stage: code `unknown_stage`."""


class IllegalTransitionError(QuestionError):
    """Nothing leads from one stage to the other: code `illegal_transition`."""


class TransitionError(QuestionError):
    """A move of a workflow that is not allowed: code `guard_failed`, with all that stands against it."""

    blockers: tuple[Blocker, ...]
    """All that blocks it, by transition in declared order."""

    def __init__(self, code: str, message: str, blockers: tuple[Blocker, ...]) -> None:
        super().__init__(code, message)
        self.blockers = blockers


class SnapshotError(LeaseholdError):
    """A snapshot, or a part of one, that was refused.

    Signed by nobody who is trusted, damaged, or older than what was seen.
    """

    stage: str
    """How far it got: `download`, `verify`, `hash`, `parse`, `compile` or `persist`."""
    item: str
    """What it is about: a document, or a content by its hash."""
    diagnostics: tuple[Diagnostic, ...]
    """Mistakes in definitions, where that is what is wrong."""

    def __init__(
        self, code: str, message: str, stage: str, item: str, diagnostics: tuple[Diagnostic, ...] = ()
    ) -> None:
        super().__init__(code, message)
        self.stage = stage
        self.item = item
        self.diagnostics = diagnostics


class DefinitionsError(LeaseholdError):
    """Definitions with mistakes: code `invalid_definitions`, and all of them."""

    diagnostics: tuple[Diagnostic, ...]
    """All mistakes."""

    def __init__(self, message: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("invalid_definitions", message)
        self.diagnostics = diagnostics


class OptionsError(LeaseholdError):
    """Options that cannot work: `invalid_base_url`, `insecure_base_url`, `invalid_token`."""


class ClosedError(LeaseholdError):
    """A call on an engine that was closed: code `closed`."""

    def __init__(self) -> None:
        super().__init__("closed", "the engine is closed: ask one that is open")


class TimedOutError(LeaseholdError, TimeoutError):
    """A revision that did not come in time: code `timed_out`."""

    def __init__(self, message: str) -> None:
        super().__init__("timed_out", message)


class InternalError(LeaseholdError):
    """A mistake in this package, code `internal`: please report it. The engine goes on."""

    def __init__(self, message: str) -> None:
        super().__init__("internal", message)


_QUESTIONS: dict[str, type[QuestionError]] = {
    "unknown_tenant": UnknownTenantError,
    "unknown_feature": UnknownFeatureError,
    "wrong_kind": WrongKindError,
    "amount_out_of_range": AmountOutOfRangeError,
    "unknown_workflow": UnknownWorkflowError,
    "inactive_template": InactiveTemplateError,
    "unknown_stage": UnknownStageError,
    "illegal_transition": IllegalTransitionError,
}


def _told(text: str) -> LeaseholdError:  # pyright: ignore[reportUnusedFunction]
    """The exception of what the native part says."""
    said: dict[str, Any] = json.loads(text)
    kind, code, message = said["kind"], said["code"], said["message"]
    diagnostics = tuple(Diagnostic(one) for one in said.get("diagnostics", ()))
    if kind == "argument":
        return ArgumentError(message)
    if kind == "snapshot":
        return SnapshotError(code, message, said["stage"], said["item"], diagnostics)
    if kind == "definitions":
        return DefinitionsError(message, diagnostics)
    if kind == "internal":
        return InternalError(message)
    if "blockers" in said:
        return TransitionError(code, message, tuple(Blocker(one) for one in said["blockers"]))
    return _QUESTIONS.get(code, QuestionError)(code, message)


def _again(kind: type[LeaseholdError], args: tuple[Any, ...], members: dict[str, Any]) -> LeaseholdError:
    """An error that was pickled."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error
