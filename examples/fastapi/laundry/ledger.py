"""Everybody's books, in memory. Nobody gets at any but those of the laundry for whom a request is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Annotated

from fastapi import Depends, HTTPException
from pydantic import BaseModel

from .entitlements import CurrentTenant

Fact = bool | int | str | list[str]
"""What is known of an item, by the names that guards of the workflow have for it."""


class Invoice(BaseModel):
    number: str
    issued_at: datetime
    amount_minor: int
    currency: str


class Order(BaseModel):
    id: str
    category: str
    stage: str
    facts: dict[str, Fact]
    invoice: Invoice | None = None


class User(BaseModel):
    name: str


@dataclass
class Books:
    """What one laundry has."""

    orders: dict[str, Order] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    order_numbers: count[int] = field(default_factory=lambda: count(1))
    invoice_numbers: count[int] = field(default_factory=lambda: count(1))


_ledger: dict[str, Books] = {}


def books(tenant: CurrentTenant) -> Books:
    return _ledger.setdefault(tenant.id, Books())


CurrentBooks = Annotated[Books, Depends(books)]


def order(order_id: str, books: CurrentBooks) -> Order:
    """The order that a path names."""
    found = books.orders.get(order_id)
    if found is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return found


NamedOrder = Annotated[Order, Depends(order)]
