"""What is answered to those who may not: RFC 9457 problem documents with stable codes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypedDict

from .answers import Blocker, Decision, LimitAnswer
from .errors import ArgumentError, ClosedError, LeaseholdError, QuestionError, TransitionError

MEDIA_TYPE = "application/problem+json"


class _Said(TypedDict):
    type: str
    """`urn:leasehold:problem:` and the code."""
    title: str
    """The status in words."""
    status: int
    code: str
    """What programs go by, beside `reason`."""
    detail: str
    """For people."""


# `from` is a word of Python's, which a class cannot have as a member.
_Ends = TypedDict("_Ends", {"from": str, "to": str}, total=False)


class Problem(_Said, _Ends, total=False):
    """A problem document."""

    reason: str
    """Why the feature is off, or the limit reached."""
    feature: str
    block: str
    """The kind of the strictest block, where the tenant's access is what is too low."""
    limit: dict[str, Any]
    """All that the engine answered about the limit."""
    workflow: str
    blockers: list[dict[str, Any]]
    """All that stands against a transition."""
    revision: int
    """The revision that decided."""


class RefusedError(LeaseholdError):
    """Somebody may not: `problem` is what they are answered.

    `code` is one of `tenant_required` (400); `unknown_tenant`, `feature_off`, `limit_reached` (403); `guard_failed`
    (403 where every way lacks a role, else 409), `illegal_transition` (409), `inactive_template` (403), `unknown_stage`
    (400); `unknown_feature`, `wrong_kind` and `unknown_workflow` (403) for what the revision in force does not have;
    `amount_out_of_range` and `invalid_argument` (400) for what a request asks for and cannot mean; `closed` (503) where
    the engine answers no more.
    """

    problem: Problem

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["code"], problem["detail"])
        self.problem = problem


def _problem(status: int, code: str, detail: str) -> Problem:
    return {
        "type": f"urn:leasehold:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }


def tenant_required() -> Problem:
    return _problem(
        400,
        "tenant_required",
        "nothing says which tenant this is for: send the header `x-tenant-id`, or what else this service goes by",
    )


_REASONS = {
    "stale": "what is known of it is out of date",
    "killed": "it is off for everybody at the moment",
    "blocked": "the access of the tenant is too low",
    "revoked": "it was taken from this tenant",
    "not_granted": "nothing that the tenant has includes it",
    "switched_off": "it is switched off for this tenant",
    "prerequisite": "a feature that it requires is off",
    "preference": "the tenant has switched it off",
}


def feature_off(feature: str, said: Decision | LimitAnswer) -> Problem:
    problem = _problem(403, "feature_off", f"`{feature}` is off: {_REASONS.get(said.reason, said.reason)}")
    problem["feature"] = feature
    problem["reason"] = said.reason
    if said.block is not None:
        problem["block"] = said.block
    problem["revision"] = said.revision
    return problem


def limit_reached(feature: str, used: int, requested: int, answer: LimitAnswer) -> Problem:
    if answer.reason == "limit_reached":
        detail = f"`{feature}` allows {answer.limit}: in use are {used}, asked for is {requested} more"
        problem = _problem(403, "limit_reached", detail)
        problem["feature"] = feature
        problem["reason"] = answer.reason
        problem["revision"] = answer.revision
    else:
        problem = feature_off(feature, answer)
    problem["limit"] = answer.to_dict()
    return problem


def refused(error: LeaseholdError) -> Problem | None:
    """What an error says to whoever made the request; None where it is none of their business."""
    if isinstance(error, ClosedError):
        return _problem(503, error.code, "nothing is decided here at the moment: try again later")
    if not isinstance(error, (QuestionError, ArgumentError)):
        return None
    problem = _problem(_status(error), error.code, str(error))
    if isinstance(error, TransitionError):
        problem["blockers"] = [blocker.to_dict() for blocker in error.blockers]
    return problem


def _status(error: LeaseholdError) -> int:
    if isinstance(error, TransitionError):
        return 403 if _lacks_roles(error.blockers) else 409
    if error.code == "illegal_transition":
        return 409
    return 400 if error.code in ("invalid_argument", "amount_out_of_range", "unknown_stage") else 403


def _lacks_roles(blockers: tuple[Blocker, ...]) -> bool:
    """Whether every transition lacks a role: the item could move, with somebody else."""
    lacking = {blocker.transition for blocker in blockers if blocker.code == "role_required"}
    return all(blocker.transition in lacking for blocker in blockers)
