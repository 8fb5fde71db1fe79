"""Django: what the tenants of requests may do, in views, templates and checks.

INSTALLED_APPS = [..., "leasehold.django"]
MIDDLEWARE = [..., "leasehold.django.LeaseholdMiddleware"]
LEASEHOLD = {"URL": "https://hq.example", "TOKEN": token, "TRUST": trust, "ENGINE_ID": "orders-1"}

@feature_required("pdf_invoices")
def print_invoice(request, pk): ...
"""

from __future__ import annotations

from .._guard import TENANT_HEADER, Guard
from .._problems import Problem, RefusedError
from .conf import Refuse, TenantOf, UsageOf, tenant_from_header
from .decorators import Move, feature_required, limit_required, transition_required
from .engines import engine
from .middleware import LeaseholdMiddleware
from .requests import (
    LeaseholdRequest,
    Outcomes,
    aentitlements_of,
    entitlements_for,
    entitlements_of,
    outcomes_of,
)
from .responses import permission_denied, problem_response

__all__ = [
    "TENANT_HEADER",
    "Guard",
    "LeaseholdMiddleware",
    "LeaseholdRequest",
    "Move",
    "Outcomes",
    "Problem",
    "Refuse",
    "RefusedError",
    "TenantOf",
    "UsageOf",
    "aentitlements_of",
    "engine",
    "entitlements_for",
    "entitlements_of",
    "feature_required",
    "limit_required",
    "outcomes_of",
    "permission_denied",
    "problem_response",
    "tenant_from_header",
    "transition_required",
]
