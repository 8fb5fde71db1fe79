"""A program of a user's with mistakes, for type checkers: nobody runs it. They find each line that says so."""

# ruff: noqa: B015, B018

from __future__ import annotations

from datetime import date
from pathlib import Path

from leasehold import Change, Content, Engine, LoggedMove, Snapshot, Source, Tenant, UnknownTenantError, aio
from leasehold.answers import Changes, Decision

TRUST = "{}"
engine = Engine.from_pack(b"", TRUST)
tenant = engine.tenant("om-muscat-sparkle")
snapshot = engine.snapshot()
machine = tenant.machine("order")

# Beginnings.
Engine.from_pack("pack", TRUST)  # expect: error
Engine.from_pack(b"")  # expect: error
Engine.from_pack(b"", TRUST, "GCC-OM")  # expect: error
Engine.from_pack(Path("oman.pack"), TRUST)  # expect: error
Engine.from_definitions("{}")  # expect: error
Engine.from_definitions([("a.json", 1)])  # expect: error
Engine.from_definitions({}, revision="1")  # expect: error
Engine.from_directory(None, TRUST)  # expect: error
Engine.follow(TRUST)  # expect: error
Engine.follow(trust=TRUST, poll_ms="5")  # expect: error
Engine.follow(trust=TRUST, interval_ms=5)  # expect: error
Engine()  # expect: error
Engine(b"")  # expect: error

# Questions.
engine.tenant(5)  # expect: error
engine.is_enabled("om-muscat-sparkle")  # expect: error
engine.is_enabled_many(["a"], [1])  # expect: error
engine.is_enable("om-muscat-sparkle", "pdf_invoices")  # expect: error
tenant.is_enabled()  # expect: error
tenant.is_enabled(b"pdf_invoices")  # expect: error
tenant.is_enabled("pdf_invoices", "now")  # expect: error
tenant.is_enabled("pdf_invoices", date(2026, 3, 10))  # expect: error
tenant.is_enabled("pdf_invoices", None, "read")  # expect: error
tenant.is_enabled("pdf_invoices", action="write")  # expect: error
tenant.is_enabled_or("pdf_invoices")  # expect: error
tenant.check_limit("max_users", 3)  # expect: error
tenant.check_limit("max_users", 3.5, 1)  # expect: error
tenant.check_limit("max_users", "3", 1)  # expect: error
tenant.diff(snapshot)  # expect: error
tenant.what_if({"plans": "growth"})  # expect: error
tenant.id = "another"  # expect: error
change: Change = {"add_ons": [{"key": "extra_user"}]}  # expect: error

# Answers.
decision: Decision = tenant.decide("pdf_invoices")
decision.enabled = False  # expect: error
decision.enable  # expect: error
decision["enabled"]  # expect: error
decision.reason == "because"  # expect: error
switched: str = decision.enabled  # expect: error
remaining: int = tenant.check_limit("max_users", 3, 1).remaining  # expect: error
tenant.entitlements().limits["max_users"] = 5  # expect: error
tenant.entitlements().limits["max_users"] + 1  # expect: error
tenant.value("theme").upper()  # expect: error
engine.health().revision  # expect: error

# Workflows.
machine.check("ready")  # expect: error
machine.check("ready", "closed", {"paid": True})  # expect: error
machine.check("ready", "closed", inputs=[("paid", True)])  # expect: error
machine.check("ready", "closed", inputs={"paid": None})  # expect: error
machine.check("ready", "closed", roles=[1])  # expect: error
machine.picture("png")  # expect: error
machine.picture("svg", language="fr")  # expect: error
machine.picture("svg", against=tenant)  # expect: error
snapshot.upgrade("a", "order", 2, "mine")  # expect: error
snapshot.diff(engine)  # expect: error
log: list[LoggedMove] = [{"tenant": "a", "from_": "ready", "to": "closed"}]  # expect: error
engine.swap(engine)  # expect: error


# What is called back, and inherited from.
def told(changes: str) -> None: ...


engine.on_change(told)  # expect: error
engine.on_change(None)  # expect: error
engine.on_change(lambda changes: changes.features)  # expect: error
engine.on_fault(lambda: None)  # expect: error


class Half(Source):
    def head(self, stream: str, known: str | None) -> bytes | None:
        return None


Half()  # expect: error


class Odd(Source):
    def head(self, stream: str, known: str | None) -> str:  # expect: error
        return ""

    def content(self, hash: str, length: int) -> Content | None:
        return Content("gzip", b"")  # expect: error


class Own(Tenant): ...  # expect: error


class Shot(Snapshot): ...  # expect: error


UnknownTenantError("unknown_tenant", "message").blockers  # expect: error


async def run() -> Changes:
    await aio.follow(trust=TRUST, interval_ms=5)  # expect: error
    await aio.wait_for(engine, "7")  # expect: error
    return await aio.changes(engine)  # expect: error
