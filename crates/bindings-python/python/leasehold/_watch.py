"""Decisions, told to whoever watches: the log, and OpenTelemetry where it is installed."""

# What is imported below is used only where `_watched` says that it is there.
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import logging
from functools import cached_property
from typing import Literal

try:
    from opentelemetry import metrics, trace

    _watched = True
except ImportError:
    _watched = False

Kind = Literal["feature", "limit", "transition", "tenant"]

_log = logging.getLogger("leasehold.decisions")


class Watch:
    """Logs and counts decisions, and notes them in the current span."""

    def __init__(self, *, tenant_in_metrics: bool = True) -> None:
        self._tenant_in_metrics = tenant_in_metrics

    def record(
        self,
        kind: Kind,
        outcome: str,
        reason: str,
        key: str | None = None,
        tenant: str | None = None,
        revision: int | None = None,
    ) -> None:
        """`key` is the feature or workflow; there is no tenant where that is what is unknown."""
        level = logging.INFO if outcome == "deny" else logging.DEBUG
        if _log.isEnabledFor(level):
            what = kind if key is None else f"{kind} `{key}`"
            whose = "" if tenant is None else f" for tenant `{tenant}`"
            which = "" if revision is None else f" (revision {revision})"
            _log.log(level, "%s%s: %s, %s%s", what, whose, outcome, reason, which)
        if not _watched:
            return
        whom: dict[str, str | int] = {} if tenant is None else {"leasehold.tenant": tenant}
        said: dict[str, str | int] = {
            "leasehold.kind": kind,
            "leasehold.outcome": outcome,
            "leasehold.reason": reason,
        }
        if key is not None:
            said["leasehold.workflow" if kind == "transition" else "leasehold.feature"] = key
        self._decisions.add(1, {**said, **(whom if self._tenant_in_metrics else {})})
        span = trace.get_current_span()
        if span.is_recording():
            when: dict[str, str | int] = {} if revision is None else {"leasehold.revision": revision}
            span.add_event("leasehold.decision", {**said, **whom, **when})

    def tag(self, tenant: str) -> None:
        """Says of the current span for whom it works."""
        if _watched:
            trace.get_current_span().set_attribute("leasehold.tenant", tenant)

    @cached_property
    def _decisions(self) -> metrics.Counter:
        return metrics.get_meter("leasehold").create_counter(
            "leasehold.decisions", description="Decisions about tenants"
        )
