"""Which HQ to follow, and whom to believe: from variables of the environment."""

from __future__ import annotations

import os
from pathlib import Path

from leasehold import Engine


def engine_from_environment() -> Engine:
    return Engine.follow(
        url=_needed("LEASEHOLD_URL"),
        token=_needed("LEASEHOLD_TOKEN"),
        trust=Path(_needed("LEASEHOLD_TRUST")).read_text(),
        stream=os.environ.get("LEASEHOLD_STREAM"),
        engine_id=os.environ.get("LEASEHOLD_ENGINE", "laundry-1"),
        keep=os.environ.get("LEASEHOLD_KEEP", "kept"),
    )


def _needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"set {name}: README.md says what it is")
    return value
