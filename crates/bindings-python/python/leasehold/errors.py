"""Errors. Each class stands for who has to act: whoever wrote the call, the question, the definitions, or publishes.

`code` is stable, and the same in every language.
"""

from __future__ import annotations

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
    diagnostics: tuple[Diagnostic, ...] = ()
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


CLOSED = "the engine is closed: ask one that is open"


class ClosedError(LeaseholdError):
    """A call on an engine that was closed: code `closed`."""

    def __init__(self) -> None:
        super().__init__("closed", CLOSED)


class TimedOutError(LeaseholdError, TimeoutError):
    """A revision that did not come in time: code `timed_out`."""

    def __init__(self, message: str) -> None:
        super().__init__("timed_out", message)


class InternalError(LeaseholdError):
    """A mistake in this package, code `internal`: please report it. The engine goes on."""

    def __init__(self, message: str) -> None:
        super().__init__("internal", message)


CLASSES: dict[str, type[LeaseholdError]] = {
    "argument": ArgumentError,
    "closed": ClosedError,
    "definitions": DefinitionsError,
    "internal": InternalError,
    "question": QuestionError,
    "snapshot": SnapshotError,
    "amount_out_of_range": AmountOutOfRangeError,
    "guard_failed": TransitionError,
    "illegal_transition": IllegalTransitionError,
    "inactive_template": InactiveTemplateError,
    "unknown_feature": UnknownFeatureError,
    "unknown_stage": UnknownStageError,
    "unknown_tenant": UnknownTenantError,
    "unknown_workflow": UnknownWorkflowError,
    "wrong_kind": WrongKindError,
}
"""What the native part makes: by code, or else by who has to act."""


def _again(kind: type[LeaseholdError], args: tuple[Any, ...], members: dict[str, Any]) -> LeaseholdError:
    """An error that was pickled."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error
