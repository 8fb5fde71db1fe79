"""The app."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI, Response
from leasehold import ClosedError
from leasehold.answers import Entitlements, Freshness, Health
from pydantic import BaseModel

from . import invoices, orders, users
from .entitlements import CurrentEngine, CurrentTenant, leasehold

app = FastAPI(title="Laundry")
leasehold.install(app)
app.include_router(orders.router)
app.include_router(invoices.router)
app.include_router(users.router)


@app.get("/entitlements")
def entitlements(tenant: CurrentTenant) -> Entitlements:
    """All that the laundry may have: what a browser shows and hides."""
    return tenant.entitlements()


class Healthy(BaseModel):
    status: Literal["up", "down"]
    revision: int | None
    freshness: Freshness | None
    following: Health | None


@app.get("/health")
def health(engine: CurrentEngine, response: Response) -> Healthy:
    """How the engine is doing. It is not down because HQ is: it goes on."""
    try:
        snapshot, following = engine.snapshot(), engine.health()
    except ClosedError:
        response.status_code = 503
        return Healthy(status="down", revision=None, freshness=None, following=None)
    return Healthy(
        status="up",
        revision=snapshot.revision,
        freshness=snapshot.freshness(),
        following=following,
    )
