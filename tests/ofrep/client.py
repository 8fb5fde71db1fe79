"""The client for servers in Python: every evaluation is a request."""

import json
import os
from pathlib import Path

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

SETTINGS = json.loads(os.environ["LEASEHOLD_SUITE"])
CASES = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))


def client(name, token, **headers):
    headers = {"Authorization": f"Bearer {token}", **headers}
    api.set_provider(OFREPProvider(SETTINGS["url"], headers_factory=lambda: headers, timeout=60), name)
    return api.get_client(name)


def ask(client, case, context=None):
    question = getattr(client, f"get_{case['type']}_details")
    return question(case["flag"], case["default"], context)


def compare(case, details):
    said = f"{case['name']}: {details}"
    if "errorCode" in case:
        assert details.error_code == case["errorCode"], said
        assert details.reason == "ERROR", said
        assert details.value == case["default"], said
        return
    assert details.error_code is None, said
    assert type(details.value) is type(case["value"]) and details.value == case["value"], said
    assert details.variant == case["variant"], said
    assert details.reason == case["reason"], said
    metadata = details.flag_metadata
    assert {name: metadata.get(name) for name in case["metadata"]} == case["metadata"], said
    assert type(metadata["revision"]) is int and len(metadata["definitions"]) == 64, said
    assert all(isinstance(value, (bool, int, float, str)) for value in metadata.values()), said


everybody = client("everybody", SETTINGS["token"])
for case in CASES:
    compare(case, ask(everybody, case, EvaluationContext(case["tenant"]) if case["tenant"] else None))

bound = client("bound", SETTINGS["bound"])
own = [case for case in CASES if case["tenant"] == "ofrep-full"]
for case in own:
    compare(case, ask(bound, case))
    compare(case, ask(bound, case, EvaluationContext("user 17", {"plan": "guest"})))

compare(own[0], ask(client("named", SETTINGS["token"], **{"x-tenant-id": "ofrep-full"}), own[0]))

for name, token, why in [("nobody", "lh_wrong", "unauthorized"), ("elsewhere", SETTINGS["other"], "forbidden")]:
    refused = client(name, token)
    details = refused.get_string_details("currency", "mine", EvaluationContext(attributes={"tenant_org_id": "ofrep-full"}))
    assert (details.value, details.reason, details.error_code) == ("mine", "ERROR", "GENERAL"), details
    assert why in details.error_message, details

api.shutdown()
print(f"python: {len(CASES)} cases")
