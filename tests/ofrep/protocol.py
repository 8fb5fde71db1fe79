"""What no client shows: bodies, statuses, ETags, and what browsers ask before they ask."""

import json
import os

import requests

SETTINGS = json.loads(os.environ["LEASEHOLD_SUITE"])
ALL = SETTINGS["url"] + "/ofrep/v1/evaluate/flags"
ONE = ALL + "/delivery"
JSON = {"Content-Type": "application/json"}


def post(url, body=None, token=SETTINGS["token"], **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return requests.post(url, data=body, headers=JSON | headers, timeout=60)


def refused(response, status, code=None):
    assert response.status_code == status, (response.status_code, response.text)
    if code:
        assert response.headers["Content-Type"] == "application/json"
        said = response.json()
        assert said["errorCode"] == code and isinstance(said["errorDetails"], str), said
        assert said.get("key") == ("delivery" if response.url == ONE else None), said
    else:
        assert response.headers["Content-Type"] == "application/problem+json"


def bodies():
    for url in [ONE, ALL]:
        for body in [None, "", "{}", '{"context":{}}', '{"context":null}', '{"context":{"targetingKey":"user 17"},"more":1}']:
            assert post(url, body, SETTINGS["bound"]).status_code == 200, body
        for body, code in [
            ("{", "PARSE_ERROR"),
            ("[]", "PARSE_ERROR"),
            ('{"context":[]}', "INVALID_CONTEXT"),
            ('{"context":{"targetingKey":17}}', "INVALID_CONTEXT"),
        ]:
            refused(post(url, body, SETTINGS["bound"]), 400, code)
        refused(post(url, "{}"), 400, "TARGETING_KEY_MISSING")
        refused(post(url, '{"context":{"targetingKey":"ofrep-nobody"}}'), 400, "INVALID_CONTEXT")
        refused(post(url, '{"context":{"targetingKey":"no tenant"}}'), 400, "INVALID_CONTEXT")
        two = post(url, '{"context":{"tenant_org_id":"ofrep-bare"}}', x_tenant_id="ofrep-full")
        refused(two, 400, "INVALID_CONTEXT")
        refused(post(url, "{}", None), 401)
        refused(post(url, "{}", "lh_wrong"), 401)
        refused(post(url, "{}", SETTINGS["powerless"]), 403)
        refused(post(url, "{}", SETTINGS["other"], x_tenant_id="ofrep-full"), 403)
        refused(post(url, "{}", Content_Type="text/plain"), 415)
        assert requests.get(url, timeout=60).status_code == 405


def etags():
    full = post(ALL, '{"context":{"targetingKey":"ofrep-full"}}')
    etag = full.headers["ETag"]
    flags = full.json()["flags"]
    assert len({flag["key"] for flag in flags}) == len(flags) == SETTINGS["features"], len(flags)
    assert all(set(flag) == {"key", "value", "variant", "reason", "metadata"} for flag in flags)
    for body, header in [('{"context":{"targetingKey":"ofrep-full"}}', {}), ("{}", {"x_tenant_id": "ofrep-full"})]:
        for sent in [etag, f'"else", {etag}', f"W/{etag}", "*"]:
            same = post(ALL, body, If_None_Match=sent, **header)
            assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag), sent
    other = post(ALL, '{"context":{"targetingKey":"ofrep-bare"}}', If_None_Match=etag)
    assert other.status_code == 200 and other.headers["ETag"] != etag
    one = post(ONE, '{"context":{"targetingKey":"ofrep-full"}}').json()
    assert one in flags, one


def origins():
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    home = SETTINGS["origin"]
    for url in [ONE, ALL, SETTINGS["url"] + "/v1/tenants/ofrep-full/slice"]:
        said = requests.options(url, headers=ask | {"Origin": home}, timeout=60)
        assert said.status_code == 200 and said.headers["Access-Control-Allow-Origin"] == home, said.headers
        allowed = said.headers["Access-Control-Allow-Headers"].lower()
        assert {"authorization", "content-type", "if-none-match", "x-tenant-id"} <= set(allowed.split(",")), allowed
        said = requests.options(url, headers=ask | {"Origin": "https://elsewhere.example"}, timeout=60)
        assert "Access-Control-Allow-Origin" not in said.headers
    for response in [post(ALL, "{}", SETTINGS["bound"], Origin=home), post(ALL, "{}", "lh_wrong", Origin=home)]:
        assert response.headers["Access-Control-Allow-Origin"] == home
        assert "etag" in response.headers["Access-Control-Expose-Headers"].lower()
        assert "origin" in response.headers["Vary"].lower()
    # What is HQ's own is for no page.
    said = requests.options(SETTINGS["url"] + "/v1/tokens", headers=ask | {"Origin": home}, timeout=60)
    assert said.status_code == 405 and "Access-Control-Allow-Origin" not in said.headers, said.headers


bodies()
etags()
origins()
print("protocol: bodies, ETags, origins")
