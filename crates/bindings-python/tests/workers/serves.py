"""An engine that is made when a server imports this, and servers that tell what it answers.

LEASEHOLD_DESK names the folder of a desk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from leasehold import Engine

_folder = Path(os.environ["LEASEHOLD_DESK"])
engine = Engine.follow(
    directory=_folder / "snapshots",
    trust=_folder.joinpath("trust.json").read_text(),
    poll_ms=20,
    backoff_min_ms=20,
    backoff_max_ms=20,
)
tenant = engine.tenant("om-muscat-sparkle")


def answers() -> list[object]:
    return [os.getpid(), engine.snapshot().revision, tenant.is_enabled("sso")]


def wsgi(environment: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    start("200 OK", [("content-type", "application/json")])
    return [json.dumps(answers()).encode()]


async def asgi(scope: dict[str, Any], receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": json.dumps(answers()).encode()})
