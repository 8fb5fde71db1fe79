"""The native part: conversion and error mapping around the engine."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, SupportsIndex, final

from typing_extensions import Self

from .answers import (
    Action as ActionWord,
)
from .answers import (
    Allowed,
    AnswerTable,
    CertificateSays,
    Changes,
    CoveringPaths,
    Decision,
    Diagnostic,
    Difference,
    Entitlements,
    Evaluation,
    Evaluations,
    Explanation,
    FleetDiff,
    Freshness,
    HeadSays,
    Health,
    Json,
    LimitAnswer,
    MachineAbout,
    MergeSays,
    MoveExplanation,
    PlaceSays,
    Replay,
    SliceSays,
    SnapshotAbout,
    TransitionAnswer,
    Upgrade,
    VersionComparison,
    WhatIf,
)
from .inputs import Change, Definitions, Inputs, Instant, LoggedMove, Side, Trust

@final
class Snapshot:
    """A compiled snapshot: everything that an engine needs, of one revision."""

    @staticmethod
    def from_pack(pack: bytes, trust: Trust, *, stream: str | None = None) -> Snapshot:
        """The snapshot of a pack, verified.

        Raises SnapshotError for whatever is wrong with the pack.
        """
    @staticmethod
    def from_definitions(
        definitions: Definitions,
        *,
        revision: int | None = None,
        issued_at: Instant | None = None,
        expires_at: Instant | None = None,
    ) -> Snapshot:
        """The snapshot of definitions as people write them: one document, or files as `(name, content)`.

        Raises DefinitionsError with all mistakes in them.
        """
    @property
    def about(self) -> SnapshotAbout:
        """What it is: revision, when it was signed, and which features it has."""
    @property
    def revision(self) -> int:
        """Which revision it is."""
    def tenant_ids(self) -> list[str]:
        """The ids of all tenants."""
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is most likely not meant in the definitions that it was compiled from."""
    def freshness(self, now: Instant | None = None) -> Freshness:
        """How sure it is that it is the newest: `fresh`, `stale` or `fallback`."""
    def diff(self, older: Snapshot, now: Instant | None = None) -> FleetDiff:
        """What it changes over an older one, for a whole fleet, in numbers and examples."""
    def changes(self, older: Snapshot, now: Instant | None = None) -> Changes:
        """Which tenants have other answers than in an older one, and to which features."""
    def diff_tenants(self, tenant: str, other: str, now: Instant | None = None) -> Difference:
        """What a tenant would have more, less or otherwise if it were the other one."""
    def compare_versions(self, workflow: str, from_version: int, to_version: int) -> VersionComparison:
        """How two versions of a workflow differ."""
    def upgrade(self, tenant: str, workflow: str, to_version: int, side: Side) -> Upgrade:
        """What a tenant lays over a workflow, carried over to another version by three-way merge.

        `side` is whose word counts in every conflict.
        """
    def replay(self, workflow: str, version: int, log: Sequence[LoggedMove]) -> Replay:
        """Moves of the past, tried again with a version of a workflow."""
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

class Engine:
    """Answers questions from the newest snapshot."""

    def __new__(cls, snapshot: Snapshot) -> Self: ...
    def tenant(self, id: str) -> Tenant:
        """A handle on one tenant. Hold one where a tenant is asked about often.

        Raises UnknownTenantError.
        """
    def is_enabled(
        self, tenant: str, feature: str, now: Instant | None = None, *, action: ActionWord | None = None
    ) -> bool:
        """Whether a switch is on for a tenant.

        Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
        """
    def is_enabled_or(self, tenant: str, feature: str, default: bool, now: Instant | None = None) -> bool:
        """Whether a switch is on for a tenant, or what else is to hold where that cannot be said.

        That is: the engine is closed, or knows no such tenant or switch. A mistake in the call is raised still.
        """
    def is_enabled_many(
        self, tenants: Iterable[str], features: Iterable[str], now: Instant | None = None
    ) -> list[list[bool]]:
        """Whether switches are on for many tenants, all of one revision.

        A row for each tenant, with an answer for each feature. Other threads run meanwhile.

        Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
        """
    def snapshot(self) -> Snapshot:
        """What answers."""
    @property
    def closed(self) -> bool:
        """Whether it is closed."""
    def _replace(self, snapshot: Snapshot) -> Snapshot: ...
    def _close(self) -> None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Tenant:
    """One tenant, wherever it stands in the newest snapshot. Hold one where a tenant is asked about often."""

    @property
    def id(self) -> str:
        """Its id."""
    def is_enabled(self, feature: str, now: Instant | None = None, *, action: ActionWord | None = None) -> bool:
        """Whether a switch is on.

        Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
        """
    def is_enabled_or(self, feature: str, default: bool, now: Instant | None = None) -> bool:
        """Whether a switch is on, or what else is to hold where that cannot be said.

        A mistake in the call is raised still.
        """
    def decide(self, feature: str, now: Instant | None = None, *, action: ActionWord | None = None) -> Decision:
        """A yes or a no about a feature of any kind, with its reason."""
    def value(self, feature: str, now: Instant | None = None) -> Json:
        """The value of a value feature; None when it is off."""
    def check_limit(self, feature: str, used: int, requested: int, now: Instant | None = None) -> LimitAnswer:
        """What a limit says to a request of so many more, when so many are in use already.

        Both are integers from 0 to 2^53 − 1.
        """
    def entitlements(self, now: Instant | None = None) -> Entitlements:
        """Everything that the tenant may have."""
    def answer_table(self, now: Instant | None = None, *, action: ActionWord | None = None) -> AnswerTable:
        """The answers to all switches, and how long they hold."""
    def explain(self, feature: str, now: Instant | None = None, *, action: ActionWord | None = None) -> Explanation:
        """Why an answer is what it is: every contribution, applied or beaten and by what."""
    def what_if(self, change: Change, usage: Mapping[str, int] | None = None, now: Instant | None = None) -> WhatIf:
        """What would change on another plan, with other add-ons, without an override."""
    def diff(self, other: Tenant | str, now: Instant | None = None) -> Difference:
        """What the tenant would have more, less or otherwise if it were the other one."""
    def evaluate(self, feature: str, now: Instant | None = None) -> Evaluation:
        """A feature as a flag of OpenFeature's."""
    def evaluate_all(self, now: Instant | None = None) -> Evaluations:
        """All features as flags of OpenFeature's, and how long they hold."""
    def machine(self, workflow: str, category: str | None = None) -> Machine:
        """The tenant's machine of a workflow, for a service category or without one."""
    def transitions(
        self,
        workflow: str,
        stage: str,
        *,
        inputs: Inputs | None = None,
        roles: Iterable[str] | None = None,
        category: str | None = None,
    ) -> tuple[TransitionAnswer, ...]:
        """What an item of a workflow may do at a stage."""
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
        """Whether an item may move from one stage to another, and by which transition; see Machine.check."""
    def _empty(self, feature: str, now: Instant | None = None, *, action: ActionWord | None = None) -> bool: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Machine:
    """A tenant's machine of a workflow, as it was when it was asked for."""

    @property
    def about(self) -> MachineAbout:
        """What it is made of: workflow, version, stages, and the inputs of its guards."""
    def transitions(
        self, stage: str, *, inputs: Inputs | None = None, roles: Iterable[str] | None = None
    ) -> tuple[TransitionAnswer, ...]:
        """What may be done at a stage: every transition of the machine, with all that blocks it."""
    def check(
        self, from_stage: str, to_stage: str, *, inputs: Inputs | None = None, roles: Iterable[str] | None = None
    ) -> Allowed:
        """Whether an item may move from one stage to another, and by which transition.

        Raises TransitionError with all that stands against it; IllegalTransitionError, UnknownStageError.
        """
    def explain(
        self, from_stage: str, to_stage: str, *, inputs: Inputs | None = None, roles: Iterable[str] | None = None
    ) -> MoveExplanation:
        """Why a move is what it is."""
    def covering_paths(self) -> CoveringPaths:
        """Paths that take every transition, with inputs that open them."""
    def picture(
        self,
        form: Literal["mermaid", "dot", "svg"],
        *,
        language: Literal["en", "ar"] | None = None,
        current: str | None = None,
        against: Machine | None = None,
    ) -> str:
        """A picture of it, or of what it changes over an older machine."""
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Action:
    """What is to be done: `kind` is the name of the core's action in snake case, and says what else is there."""

    @property
    def kind(self) -> str: ...
    @property
    def hash(self) -> str | None: ...
    @property
    def length(self) -> int: ...
    @property
    def ms(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def document(self) -> bytes | None: ...
    @property
    def contents(self) -> list[tuple[str, Literal["raw", "zstd"], bytes]]: ...
    @property
    def obsolete(self) -> list[str]: ...
    @property
    def report(self) -> str | None: ...

@final
class Follower:
    """The state machine of following."""

    def __new__(
        cls,
        trust: Trust,
        *,
        stream: str | None = None,
        engine: str | None = None,
        tenant: str | None = None,
        poll_ms: int | None = None,
        backoff_min_ms: int | None = None,
        backoff_max_ms: int | None = None,
        report_ms: int | None = None,
    ) -> Self: ...
    @property
    def stream(self) -> str: ...
    def handle(
        self,
        kind: str,
        now: Instant,
        random: int,
        *,
        number: int | None = None,
        document: bytes | None = None,
        hash: str | None = None,
        encoding: str | None = None,
        why: str | None = None,
    ) -> list[Action]: ...
    def restore(
        self, head: bytes | None, seen: bytes | None, contents: Sequence[tuple[str, str, bytes]], now: Instant
    ) -> list[Action]: ...
    def open(self, pack: bytes, now: Instant) -> list[Action]: ...
    def is_free(self) -> bool: ...
    def waits_for(self, hash: str) -> bool: ...
    def contents(self) -> list[str]: ...
    def snapshot(self) -> Snapshot | None: ...
    def health(self, now: Instant | None = None) -> Health: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

def check_canonical(document: bytes) -> None:
    """Fails where a document is not JSON in its canonical form.

    Raises SnapshotError.
    """

def canonical_form(value: Any) -> str:
    """JSON in its canonical form, of which hashes are taken."""

def hash_of(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""

def place_of(tenant: str) -> PlaceSays:
    """Where a tenant lies in the tree of its stream."""

def key_id(key: str) -> str:
    """The id of a public key, which is 64 hexadecimal digits."""

def hash_of_definitions(definitions: Mapping[str, Any]) -> str:
    """The hash of definitions, which are one document.

    Raises DefinitionsError.
    """

def is_staged(engine_id: str, candidate: str, share_permille: int) -> bool:
    """Whether an engine is in the share of a candidate.

    That is the hash of its definitions, and how many of a thousand try it.
    """

def verify_certificate(document: bytes, trust: Trust) -> CertificateSays:
    """What a certificate says, verified by a root key.

    Raises SnapshotError for whatever is wrong with it.
    """

def verify_head(document: bytes, trust: Trust, seen: bytes | None = None) -> HeadSays:
    """What a head says, verified; and admitted behind the highest that was seen, where that is given.

    Raises SnapshotError for whatever is wrong with it.
    """

def verify_slice(document: bytes, tenant: str, trust: Trust) -> SliceSays:
    """What the slice of a tenant says, verified.

    Raises SnapshotError for whatever is wrong with it.
    """

def open_chunk(hash: str, length: int, encoding: str, content: bytes) -> bytes:
    """A content as it is, verified to be the one that is named.

    Raises SnapshotError for whatever is wrong with it.
    """

def merge(base: Json, ours: Json, theirs: Json) -> MergeSays:
    """A three-way merge of JSON: two changed documents over the one that both began with."""

def open_feature_error(code: str) -> str:
    """What an error of questions is to OpenFeature."""
