"""The example's app over HTTP, with the engine that follows HQ as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.hq import Hq
from support.wait import until

EXAMPLE = Path(__file__).parents[3] / "examples/fastapi"
TENANT = "ae-alain-oasis"
PHASE = "2-starter"


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hq]:
    with Hq(tmp_path_factory.mktemp("hq")) as hq:
        yield hq


@pytest.fixture(scope="module")
def app(hq: Hq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The app, as its README starts it."""
    folder = tmp_path_factory.mktemp("laundry")
    options = hq.options("laundry-1")
    (folder / "trust.json").write_text(options["trust"])
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
    environment = {
        **own,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLE), *filter(None, [own.get("PYTHONPATH")])]),
        "LEASEHOLD_URL": options["url"],
        "LEASEHOLD_TOKEN": options["token"],
        "LEASEHOLD_TRUST": "trust.json",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "laundry.app:app", "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            break
    else:
        pytest.fail(f"the app ended: {''.join(said)}")
    # What else it says fills no pipe.
    listener = threading.Thread(target=said.extend, args=[process.stderr], daemon=True)
    listener.start()
    with httpx.Client(base_url=found[1], headers={"x-tenant-id": TENANT}, timeout=60) as client:
        yield client
    process.terminate()
    process.wait()
    listener.join()
    process.stderr.close()
    assert "Application shutdown complete" in "".join(said), "an engine that follows holds nobody up"


def an_order(app: httpx.Client, facts: Mapping[str, Any]) -> Any:
    made = app.post("/orders", json=facts)
    assert made.status_code == 201, made.text
    return made.json()


def test_users_are_let_in_while_there_is_room(app: httpx.Client) -> None:
    room = app.get("/entitlements").json()["max_users"]
    assert room > 0
    for user in range(room):
        assert app.post("/users", json={"name": f"user {user}"}).status_code == 201
    refused = app.post("/users", json={"name": "one more"})
    assert (refused.status_code, refused.json()["code"]) == (403, "limit_reached")
    assert app.delete("/users/user%200").status_code == 204
    assert app.post("/users", json={"name": "one more"}).status_code == 201
    assert len(app.get("/users").json()) == room


def test_a_plan_that_changes_at_hq_opens_an_endpoint_without_a_restart(app: httpx.Client, hq: Hq) -> None:
    order = an_order(app, {"balance_due_minor": 1250})
    page = f"/orders/{order['id']}/invoice.pdf"
    issued = app.post(f"/orders/{order['id']}/invoice")
    assert issued.status_code == 201, issued.text
    assert (issued.json()["amount_minor"], issued.json()["number"]) == (1250, "INV-00001")
    closed = app.get(page)
    assert closed.status_code == 403
    assert closed.headers["content-type"] == "application/problem+json"
    assert (closed.json()["code"], closed.json()["feature"]) == ("feature_off", "pdf_invoices")

    hq.change_plan(TENANT, PHASE, "growth")
    until("it is open", lambda: app.get(page).status_code == 200)
    opened = app.get(page)
    assert opened.headers["content-type"] == "application/pdf"
    assert opened.content.startswith(b"%PDF")
    assert app.get("/entitlements").json()["plan"] == "growth"


def test_an_order_moves_through_its_workflow_and_is_told_what_stands_against_it(app: httpx.Client) -> None:
    order = an_order(app, {"discount_percent": 0, "approved_by_manager": False})
    path = f"/orders/{order['id']}"
    shown = app.get(path).json()
    assert "accept" in [one["transition"] for one in shown["transitions"]]
    move = {"from": order["stage"], "to": "preparation"}
    refused = app.post(f"{path}/moves", json=move)
    assert (refused.status_code, refused.json()["code"]) == (403, "guard_failed")
    assert {one["code"] for one in refused.json()["blockers"]} == {"role_required"}
    moved = app.post(f"{path}/moves", json=move, headers={"x-roles": "counter"})
    assert (moved.status_code, moved.json()["stage"], moved.json()["transition"]) == (200, "preparation", "accept")
    late = app.post(f"{path}/moves", json=move, headers={"x-roles": "counter"})
    assert (late.status_code, "is in stage preparation" in late.text) == (409, True)
    nowhere = app.post(f"{path}/moves", json={"from": "preparation", "to": "intake"})
    assert (nowhere.status_code, nowhere.json()["code"]) == (409, "illegal_transition")
    noted = app.patch(path, json={"photos": 2})
    assert noted.json()["facts"] == {"discount_percent": 0, "approved_by_manager": False, "photos": 2}


def test_laundries_do_not_see_each_other(app: httpx.Client) -> None:
    order = an_order(app, {})
    other = {"x-tenant-id": "om-muscat-sparkle"}
    assert app.get("/orders", headers=other).json() == []
    assert app.get(f"/orders/{order['id']}", headers=other).status_code == 404


def test_whoever_names_no_laundry_or_one_that_is_not_there_is_refused(app: httpx.Client) -> None:
    for path in ("/orders", "/users", "/entitlements"):
        assert app.get(path, headers={"x-tenant-id": ""}).json()["code"] == "tenant_required"
        assert app.get(path, headers={"x-tenant-id": "nobody"}).json()["code"] == "unknown_tenant"


def test_health_needs_no_laundry(app: httpx.Client) -> None:
    health = httpx.get(f"{app.base_url}/health").json()
    assert (health["status"], health["freshness"]) == ("up", "fresh")
    assert health["following"]["revision"] == health["revision"]


def test_it_answers_while_hq_is_down(app: httpx.Client, hq: Hq) -> None:
    hq.kill()
    assert app.get("/entitlements").json()["plan"] == "growth"
    assert app.get("/health").json()["status"] == "up"
