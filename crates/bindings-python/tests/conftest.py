"""What tests of several files begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.desk import Desk


@pytest.fixture(scope="session")
def first_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """One of which each test gets a copy."""
    return Desk.open(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(first_desk: Desk, tmp_path: Path) -> Desk:
    return first_desk.copied(tmp_path / "desk")
