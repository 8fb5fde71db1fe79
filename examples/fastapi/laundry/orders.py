"""Orders, which move through the workflow of their laundry."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, HTTPException
from leasehold import Inputs
from leasehold.answers import Allowed, TransitionAnswer
from leasehold.fastapi import Move
from pydantic import BaseModel, Field

from .entitlements import CurrentTenant, Roles, leasehold
from .ledger import CurrentBooks, Fact, NamedOrder, Order

# A laundry whose access was restricted may still look at what it has.
router = APIRouter(
    prefix="/orders", tags=["orders"], dependencies=[Depends(leasehold.require("orders", action="read"))]
)


class OrderShown(Order):
    """With what may be done next, and what stands against it: what a screen shows."""

    transitions: list[TransitionAnswer]


class Moving(BaseModel):
    from_: Annotated[str, Field(alias="from")]
    to: str


class OrderMoved(Order):
    transition: str


def inputs_of(order: Order) -> Inputs:
    return {**order.facts, "invoice_issued": order.invoice is not None}


@router.get("")
def show_all(books: CurrentBooks) -> list[Order]:
    return list(books.orders.values())


@router.get("/{order_id}")
def show(order: NamedOrder, tenant: CurrentTenant, roles: Roles) -> OrderShown:
    answers = tenant.transitions("order", order.stage, inputs=inputs_of(order), roles=roles, category=order.category)
    return OrderShown(**dict(order), transitions=[answer for answer in answers if answer.state != "not_from_here"])


@router.post("", status_code=201)
@leasehold.requires("orders")
def add(tenant: CurrentTenant, books: CurrentBooks, facts: Annotated[dict[str, Fact], Body()]) -> Order:
    category = str(facts.pop("category", "LAUNDRY"))
    stages = tenant.machine("order", category).about.stages
    first = next((stage.stage for stage in stages if stage.initial), None)
    if first is None:
        raise HTTPException(409, "the workflow has no stage in which orders begin")
    order = Order(id=str(next(books.order_numbers)), category=category, stage=first, facts=facts)
    books.orders[order.id] = order
    return order


@router.patch("/{order_id}")
@leasehold.requires("orders")
def note(order: NamedOrder, facts: Annotated[dict[str, Fact], Body()]) -> Order:
    """Notes what is known: photos, what was scanned, where it is stored."""
    order.facts.update(facts)
    return order


def move_of(order: NamedOrder, moving: Moving, roles: Roles) -> Move:
    """The move that is wanted, from where the client saw the order."""
    return Move(moving.from_, moving.to, inputs=inputs_of(order), roles=roles, category=order.category)


allowed_move = leasehold.require_transition("order", move=move_of)


@router.post("/{order_id}/moves")
@leasehold.requires("orders")
def move(order: NamedOrder, moving: Moving, allowed: Annotated[Allowed, Depends(allowed_move)]) -> OrderMoved:
    # What was decided is about the stage that the client named: the order has to be there still.
    if order.stage != moving.from_:
        raise HTTPException(409, f"order {order.id} is in stage {order.stage}, not in {moving.from_}")
    order.stage = moving.to
    return OrderMoved(**dict(order), transition=allowed.transition)
