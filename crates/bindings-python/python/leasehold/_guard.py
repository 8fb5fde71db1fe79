"""Asks for a tenant, tells whoever watches, and refuses: what web frameworks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NoReturn, TypeVar

from . import _problems
from ._native import Tenant
from ._problems import RefusedError
from ._watch import Watch
from .answers import Action, Allowed, Decision, LimitAnswer
from .engine import Engine
from .errors import ArgumentError, LeaseholdError
from .inputs import Inputs

TENANT_HEADER = "x-tenant-id"
"""The header by which a tenant is named."""

_MOST = 2**53 - 1
_LONGEST_ID = 128
"""Keys and ids are shorter, in bytes."""

_T = TypeVar("_T")


class Guard:
    """What one tenant may do, asked so that each decision is logged and counted, and refused where it is a no."""

    def __init__(self, engine: Engine, tenant_id: object, watch: Watch) -> None:
        """Raises RefusedError: `tenant_required`, `unknown_tenant`, `closed`."""
        self._engine = engine
        self._watch = watch
        self._tenant = self._named(tenant_id)
        watch.tag(self._tenant.id)

    @property
    def tenant(self) -> Tenant:
        """The tenant itself, for all other questions. They are neither logged nor counted."""
        return self._tenant

    def is_enabled(self, feature: str, *, action: Action = "use") -> bool:
        """Whether a switch is on."""
        if self._asked("feature", feature, lambda: self._tenant.is_enabled(feature, action=action)):
            self._watch.record("feature", "allow", "granted", feature, self._tenant.id, self._revision)
            return True
        # Whoever is told of a refusal wants to know why.
        return self.decide(feature, action=action).enabled

    def decide(self, feature: str, *, action: Action = "use") -> Decision:
        """A yes or a no about a feature of any kind, with its reason."""
        decision = self._asked("feature", feature, lambda: self._tenant.decide(feature, action=action))
        outcome = "allow" if decision.enabled else "deny"
        self._watch.record("feature", outcome, decision.reason, feature, self._tenant.id, decision.revision)
        return decision

    def check_limit(self, feature: str, used: int, requested: int) -> LimitAnswer:
        """What a limit says to a request of so many more, when so many are in use already."""
        answer = self._asked("limit", feature, lambda: self._tenant.check_limit(feature, used, requested))
        self._watch.record("limit", answer.outcome, answer.reason, feature, self._tenant.id, answer.revision)
        return answer

    def check_transition(
        self,
        workflow: str,
        from_stage: str,
        to_stage: str,
        *,
        inputs: Inputs | None = None,
        roles: Iterable[str] | None = None,
        category: str | None = None,
    ) -> Allowed:
        """Whether an item of a workflow may move.

        Raises TransitionError with all that stands against it; IllegalTransitionError, UnknownStageError.
        """
        allowed = self._asked(
            "transition",
            workflow,
            lambda: self._tenant.check_transition(
                workflow, from_stage, to_stage, inputs=inputs, roles=roles, category=category
            ),
        )
        self._watch.record("transition", "allow", "granted", workflow, self._tenant.id, self._revision)
        return allowed

    def require(self, feature: str, *, action: Action = "use") -> Decision:
        """Goes on only where a feature is on.

        Raises RefusedError: `feature_off`.
        """
        check_action(action)
        try:
            decision = self.decide(feature, action=action)
        except LeaseholdError as error:
            _refuse(error, feature=feature)
        if not decision.enabled:
            raise RefusedError(_problems.feature_off(feature, decision))
        return decision

    def require_limit(self, feature: str, used: int, requested: int = 1) -> LimitAnswer:
        """Goes on only where there is room in a limit.

        Raises RefusedError: `limit_reached`, `feature_off`.
        """
        # Not what the client asks for, but what this app says of itself.
        if not _is_int(used) or not 0 <= used <= _MOST:
            raise TypeError(f"the usage of `{feature}` is {used!r}: say an int from 0 to 2^53 − 1")
        if not _is_int(requested):
            raise TypeError(f"what is requested of `{feature}` is {requested!r}: say an int")
        try:
            answer = self.check_limit(feature, used, requested)
        except LeaseholdError as error:
            _refuse(error, feature=feature)
        if answer.outcome == "deny":
            raise RefusedError(_problems.limit_reached(feature, used, requested, answer))
        return answer

    def require_transition(
        self,
        workflow: str,
        from_stage: str,
        to_stage: str,
        *,
        inputs: Inputs | None = None,
        roles: Iterable[str] | None = None,
        category: str | None = None,
    ) -> Allowed:
        """Goes on only where an item of a workflow may move.

        Raises RefusedError: `guard_failed`, `illegal_transition`.
        """
        try:
            return self.check_transition(workflow, from_stage, to_stage, inputs=inputs, roles=roles, category=category)
        except LeaseholdError as error:
            _refuse(error, workflow=workflow, **{"from": from_stage, "to": to_stage})

    @property
    def _revision(self) -> int:
        return self._engine._latest.revision

    def _named(self, tenant_id: object) -> Tenant:
        """The tenant of an id. That nobody says which it is, or one that there is not, is a decision too."""
        if tenant_id is None or tenant_id == "":
            problem = _problems.tenant_required()
            self._watch.record("tenant", "deny", problem["code"])
            raise RefusedError(problem)
        if not isinstance(tenant_id, str):
            # Not what the client sends, but what this app makes of it.
            raise TypeError(f"the id of a tenant is a str, not of type `{type(tenant_id).__name__}`")
        try:
            return self._engine.tenant(tenant_id)
        except LeaseholdError as error:
            self._watch.record("tenant", "deny", error.code)
            _refuse(error)

    def _asked(self, kind: Literal["feature", "limit", "transition"], key: str, ask: Callable[[], _T]) -> _T:
        """A question that cannot be answered is refused: it counts, by its code."""
        try:
            return ask()
        except LeaseholdError as error:
            self._watch.record(kind, "deny", error.code, key, self._tenant.id)
            raise


def check_action(action: Action) -> None:
    """Refuses an action that there is not: it is said by whoever writes the app, and no client is told of it.

    Raises ArgumentError.
    """
    # The engine takes none for `use`.
    if action not in ("use", "read", None):
        raise ArgumentError(f"`action` is `use` or `read`, not `{action}`")


def _is_int(amount: object) -> bool:
    # `True` is 1 to Python, and most likely a mistake here.
    return isinstance(amount, int) and not isinstance(amount, bool)


def _may_be_an_id(text: str) -> bool:
    try:
        return len(text.encode()) <= _LONGEST_ID
    except UnicodeEncodeError:
        return False


def _refuse(error: LeaseholdError, **about: object) -> NoReturn:
    problem = _problems.refused(error)
    if problem is None:
        raise error
    for name, value in about.items():
        # What a client sent may be anything, and is said only where it is what it should be.
        if isinstance(value, str) and _may_be_an_id(value):
            problem[name] = value  # type: ignore[literal-required]
    raise RefusedError(problem) from error
