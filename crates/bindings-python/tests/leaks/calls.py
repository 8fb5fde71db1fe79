"""A million calls of all sorts, engines that come and go, snapshots that are swapped.

Says on standard output how much memory is held after each part, once what fills up once has filled up.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from conformance.vectors import engine_of
from leasehold import Engine, LeaseholdError

NOW = 1_773_144_000_000
AT = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
CALLS = 1_000_000
ENGINES = 1_000
SWAPS = 2_000
PARTS = 20
"""Of the work: what the first ones fill, such as caches, fills up once."""
WARM = 8
TURNS = 10
"""Of a part, after each of which rubbish is collected."""


def definitions(is_on: bool) -> dict[str, Any]:
    labels = {"name": "N", "name2": "ن"}
    return {
        "features": {"light": {"kind": "switch", "group": "module", "default": is_on, **labels}},
        "tenants": {"t": {**labels, "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z"}},
    }


snapshots = [Engine.from_definitions(definitions(is_on)).snapshot() for is_on in (True, False)]
swapped = Engine(snapshots[0])
told: list[str] = []
swapped.on_change(lambda changes: told.append(changes.groups[0].features[0]))
shop = engine_of("shop")
tenant = shop.tenant("t1")
guarded = engine_of("guards").tenant("t")
machine = guarded.machine("guards")
fits: dict[str, Any] = {"n": 5}
fits_not: dict[str, Any] = {"n": 4, "s": "x" * 100}


def refused(ask: Callable[[], object]) -> None:
    try:
        ask()
    except LeaseholdError:
        return
    raise AssertionError("it was to be refused")


def raised(ask: Callable[[], object]) -> None:
    try:
        ask()
    except ZeroDivisionError:
        return
    raise AssertionError("it was to be raised")


def breaks() -> Any:
    yield "t1"
    yield 1 / 0


asks: list[tuple[int, Callable[[], object]]] = [
    (400, lambda: tenant.is_enabled("orders", NOW)),
    (100, lambda: tenant.is_enabled("orders", AT, action="read")),
    (100, lambda: shop.is_enabled("t1", "orders", NOW)),
    (50, lambda: tenant.is_enabled_or("nothing", True)),
    (20, lambda: shop.is_enabled_many(["t1", "t2"], ["orders", "labs"], NOW)),
    (70, lambda: tenant.check_limit("max_users", 1, 1, NOW)),
    (30, lambda: tenant.decide("orders", AT).reason),
    (20, lambda: tenant.value("theme", NOW)),
    (10, lambda: repr(tenant.explain("orders", NOW).contributions)),
    (10, lambda: tenant.entitlements(NOW).to_dict()),
    (5, lambda: tenant.evaluate_all(NOW)._repr_html_()),
    (5, lambda: tenant.answer_table(NOW).until),
    (2, lambda: tenant.what_if({"plan": "growth"}, {"max_users": 5}, NOW)),
    (2, lambda: tenant.diff(shop.tenant("t2"), NOW)),
    (1, lambda: shop.snapshot().about.features),
    (50, lambda: machine.check("start", "integer_equal", inputs=fits)),
    (20, lambda: guarded.check_transition("guards", "start", "integer_equal", inputs=fits, roles=("a", "b"))),
    (15, lambda: refused(lambda: machine.check("start", "integer_equal", inputs=fits_not))),
    (5, lambda: machine.transitions("start", inputs=fits)),
    (5, lambda: refused(lambda: tenant.machine("none"))),
    (25, lambda: refused(lambda: tenant.is_enabled("no_such_feature", NOW))),
    (15, lambda: refused(lambda: shop.tenant("nobody"))),
    (10, lambda: refused(lambda: tenant.check_limit("max_users", -1, 1, NOW))),
    (10, lambda: refused(lambda: tenant.is_enabled("orders", datetime(2026, 3, 10)))),
    (5, lambda: refused(lambda: tenant.is_enabled(["orders"]))),  # type: ignore[arg-type]
    (5, lambda: raised(lambda: shop.is_enabled_many(breaks(), ["orders"]))),
    (5, lambda: refused(lambda: Engine.from_pack(bytes(64), "{}"))),
    (4, lambda: refused(lambda: Engine.from_definitions({"features": {"a": 1}}))),
    (1, lambda: refused(lambda: shop.__reduce_ex__(4))),
]
assert sum(share for share, _ in asks) == 1_000


def calls(many: int) -> None:
    for _ in range(many // 1_000):
        for share, ask in asks:
            for _ in range(share):
                ask()


def engines(many: int) -> None:
    for at in range(many):
        engine = Engine.from_definitions(definitions(True)) if at % 2 == 0 else engine_of("shop")
        feature = "light" if at % 2 == 0 else "orders"
        handle = engine.tenant(engine.snapshot().tenant_ids()[0])
        handle.decide(feature, NOW)
        # Who holds an engine that holds it in turn.
        engine.on_change(lambda changes, engine=engine: engine.closed)  # type: ignore[misc]
        if at % 3 == 0:
            engine.close()
            refused(lambda handle=handle: handle.decide("light"))  # type: ignore[misc]


def swaps(many: int) -> None:
    for at in range(many):
        swapped.swap(Engine.from_definitions(definitions(True)).snapshot() if at % 3 == 0 else snapshots[at % 2])
        swapped.tenant("t").is_enabled("light", NOW)
    assert told
    told.clear()


def held() -> dict[str, int]:
    """What is held: memory in bytes, and objects of Python's."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
    }


def main() -> None:
    refused(lambda: Engine.from_definitions([("a", "{")]))
    seen: list[dict[str, int]] = []
    for part in range(1, PARTS + 1):
        for _ in range(TURNS):
            calls(CALLS // PARTS // TURNS)
            engines(ENGINES // PARTS // TURNS)
            swaps(SWAPS // PARTS // TURNS)
            gc.collect()
        if part >= WARM:
            seen.append(held())
    print(json.dumps(seen))


main()
