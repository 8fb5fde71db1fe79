"""The app, as `INSTALLED_APPS` names it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class LeaseholdConfig(AppConfig):
    """`leasehold.django`: template tags and system checks."""

    name = "leasehold.django"
    label = "leasehold"
    verbose_name = "Leasehold"

    def ready(self) -> None:
        from .checks import check

        register(check, "leasehold")
