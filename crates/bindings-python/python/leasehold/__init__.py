"""Leasehold for Python: what each of your tenants may do, decided in process.

from leasehold import Engine

engine = Engine.follow(url="https://hq.example", token=token, trust=trust, engine_id="orders-1", keep="./kept")
if engine.tenant("om-muscat-sparkle").is_enabled("pdf_invoices"):
    ...
"""

from __future__ import annotations

from ._native import Machine, Snapshot, Tenant
from .engine import Engine
from .errors import (
    AmountOutOfRangeError,
    ArgumentError,
    ClosedError,
    DefinitionsError,
    IllegalTransitionError,
    InactiveTemplateError,
    InternalError,
    LeaseholdError,
    OptionsError,
    QuestionError,
    SnapshotError,
    TimedOutError,
    TransitionError,
    UnknownFeatureError,
    UnknownStageError,
    UnknownTenantError,
    UnknownWorkflowError,
    WrongKindError,
)
from .follow.http import Hearing, HttpSource
from .follow.source import Content, Source
from .inputs import Change, Definitions, Inputs, Instant, LoggedMove, SourceFile, Trust

__version__ = "0.1.0"

__all__ = [
    "AmountOutOfRangeError",
    "ArgumentError",
    "Change",
    "ClosedError",
    "Content",
    "Definitions",
    "DefinitionsError",
    "Engine",
    "Hearing",
    "HttpSource",
    "IllegalTransitionError",
    "InactiveTemplateError",
    "Inputs",
    "Instant",
    "InternalError",
    "LeaseholdError",
    "LoggedMove",
    "Machine",
    "OptionsError",
    "QuestionError",
    "Snapshot",
    "SnapshotError",
    "Source",
    "SourceFile",
    "Tenant",
    "TimedOutError",
    "TransitionError",
    "Trust",
    "UnknownFeatureError",
    "UnknownStageError",
    "UnknownTenantError",
    "UnknownWorkflowError",
    "WrongKindError",
]
