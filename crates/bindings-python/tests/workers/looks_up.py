"""Shows that no answer and no error imports anything: a fork in the middle of an import would hang its child."""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from leasehold import Engine, LeaseholdError

tenant = Engine.from_definitions(
    {
        "features": {
            "theme": {"kind": "value", "type": "string", "default": "plain", "name": "T", "name2": "T", "group": "g"}
        },
        "tenants": {
            "t1": {"name": "T", "name2": "T", "region": "R", "anchor": "2026-01-01T00:00:00Z"},
        },
    }
).tenant("t1")
really_import, imported = builtins.__import__, list[str]()


def noting(name: str, *more: Any, **others: Any) -> Any:
    imported.append(name)
    return really_import(name, *more, **others)


def ask(question: Callable[[], object]) -> None:
    with contextlib.suppress(LeaseholdError):
        question()


builtins.__import__ = noting
ask(tenant.entitlements)
ask(lambda: tenant.explain("theme"))
ask(lambda: tenant.is_enabled("nothing"))
ask(lambda: tenant.what_if({"add_ons": []}))
ask(lambda: tenant.is_enabled(1))  # type: ignore[arg-type]
builtins.__import__ = really_import
sys.exit(f"imported: {imported}" if imported else 0)
