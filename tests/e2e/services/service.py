"""The service in Python: a line of JSON is a request, and its answer another one."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any

from leasehold import Engine, LeaseholdError

_says = threading.Lock()


def main() -> None:
    engine: Engine | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["call"] == "follow":
            engine = Engine.follow(**request["options"])
            _say(request, {})
            continue
        assert engine is not None, "`follow` comes first"
        if request["call"] == "wait":
            # It is answered when it is over; other questions are, meanwhile.
            threading.Thread(target=_serve, args=(engine, request)).start()
        else:
            _serve(engine, request)
    if engine is not None:
        engine.close()


def _say(request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    with _says:
        print(json.dumps({**answer, "id": request["id"]}), flush=True)


def _serve(engine: Engine, request: Mapping[str, Any]) -> None:
    try:
        _say(request, _answer(engine, request))
    except LeaseholdError as error:
        _say(request, {"error": repr(error)})


def _answer(engine: Engine, request: Mapping[str, Any]) -> dict[str, Any]:
    if request["call"] == "wait":
        return {"revision": engine.wait_for(request["revision"], request["timeout_ms"])}
    if request["call"] == "health":
        health, hearing = engine.health(), engine.hearing
        assert health is not None
        assert hearing is not None
        return {"health": health.to_dict(), "told": hearing.told}
    while True:
        snapshot = engine.snapshot()
        answers = [_ask(engine, **question) for question in request["questions"]]
        # Another snapshot may have come meanwhile: all answers are to be of one.
        if engine.snapshot().revision == snapshot.revision:
            return {"revision": snapshot.revision, "answers": answers}


def _ask(engine: Engine, call: str, tenant: str, **question: Any) -> Any:
    """The answer to a question; an error of the engine's is one too."""
    try:
        return _plain(getattr(engine.tenant(tenant), call)(**question))
    except LeaseholdError as error:
        return {"error": error.code}


def _plain(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return [_plain(item) for item in answer]
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


main()
