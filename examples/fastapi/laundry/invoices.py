"""Invoices of orders, and their pages where a laundry has them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response

from .entitlements import CurrentTenant, leasehold
from .ledger import CurrentBooks, Invoice, NamedOrder
from .pdf import pdf

router = APIRouter(
    prefix="/orders/{order_id}", tags=["invoices"], dependencies=[Depends(leasehold.require("invoicing"))]
)


def invoice(order: NamedOrder) -> Invoice:
    if order.invoice is None:
        raise HTTPException(404, f"order {order.id} has no invoice")
    return order.invoice


NamedInvoice = Annotated[Invoice, Depends(invoice)]


@router.post("/invoice", status_code=201)
def issue(order: NamedOrder, tenant: CurrentTenant, books: CurrentBooks) -> Invoice:
    """Once for each order."""
    if order.invoice is None:
        due, currency = order.facts.get("balance_due_minor"), tenant.value("currency")
        order.invoice = Invoice(
            number=f"INV-{next(books.invoice_numbers):05}",
            issued_at=datetime.now(timezone.utc),
            amount_minor=due if isinstance(due, int) else 0,
            currency=currency if isinstance(currency, str) else "",
        )
    return order.invoice


@router.get("/invoice")
def show(invoice: NamedInvoice) -> Invoice:
    return invoice


@router.get("/invoice.pdf", response_class=Response, responses={200: {"content": {"application/pdf": {}}}})
@leasehold.requires("pdf_invoices")
def print_it(invoice: NamedInvoice) -> Response:
    """An add-on: HQ opens it for a laundry, and the next request has it."""
    lines = [
        f"Invoice {invoice.number}",
        f"Issued {invoice.issued_at:%Y-%m-%d}",
        f"Amount {invoice.amount_minor} {invoice.currency}, in minor units",
    ]
    return Response(pdf(lines), media_type="application/pdf")
