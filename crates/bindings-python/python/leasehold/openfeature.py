"""Features as flags of OpenFeature's, answered in process.

from leasehold import Engine
from leasehold.openfeature import LeaseholdProvider
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

api.set_provider_and_wait(LeaseholdProvider(lambda: Engine.follow(url=url, token=token, trust=trust)))
context = EvaluationContext("om-muscat-sparkle")
is_open = api.get_client().get_boolean_value("pdf_invoices", False, context)
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar
from weakref import WeakSet

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext  # pyright: ignore[reportMissingTypeStubs]
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import (  # pyright: ignore[reportMissingTypeStubs]
    AbstractProvider,
    FeatureProvider,
    Metadata,
    ProviderStatus,
)

from ._native import open_feature_error
from .answers import Changes
from .engine import Engine
from .errors import ArgumentError, ClosedError, DefinitionsError, LeaseholdError, OptionsError, SnapshotError

__all__ = ["EngineSource", "FlagOptions", "LeaseholdProvider", "TenantOf"]

EngineSource: TypeAlias = Engine | Callable[[], Engine]
"""An engine, or what makes one."""

TenantOf: TypeAlias = Callable[[EvaluationContext], object]
"""Says which tenant a context is about: its id; None or an empty text where it names none."""


class FlagOptions(TypedDict, total=False):
    """What is said of a flag that its feature does not say."""

    variants: Mapping[str, object]
    """Names of values: an answer that is on, and equal to one of them, has its name as the variant instead of `on`."""
    metadata: Mapping[str, str | int | float | bool]
    """Metadata beside Leasehold's own: flat, with other names."""


_Type: TypeAlias = Literal["boolean", "string", "integer", "float", "object"]
_Object: TypeAlias = Sequence[FlagValueType] | Mapping[str, FlagValueType]
_V = TypeVar("_V")

_LONGEST_WAIT_S = 2**31 / 1000
"""Longest wait of a timer."""
_UNTIL_READY_S = 0.02
"""Until it is asked again whether the SDK has said that the provider is ready."""


class LeaseholdProvider(AbstractProvider):
    """A provider for OpenFeature's SDK. One that was given a function made its engine, and closes it.

    - `source`: an engine, or a function that makes one.
    - `tenant_of`: which tenant a context is about. Without it: its attribute `tenant_org_id` where that is there, else
      its targeting key.
    - `flags`: names of values, and metadata, by the keys of flags: what OpenFeature knows of flags, and features do not
      say.

    Questions are answered from memory, in coroutines as well: none waits.
    """

    def __init__(
        self,
        source: EngineSource,
        *,
        tenant_of: TenantOf | None = None,
        flags: Mapping[str, FlagOptions] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(source, Engine) and not callable(source):
            raise ArgumentError("a provider takes an `Engine`, or a function that makes one")
        if tenant_of is not None and not callable(tenant_of):
            raise ArgumentError(f"`tenant_of` is a callable, not of type `{type(tenant_of).__name__}`")
        self._source = source
        self._tenant_of = _tenant_of if tenant_of is None else tenant_of
        self._flags = _flags({} if flags is None else flags)
        self._lock = threading.Lock()
        self._opened = 0
        self._session: _Session | None = None
        self._attached = False
        _providers.add(self)

    def attach(self, on_emit: Callable[[FeatureProvider, ProviderEvent, ProviderEventDetails], None]) -> None:
        """Called by the SDK, before it wants events."""
        super().attach(on_emit)
        self._attached = True

    def detach(self) -> None:
        """Called by the SDK, when it wants no more events."""
        self._attached = False
        super().detach()

    def get_metadata(self) -> Metadata:
        return Metadata(name="leasehold")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Called by the SDK. What no second try would mend is fatal to it."""
        with self._lock:
            if self._session is not None:
                return
            opened = self._opened
        try:
            session = _Session(self, self._source)
        except (ArgumentError, OptionsError, DefinitionsError) as error:
            raise ProviderFatalError(str(error)) from error
        except SnapshotError as error:
            if error.item == "trust":
                raise ProviderFatalError(str(error)) from error
            raise
        with self._lock:
            is_wanted = self._opened == opened and self._session is None
            if is_wanted:
                self._session = session
        if not is_wanted:
            session.close()
            raise ProviderNotReadyError("the provider was closed, or opened, while its engine was made")
        session.look()

    def shutdown(self) -> None:
        """Called by the SDK. An engine that was handed in stays open: it belongs to whoever made it."""
        with self._lock:
            self._opened += 1
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, evaluation_context, "boolean")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, evaluation_context, "string")

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolve(flag_key, default_value, evaluation_context, "integer")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._resolve(flag_key, default_value, evaluation_context, "float")

    def resolve_object_details(
        self, flag_key: str, default_value: _Object, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Object]:
        return self._resolve(flag_key, default_value, evaluation_context, "object")

    def _resolve(
        self, flag_key: str, default_value: _V, context: EvaluationContext | None, wanted: _Type
    ) -> FlagResolutionDetails[_V]:
        """Errors are answers as well: none is raised, which would cost a trace of the stack."""
        session = self._session
        if session is None:
            code = ErrorCode.PROVIDER_NOT_READY
            return _failed(default_value, code, "the provider has no engine: wait until it is ready")
        try:
            tenant = self._tenant_of(EvaluationContext() if context is None else context)
            if tenant is None or tenant == "":
                message = "name the tenant: as the targeting key or the attribute `tenant_org_id` of the context"
                return _failed(default_value, ErrorCode.TARGETING_KEY_MISSING, message)
            if not isinstance(tenant, str):
                message = f"the id of a tenant is a str, not of type `{type(tenant).__name__}`"
                return _failed(default_value, ErrorCode.INVALID_CONTEXT, message)
            try:
                handle = session.engine.tenant(tenant)
            except ArgumentError as error:
                # What cannot be an id is as good as one that nobody has.
                return _failed(default_value, ErrorCode.INVALID_CONTEXT, str(error))
            evaluation = handle.evaluate(flag_key)
            metadata: dict[str, Any] = dict(evaluation.metadata._said)
            session.saw(metadata["freshness"] == "stale")
            said = self._flags.get(flag_key, {})
            metadata = {**said.get("metadata", {}), **metadata}
            variant: str = evaluation.variant
            # A value feature that is off has no value.
            is_none = metadata["kind"] == "value" and variant == "off"
            value: Any = evaluation.value
            own = _type_of(value)
            found: Any = value
            if wanted == "float" and (own == "integer" or (own == "string" and (_is_decimal(value) or is_none))):
                found, own = float(value or 0), "float"
            # What it may be when it is on, a default that is null does not tell.
            if own != wanted and not (is_none and value is None):
                message = f"`{flag_key}` is of type {own}, and was asked for as {wanted}"
                return _failed(default_value, ErrorCode.TYPE_MISMATCH, message, metadata)
            if is_none:
                found = default_value
            elif variant == "on":
                variants = said.get("variants", {})
                variant = _name_of(found, variants) or _name_of(value, variants) or variant
            return FlagResolutionDetails(
                value=found, variant=variant, reason=Reason(evaluation.reason), flag_metadata=metadata
            )
        except Exception as error:
            if isinstance(error, ClosedError):
                session.failed(error)
            code = ErrorCode(open_feature_error(error.code)) if isinstance(error, LeaseholdError) else ErrorCode.GENERAL
            return _failed(default_value, code, str(error) or type(error).__name__)

    def _forked(self) -> None:
        self._lock = threading.Lock()
        if self._session is not None:
            self._session.forked()


def _tenant_of(context: EvaluationContext) -> object:
    """The tenant that HQ takes for a context as well, when it is asked by OFREP."""
    named = context.attributes.get("tenant_org_id")
    return context.targeting_key if named is None else named


_OWN_METADATA = frozenset(("kind", "reason", "source", "block", "revision", "freshness", "definitions"))
"""What the engine says of every answer."""


def _flags(given: Mapping[str, FlagOptions]) -> dict[str, FlagOptions]:
    """What is said of flags, as it is now: whoever made it may change it."""
    said: dict[str, FlagOptions] = {}
    for key, options in _mapping("flags", given).items():
        at = f"flags[{key!r}]"
        unknown = next((name for name in _mapping(at, options) if name not in ("variants", "metadata")), None)
        if unknown is not None:
            raise ArgumentError(f"`{at}` has no `{unknown}`; it has variants, metadata")
        variants: dict[str, object] = {}
        for name, value in _mapping(f"{at}['variants']", options.get("variants", {})).items():
            try:
                value = _json(f"{at}['variants'][{name!r}]", value)
            except RecursionError as error:
                raise ArgumentError(f"`{at}['variants'][{name!r}]` goes too deep, or holds itself") from error
            other = _name_of(value, variants)
            if other is not None:
                raise ArgumentError(f"`{at}['variants']` has two names for one value: `{other}` and `{name}`")
            variants[name] = value
        metadata = dict(_mapping(f"{at}['metadata']", options.get("metadata", {})))
        for name, value in metadata.items():
            if name in _OWN_METADATA:
                raise ArgumentError(f"`{at}['metadata'][{name!r}]` is said by the engine: choose another name")
            if not isinstance(value, (str, int)) and not (isinstance(value, float) and math.isfinite(value)):
                kind = type(value).__name__
                raise ArgumentError(f"`{at}['metadata'][{name!r}]` is a str, a finite number or a bool, not a {kind}")
        said[key] = {"variants": variants, "metadata": metadata}
    return said


def _json(name: str, value: Any) -> object:
    """A copy of JSON."""
    if issubclass(type(value), Mapping):
        return {key: _json(name, inner) for key, inner in _mapping(name, value).items()}
    if issubclass(type(value), (list, tuple)):
        return [_json(name, inner) for inner in value]
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ArgumentError(f"`{name}` is JSON, and holds something of type `{type(value).__name__}`")


def _name_of(value: object, variants: Mapping[str, object]) -> str | None:
    return next((name for name, named in variants.items() if _is_same(named, value)), None)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not issubclass(type(value), Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"`{name}` is a mapping with keys of type str, not of type `{type(value).__name__}`")
    mapping: Mapping[str, Any] = value
    return mapping


def _is_decimal(text: str) -> bool:
    """Whether a text is a decimal that a double keeps: up to 15 significant digits, and not too far down."""
    is_one = len(text) <= 300 and re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text) is not None
    return is_one and len(text.lstrip("-0.").replace(".", "")) <= 15


def _is_same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON. True is 1 to Python, and not to JSON."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key]) for key in a)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))  # pyright: ignore[reportUnknownArgumentType]
    return bool(a == b)


def _type_of(value: object) -> str:
    # A bool is an int to Python, and not to OpenFeature.
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "float"
    # The SDK takes null for nothing.
    return "null" if value is None else "object"


def _failed(
    value: _V, code: ErrorCode, message: str, metadata: Mapping[str, Any] | None = None
) -> FlagResolutionDetails[_V]:
    return FlagResolutionDetails(
        value=value, reason=Reason.ERROR, error_code=code, error_message=message, flag_metadata=metadata or {}
    )


class _Session:
    """An engine for as long as a provider uses it, and what is told of it."""

    def __init__(self, provider: LeaseholdProvider, source: EngineSource) -> None:
        self._made = not isinstance(source, Engine)
        engine = source if isinstance(source, Engine) else source()
        if not isinstance(engine, Engine):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(
                f"the provider was to have an `Engine`, and got something of type `{type(engine).__name__}`"
            )
        engine._open()
        self.engine = engine
        self._provider = provider
        self._status = _Status(provider)
        self._timer: threading.Timer | None = None
        self._stale = False
        self._ended = False
        # Held while something is told: what is told last is what holds. A handler may ask about flags meanwhile.
        self._lock = threading.RLock()
        self._unsubscribe = engine.on_change(self._changed)

    def close(self) -> None:
        with self._lock:
            self._end()
        self._unsubscribe()
        if self._made:
            self.engine.close()

    def saw(self, stale: bool) -> None:
        """Takes note of how fresh an answer was."""
        if stale != self._stale:
            self.look()

    def failed(self, error: ClosedError) -> None:
        """Tells of it once: an engine that was closed does not open again."""
        with self._lock:
            if not self._ended:
                self._end()
                self._provider.emit_provider_error(
                    ProviderEventDetails(message=str(error), error_code=ErrorCode.GENERAL)
                )

    def forked(self) -> None:
        """In a child process, where no timer runs and nobody gives back a lock."""
        self._lock = threading.RLock()
        if self._timer is not None:
            self._wait(_UNTIL_READY_S)

    def look(self) -> None:
        """Tells of freshness where it is another one than before, and looks again when that may be."""
        with self._lock:
            if self._ended:
                return
            try:
                snapshot = self.engine.snapshot()
            except ClosedError as error:
                self.failed(error)
                return
            is_stale = snapshot.freshness() == "stale"
            if is_stale != self._stale:
                if self._provider._attached and self._status.get_provider_status() == ProviderStatus.NOT_READY:
                    # Whoever is told that it is ready is told after that that it is stale.
                    self._wait(_UNTIL_READY_S)
                    return
                self._stale = is_stale
                metadata: dict[str, bool | str | int | float] = {"revision": snapshot.revision}
                if is_stale:
                    message = "the head of the snapshot has expired"
                    self._provider.emit_provider_stale(ProviderEventDetails(message=message, metadata=metadata))
                else:
                    message = "the snapshot is fresh again"
                    self._provider.emit_provider_ready(ProviderEventDetails(message=message, metadata=metadata))
            ends = snapshot.about.expires_at
            if not is_stale and ends is not None:
                self._wait(ends.timestamp() - time.time())

    def _changed(self, changes: Changes) -> None:
        flags = {feature for group in changes.groups for feature in group.features}
        # Where tenants came or went, all flags of theirs are others.
        named = None if changes.added or changes.removed else sorted(flags)
        with self._lock:
            if self._ended:
                return
            details = ProviderEventDetails(flags_changed=named, metadata={"revision": changes.revision.to})
            self._provider.emit_provider_configuration_changed(details)
            self.look()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = threading.Timer(min(max(seconds, 0.001), _LONGEST_WAIT_S), self.look)
        self._timer.name = "leasehold-openfeature"
        # What is told in time is of no use to a program that ends.
        self._timer.daemon = True
        self._timer.start()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._ended = True
        self._stop_waiting()


class _Status(OpenFeatureClient):
    """What the SDK makes of one provider, whichever domain it is set for."""

    def __init__(self, provider: FeatureProvider) -> None:
        super().__init__(None, None)
        self._own = provider

    @property
    def provider(self) -> FeatureProvider:
        return self._own


_providers: WeakSet[LeaseholdProvider] = WeakSet()


def _forked() -> None:
    for provider in tuple(_providers):
        provider._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
