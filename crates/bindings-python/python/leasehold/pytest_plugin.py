"""Policies in memory for pytest.

def test_invoices(leasehold_policies):
    leasehold_policies.set("acme", features={"pdf_invoices": True})
    ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .inputs import Definitions
from .testing import Policies


@pytest.fixture(scope="session")
def leasehold_definitions() -> Definitions | None:
    """The definitions that policies lie over. A fixture of yours stands in place of this one.

    None: there is what policies name.
    """
    return None


@pytest.fixture
def leasehold_policies(leasehold_definitions: Definitions | None) -> Iterator[Policies]:
    """An engine whose tenants a test makes and changes with `set` and `remove`. It is closed when the test ends."""
    policies = Policies(definitions=leasehold_definitions)
    yield policies
    policies.close()
