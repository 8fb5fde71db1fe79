"""Who asks, and what Leasehold has to say about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from leasehold import Engine, Tenant
from leasehold.fastapi import Leasehold

from .settings import engine_from_environment

leasehold = Leasehold(engine_from_environment)

CurrentEngine = Annotated[Engine, Depends(leasehold.engine)]
CurrentTenant = Annotated[Tenant, Depends(leasehold.tenant)]


def roles(x_roles: Annotated[str, Header()] = "") -> list[str]:
    """The roles of whoever asks. In your app they come from the session; here a header stands for it."""
    return [role.strip() for role in x_roles.split(",") if role.strip()]


Roles = Annotated[list[str], Depends(roles)]
