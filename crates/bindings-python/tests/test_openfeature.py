"""The provider for OpenFeature: what its specification's evaluation features ask for, and what its SDK makes of it.

Every question is asked four times: for the value and the details, with and without `await`.

Features differ from the flags of the specification's test suite in this: nothing says CACHED, details are the
caller's own to change, and metadata that nobody wrote say where an answer comes from.
"""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from leasehold import ArgumentError, ClosedError, Engine
from leasehold.openfeature import FlagOptions, LeaseholdProvider
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import ProviderStatus
from support.wait import until

MOST = 2**53 - 1
HOUR_MS = 3_600_000
PICTURES = {"showImages": True, "title": "Look at this", "imagesPerPage": 100}
SINCE = "2026-01-01T00:00:00Z"


def feature(**of: Any) -> dict[str, Any]:
    return {"name": "F", "name2": "F", "group": "x", **of}


def value(of_type: str, initial: object) -> dict[str, Any]:
    return feature(kind="value", type=of_type, default=initial)


def put(key: str, to: object) -> dict[str, Any]:
    return {"feature": key, "op": "set", "value": to, "reason": "r", "actor": "a"}


def tenant(**of: Any) -> dict[str, Any]:
    return {"name": "T", "name2": "T", "region": "R", "anchor": SINCE, **of}


KILLED = (
    "killed-boolean",
    "killed-string",
    "killed-decimal",
    "killed-integer",
    "killed-object",
    "killed-null",
    "killed-limit",
)
DEFINITIONS: dict[str, Any] = {
    "features": {
        "a-boolean": feature(kind="switch", default=True),
        "a-string": value("string", "hi"),
        "an-integer": value("integer", 10),
        "a-decimal": value("string", "0.5"),
        "a-rate": value("string", "0.25"),
        "an-object": value("json", PICTURES),
        "a-list": value("json", ["a", 1]),
        "a-null": value("json", None),
        "a-false": feature(kind="switch"),
        "an-empty-string": value("string", ""),
        "a-zero": value("integer", 0),
        "an-empty-object": value("json", {}),
        "seats": feature(kind="limit", unit="seat", default={"amount": 5}),
        "endless": feature(kind="limit", unit="seat", default={"amount": "unlimited"}),
        "audience": value("string", "EXTERNAL"),
        "killed-boolean": feature(kind="switch", default=True),
        "killed-string": value("string", "hi"),
        "killed-decimal": value("string", "0.5"),
        "killed-integer": value("integer", 10),
        "killed-object": value("json", PICTURES),
        "killed-null": value("json", None),
        "killed-limit": feature(kind="limit", unit="seat", default={"amount": 5}),
    },
    # It says something about one feature, and nobody has it.
    "plans": {
        "other": {
            "name": "P",
            "name2": "P",
            "rank": 1,
            "price": {"amount": "1.000", "currency": "OMR", "period": "month"},
            "versions": {
                "1": {
                    "effective_from": SINCE,
                    "moves": "now",
                    "contributions": [{"feature": "audience", "op": "set", "value": "OTHER"}],
                }
            },
        }
    },
    "kills": {key: {"feature": key, "since": SINCE, "reason": "r", "actor": "a"} for key in KILLED},
    "tenants": {
        "plain": tenant(),
        "targeted": tenant(
            overrides={
                "1": put("audience", "INTERNAL"),
                "2": put("a-boolean", False),
                "3": put("a-string", ""),
                "4": put("an-integer", 0),
                "5": put("an-object", {}),
                "6": put("seats", {"amount": 0}),
                "7": put("endless", {"amount": 3}),
            }
        ),
    },
}
PLAIN = EvaluationContext("plain")
TARGETED = EvaluationContext("targeted")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def make(revision: int = 7, definitions: dict[str, Any] = DEFINITIONS, **stamp: int) -> Engine:
    return Engine.from_definitions(definitions, revision=revision, **stamp)


def with_features(revision: int, tenants: dict[str, Any] | None = None, **features: dict[str, Any]) -> Engine:
    tenants = {**DEFINITIONS["tenants"], **(tenants or {})}
    return make(revision, {**DEFINITIONS, "features": {**DEFINITIONS["features"], **features}, "tenants": tenants})


def evaluated(
    client: OpenFeatureClient,
    of_type: str,
    key: str,
    initial: object,
    context: EvaluationContext | None,
    **options: Any,
) -> FlagEvaluationDetails[Any]:
    """All forms of a question, which have to agree."""
    asked = (key, initial, context)
    details: FlagEvaluationDetails[Any] = getattr(client, f"get_{of_type}_details")(*asked, **options)
    assert getattr(client, f"get_{of_type}_value")(*asked, **options) == details.value

    async def awaited() -> tuple[object, object]:
        return (
            await getattr(client, f"get_{of_type}_details_async")(*asked, **options),
            await getattr(client, f"get_{of_type}_value_async")(*asked, **options),
        )

    assert asyncio.run(awaited()) == (details, details.value)
    assert details.flag_key == key
    return details


def told(details: FlagEvaluationDetails[Any]) -> tuple[object, object, object]:
    return details.value, details.reason, details.error_code


class Heard:
    """Events of one sort, as they come: SDKs tell them in a thread."""

    def __init__(self, client: OpenFeatureClient, event: ProviderEvent) -> None:
        self.events: list[EventDetails] = []
        client.add_handler(event, self.events.append)

    def next(self) -> EventDetails:
        until("an event", lambda: self.events)
        return self.events.pop(0)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    api.shutdown()


@pytest.fixture
def client() -> OpenFeatureClient:
    api.set_provider_and_wait(LeaseholdProvider(make()), "stable")
    return api.get_client("stable")


# The evaluation features of the specification.


@pytest.mark.parametrize(
    ("of_type", "key", "initial", "expected", "variant"),
    [
        ("boolean", "a-boolean", False, True, "on"),
        ("string", "a-string", "bye", "hi", "on"),
        ("integer", "an-integer", 1, 10, "on"),
        ("float", "an-integer", 0.1, 10.0, "on"),
        ("string", "a-decimal", "0.1", "0.5", "on"),
        ("float", "a-decimal", 0.1, 0.5, "on"),
        ("object", "an-object", {}, PICTURES, "on"),
        ("object", "an-object", None, PICTURES, "on"),
        ("object", "a-list", [], ["a", 1], "on"),
        ("integer", "seats", 1, 5, "on"),
        ("float", "seats", 0.1, 5.0, "on"),
        ("integer", "endless", 1, MOST, "unlimited"),
        ("float", "endless", 0.1, float(MOST), "unlimited"),
        # What is false, zero or empty is not the default of the code.
        ("boolean", "a-false", True, False, "off"),
        ("string", "an-empty-string", "hi", "", "on"),
        ("integer", "a-zero", 1, 0, "on"),
        ("float", "a-zero", 0.1, 0.0, "on"),
        ("object", "an-empty-object", {"a": 1}, {}, "on"),
    ],
)
def test_values_and_details_of_every_type(
    client: OpenFeatureClient, of_type: str, key: str, initial: object, expected: object, variant: str
) -> None:
    details = evaluated(client, of_type, key, initial, PLAIN)
    assert told(details) == (expected, "STATIC", None)
    assert details.variant == variant
    assert type(details.value) is type(expected)


@pytest.mark.parametrize(
    ("of_type", "key", "initial", "expected", "variant"),
    [
        ("string", "audience", "NOBODY", "INTERNAL", "on"),
        ("boolean", "a-boolean", True, False, "off"),
        ("string", "a-string", "hi", "", "on"),
        ("integer", "an-integer", 1, 0, "on"),
        ("float", "an-integer", 0.1, 0.0, "on"),
        ("object", "an-object", {"a": 1}, {}, "on"),
        ("integer", "seats", 1, 0, "on"),
        ("integer", "endless", 1, 3, "on"),
    ],
)
def test_answers_depend_on_the_context_zero_values_as_well(
    client: OpenFeatureClient, of_type: str, key: str, initial: object, expected: object, variant: str
) -> None:
    details = evaluated(client, of_type, key, initial, TARGETED)
    assert told(details) == (expected, "TARGETING_MATCH", None)
    assert details.variant == variant
    assert told(evaluated(client, "string", "audience", "NOBODY", PLAIN)) == ("EXTERNAL", "DEFAULT", None)


@pytest.mark.parametrize(
    "more",
    [
        {"email": "a@example.com", "role": "admin", "age": 65, "customer": False},
        {"fn": "Sulisław", "ln": "Świętopełk", "nothing": None, "at": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        {"list": [1, {"a": []}]},
    ],
)
def test_whatever_else_is_in_the_context_decides_nothing(client: OpenFeatureClient, more: dict[str, Any]) -> None:
    context = EvaluationContext("targeted", more)
    before = copy.deepcopy(context)
    assert evaluated(client, "string", "audience", "NOBODY", context).value == "INTERNAL"
    assert context == before


def test_contexts_of_the_api_the_client_and_the_question_are_merged(client: OpenFeatureClient) -> None:
    api.set_evaluation_context(PLAIN)
    assert client.get_string_value("audience", "NOBODY") == "EXTERNAL"
    client.context = TARGETED
    assert client.get_string_value("audience", "NOBODY") == "INTERNAL"
    assert client.get_string_value("audience", "NOBODY", PLAIN) == "EXTERNAL"


@pytest.mark.parametrize("key", ["nothing", "Not A Key", "__class__", ""])
@pytest.mark.parametrize(
    ("of_type", "initial"),
    [("boolean", True), ("string", "uh-oh"), ("integer", 1), ("float", 0.1), ("object", {"a": 1})],
)
def test_a_flag_that_is_not_there(client: OpenFeatureClient, of_type: str, initial: object, key: str) -> None:
    details = evaluated(client, of_type, key, initial, PLAIN)
    assert told(details) == (initial, "ERROR", ErrorCode.FLAG_NOT_FOUND)
    assert details.error_message is not None
    assert f"`{key}` is not known" in details.error_message
    assert details.variant is None


INITIALS: dict[str, object] = {"boolean": False, "string": "bye", "integer": 13, "float": 0.5, "object": {"a": 1}}
TYPES = {
    "a-boolean": ("boolean", {"boolean"}),
    "a-string": ("string", {"string"}),
    "a-decimal": ("string", {"string", "float"}),
    "an-integer": ("integer", {"integer", "float"}),
    "seats": ("integer", {"integer", "float"}),
    "an-object": ("object", {"object"}),
    "a-list": ("object", {"object"}),
    # The SDK lets nobody have a null.
    "a-null": ("null", set[str]()),
}


@pytest.mark.parametrize("key", TYPES)
def test_a_flag_of_another_type(client: OpenFeatureClient, key: str) -> None:
    own, fitting = TYPES[key]
    for of_type, initial in INITIALS.items():
        details = evaluated(client, of_type, key, initial, PLAIN)
        if of_type in fitting:
            assert details.error_code is None
        else:
            assert told(details) == (initial, "ERROR", ErrorCode.TYPE_MISMATCH)
            assert details.error_message == f"`{key}` is of type {own}, and was asked for as {of_type}"
            assert details.flag_metadata["revision"] == 7


@pytest.mark.parametrize(
    ("of_type", "key", "initial", "expected"),
    [
        ("boolean", "killed-boolean", True, False),
        ("integer", "killed-limit", 3, 0),
        ("string", "killed-string", "bye", "bye"),
        ("float", "killed-decimal", 0.1, 0.1),
        ("integer", "killed-integer", 1, 1),
        ("float", "killed-integer", 0.1, 0.1),
        ("object", "killed-object", {"a": 1}, {"a": 1}),
        # What it may be when it is on, its default does not tell.
        ("object", "killed-null", {"a": 1}, {"a": 1}),
        ("string", "killed-null", "bye", "bye"),
        ("float", "killed-null", 0.1, 0.1),
    ],
)
def test_a_flag_that_is_disabled_has_the_default_of_the_code_where_it_has_no_value(
    client: OpenFeatureClient, of_type: str, key: str, initial: object, expected: object
) -> None:
    details = evaluated(client, of_type, key, initial, PLAIN)
    assert told(details) == (expected, "DISABLED", None)
    assert details.variant == "off"
    assert details.flag_metadata["reason"] == "killed"


def test_a_disabled_flag_of_another_type(client: OpenFeatureClient) -> None:
    for of_type, key in (("string", "killed-object"), ("boolean", "killed-string"), ("integer", "killed-decimal")):
        details = evaluated(client, of_type, key, INITIALS[of_type], PLAIN)
        assert told(details) == (INITIALS[of_type], "ERROR", ErrorCode.TYPE_MISMATCH)


def test_a_text_that_is_a_decimal_is_a_float_too_if_a_double_keeps_all_of_it() -> None:
    def ask(text: str) -> FlagEvaluationDetails[float]:
        engine = make(definitions={"features": {"rate": value("string", text)}, "tenants": {"plain": tenant()}})
        api.set_provider_and_wait(LeaseholdProvider(engine), "decimal")
        return api.get_client("decimal").get_float_details("rate", 7.5, PLAIN)

    for text in ("0", "0.0", "-0.5", "12", "0.1", "1234567.12345678", "0.000000123456789012345", "100.00"):
        assert told(ask(text)) == (float(text), "STATIC", None)
    refused = ("", " 1", "1 ", "1\n", "+1", "01", ".5", "5.", "1e3", "1_0", "1,5", "٠", "inf", "nan", "uno")
    # The last have more digits than a double keeps, or lie too far down.
    for text in (*refused, "1234567.123456789", f"0.{'0' * 400}1", f"0.{'0' * 320}12345"):
        details = ask(text)
        assert told(details) == (7.5, "ERROR", ErrorCode.TYPE_MISMATCH)
        assert details.error_message == "`rate` is of type string, and was asked for as float"


def test_values_have_the_names_that_they_are_given_and_flags_the_metadata() -> None:
    gallery = copy.deepcopy(PICTURES)
    flags: dict[str, FlagOptions] = {
        "a-string": {
            "variants": {"greeting": "hi", "parting": "bye"},
            "metadata": {"owner": "ops", "since": 3, "share": 0.5, "open": True},
        },
        "a-decimal": {"variants": {"text": "0.5", "half": 0.5}},
        "a-rate": {"variants": {"quarter": "0.25"}},
        "an-object": {"variants": MappingProxyType({"gallery": MappingProxyType(gallery), "nothing": {}})},
        "a-list": {"variants": {"other": ["a"], "yes": ["a", True], "keys": {"a": 1}, "same": ("a", 1)}},
        "a-boolean": {"variants": {"one": 1, "yes": True, "no": False}},
        "an-integer": {"variants": {"text": "10"}},
        "endless": {"variants": {"most": MOST}},
        "killed-string": {"variants": {"greeting": "hi"}, "metadata": {"owner": "ops"}},
        "not-there": {"variants": {"a": 1}, "metadata": {"a": 1}},
    }
    api.set_provider_and_wait(LeaseholdProvider(make(), flags=flags), "named")
    # Whoever made the options may change them.
    gallery["title"] = "Another one"
    del flags["a-string"]
    named = api.get_client("named")
    for of_type, key, context, variant in (
        ("string", "a-string", PLAIN, "greeting"),
        ("string", "a-string", TARGETED, "on"),
        ("string", "a-decimal", PLAIN, "text"),
        ("float", "a-decimal", PLAIN, "half"),
        ("object", "an-object", PLAIN, "gallery"),
        ("object", "an-object", TARGETED, "nothing"),
        ("object", "a-list", PLAIN, "same"),
        ("boolean", "a-boolean", PLAIN, "yes"),
        ("boolean", "a-boolean", TARGETED, "off"),
        ("integer", "an-integer", PLAIN, "on"),
        ("float", "a-rate", PLAIN, "quarter"),
        ("integer", "endless", PLAIN, "unlimited"),
        ("string", "killed-string", PLAIN, "off"),
    ):
        assert evaluated(named, of_type, key, INITIALS[of_type], context).variant == variant
    metadata = dict(named.get_string_details("a-string", "bye", PLAIN).flag_metadata)
    del metadata["definitions"]
    assert metadata == {
        **{"owner": "ops", "since": 3, "share": 0.5, "open": True},
        **{"kind": "value", "reason": "granted", "source": "default", "revision": 7, "freshness": "fresh"},
    }
    # What goes wrong says what is known of the flag as well.
    assert named.get_boolean_details("a-string", False, PLAIN).flag_metadata["owner"] == "ops"
    assert named.get_string_details("killed-string", "", PLAIN).flag_metadata["owner"] == "ops"
    # Features may come later.
    assert told(evaluated(named, "integer", "not-there", 3, PLAIN)) == (3, "ERROR", ErrorCode.FLAG_NOT_FOUND)


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (5, "`flags` is a mapping"),
        ({1: {}}, "`flags` is a mapping with keys of type str"),
        ({"a": None}, "`flags['a']` is a mapping"),
        ({"a": {"variant": {}}}, "`flags['a']` has no `variant`; it has variants, metadata"),
        ({"a": {"variants": ["x"]}}, "`flags['a']['variants']` is a mapping"),
        ({"a": {"metadata": 5}}, "`flags['a']['metadata']` is a mapping"),
        ({"a": {"metadata": {"x": None}}}, "`flags['a']['metadata']['x']` is a str, a finite number or a bool"),
        ({"a": {"metadata": {"x": [1]}}}, "`flags['a']['metadata']['x']` is a str, a finite number or a bool"),
        ({"a": {"metadata": {"x": float("nan")}}}, "`flags['a']['metadata']['x']` is a str, a finite number or a bool"),
        ({"a": {"variants": {"x": {1: 1}}}}, "`flags['a']['variants']['x']` is a mapping with keys of type str"),
        (
            {"a": {"variants": {"x": [{1, 2}]}}},
            "`flags['a']['variants']['x']` is JSON, and holds something of type `set`",
        ),
        ({"a": {"variants": {"x": Decimal("sNaN")}}}, "`flags['a']['variants']['x']` is JSON"),
        ({"a": {"variants": {"x": float("inf")}}}, "`flags['a']['variants']['x']` is JSON"),
        ({"a": {"variants": {"x": 1, "y": 1.0}}}, "`flags['a']['variants']` has two names for one value: `x` and `y`"),
        ({"a": {"variants": {"x": ENDLESS}}}, "`flags['a']['variants']['x']` goes too deep, or holds itself"),
        ({"a": {"metadata": {"revision": 3}}}, "`flags['a']['metadata']['revision']` is said by the engine"),
    ],
)
def test_what_is_said_of_flags_has_one_form(flags: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        LeaseholdProvider(make(), flags=flags)
    assert message in str(raised.value)


def test_metadata_are_flat_and_say_where_an_answer_comes_from(client: OpenFeatureClient) -> None:
    def of(key: str, context: EvaluationContext) -> dict[str, Any]:
        return dict(client.get_string_details(key, "", context).flag_metadata)

    plain = of("audience", PLAIN)
    definitions = plain.pop("definitions")
    assert plain == {"kind": "value", "reason": "granted", "source": "default", "revision": 7, "freshness": "fresh"}
    assert len(definitions) == 64
    targeted = of("audience", TARGETED)
    assert targeted == {**plain, "definitions": definitions, "source": "tenant"}
    del targeted["source"]
    assert of("killed-string", PLAIN) == {**targeted, "reason": "killed"}


def test_an_answer_is_the_callers_own(client: OpenFeatureClient) -> None:
    first = client.get_object_details("an-object", {}, PLAIN)
    assert pickle.loads(pickle.dumps(first)) == first
    assert isinstance(first.value, dict)
    first.value["title"] = "Another one"
    assert client.get_object_value("an-object", {}, PLAIN) == PICTURES


class Noting(Hook):
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext:
        self.seen.append(f"before {self.name}")
        return EvaluationContext("targeted")

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.seen.append(f"after {self.name} {details.value} {details.flag_metadata['source']}")

    def error(self, hook_context: HookContext, exception: Exception, hints: HookHints) -> None:
        self.seen.append(f"error {self.name} {getattr(exception, 'error_code', None)}")

    def finally_after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.seen.append(f"finally {self.name} {details.reason}")


def test_hooks_run_in_their_order_with_what_was_answered(client: OpenFeatureClient) -> None:
    seen: list[str] = []
    api.add_hooks([Noting("api", seen)])
    client.add_hooks([Noting("client", seen)])
    options = FlagEvaluationOptions(hooks=[Noting("call", seen)], hook_hints={"a": 1})
    forth, back = ("api", "client", "call"), ("call", "client", "api")

    client.get_string_details("audience", "NOBODY", PLAIN, options)
    assert seen == [
        *(f"before {name}" for name in forth),
        *(f"after {name} INTERNAL tenant" for name in back),
        *(f"finally {name} TARGETING_MATCH" for name in back),
    ]
    seen.clear()
    client.get_string_details("nothing", "NOBODY", PLAIN, options)
    assert seen[3:] == [
        *(f"error {name} FLAG_NOT_FOUND" for name in back),
        *(f"finally {name} ERROR" for name in back),
    ]


def test_a_provider_that_is_not_ready_in_error_or_fatal() -> None:
    begin = threading.Event()

    def waiting() -> Engine:
        begin.wait()
        return make()

    def broken() -> Engine:
        raise ConnectionError("no network")

    def wrong() -> Engine:
        return Engine.from_definitions({"features": {"a": 1}})

    api.set_provider(LeaseholdProvider(waiting), "waiting")
    with pytest.raises(ConnectionError, match="no network"):
        api.set_provider_and_wait(LeaseholdProvider(broken), "broken")
    with pytest.raises(ProviderFatalError, match="definitions refused") as raised:
        api.set_provider_and_wait(LeaseholdProvider(wrong), "wrong")
    assert getattr(raised.value.__cause__, "code", None) == "invalid_definitions"

    for domain, status, code in (
        ("waiting", ProviderStatus.NOT_READY, ErrorCode.PROVIDER_NOT_READY),
        ("broken", ProviderStatus.ERROR, ErrorCode.PROVIDER_NOT_READY),
        ("wrong", ProviderStatus.FATAL, ErrorCode.PROVIDER_FATAL),
    ):
        client = api.get_client(domain)
        assert client.get_provider_status() == status
        for of_type, initial in INITIALS.items():
            assert told(evaluated(client, of_type, "a-boolean", initial, PLAIN)) == (initial, "ERROR", code)

    client = api.get_client("waiting")
    ready = Heard(client, ProviderEvent.PROVIDER_READY)
    begin.set()
    assert ready.next().provider_name == "leasehold"
    assert client.get_provider_status() == ProviderStatus.READY
    assert client.get_boolean_value("a-boolean", False, PLAIN) is True


# Tenants.


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (EvaluationContext("targeted"), "INTERNAL"),
        (EvaluationContext("user 17", {"tenant_org_id": "targeted"}), "INTERNAL"),
        (EvaluationContext(None, {"tenant_org_id": "targeted"}), "INTERNAL"),
        (EvaluationContext("targeted", {"tenant_org_id": "plain"}), "EXTERNAL"),
        (EvaluationContext("plain", {"tenant_id": "targeted"}), "EXTERNAL"),
        (None, "TARGETING_KEY_MISSING"),
        (EvaluationContext(), "TARGETING_KEY_MISSING"),
        (EvaluationContext(""), "TARGETING_KEY_MISSING"),
        (EvaluationContext("targeted", {"tenant_org_id": ""}), "TARGETING_KEY_MISSING"),
        (EvaluationContext(17), "INVALID_CONTEXT"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (EvaluationContext("plain", {"tenant_org_id": ["targeted"]}), "INVALID_CONTEXT"),
        (EvaluationContext("nobody"), "INVALID_CONTEXT"),
        (EvaluationContext("PLAIN"), "INVALID_CONTEXT"),
        (EvaluationContext("plain\0"), "INVALID_CONTEXT"),
        (EvaluationContext("plain\ud800"), "INVALID_CONTEXT"),
    ],
)
def test_tenants_are_named_by_tenant_org_id_else_by_the_targeting_key_as_in_ofrep(
    client: OpenFeatureClient, context: EvaluationContext | None, expected: str
) -> None:
    details = evaluated(client, "string", "audience", "NOBODY", context)
    assert (details.error_code or details.value) == expected
    if details.error_code is not None:
        assert told(details)[:2] == ("NOBODY", "ERROR")
        assert details.error_message is not None
        assert details.error_message[0].islower() or details.error_message[0] == "`"


def test_tenants_are_found_by_a_function_of_the_app() -> None:
    def tenant_of(context: EvaluationContext) -> object:
        shop = context.attributes.get("shop")
        if shop == "none":
            raise LookupError("there is no such shop")
        return shop

    api.set_provider_and_wait(LeaseholdProvider(make(), tenant_of=tenant_of))
    client = api.get_client()

    def of(key: str | None, **attributes: str) -> FlagEvaluationDetails[str]:
        return client.get_string_details("audience", "NOBODY", EvaluationContext(key, attributes))

    assert of("plain", shop="targeted").value == "INTERNAL"
    assert of("plain").error_code == ErrorCode.TARGETING_KEY_MISSING
    raised = of(None, shop="none")
    assert told(raised) == ("NOBODY", "ERROR", ErrorCode.GENERAL)
    assert raised.error_message == "there is no such shop"
    with pytest.raises(ArgumentError, match="`tenant_of` is a callable"):
        LeaseholdProvider(make(), tenant_of="shop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# The life of a provider.


@pytest.mark.parametrize("source", [None, {}, "https://hq.example", DEFINITIONS])
def test_a_provider_takes_an_engine_or_a_function(source: Any) -> None:
    with pytest.raises(ArgumentError, match="takes an `Engine`"):
        LeaseholdProvider(source)


def test_what_gives_no_engine_is_fatal() -> None:
    async def later() -> Engine:
        raise AssertionError("nobody awaits it")

    coroutines: list[Any] = []

    def give() -> Any:
        coroutines.append(later())
        return coroutines[-1]

    sources: list[tuple[Any, str]] = [(give, "coroutine"), (lambda: None, "NoneType")]
    for source, name in sources:
        with pytest.raises(ProviderFatalError, match=f"of type `{name}`"):
            LeaseholdProvider(source).initialize(EvaluationContext())
    for coroutine in coroutines:
        coroutine.close()
    untrusted = LeaseholdProvider(lambda: Engine.follow(url="http://127.0.0.1:9", token="lht_none", trust={}))
    with pytest.raises(ProviderFatalError, match="`issuer` is missing"):
        untrusted.initialize(EvaluationContext())


@pytest.mark.parametrize("made", [True, False])
def test_an_engine_that_was_made_is_closed_and_one_that_was_given_is_not(made: bool) -> None:
    engine = make()
    provider = LeaseholdProvider((lambda: engine) if made else engine)
    assert provider.get_metadata().name == "leasehold"
    assert provider.get_provider_hooks() == []
    api.set_provider_and_wait(provider, "life")
    assert api.get_client("life").get_boolean_value("a-boolean", False, PLAIN) is True
    provider.shutdown()
    assert engine.closed is made
    # Whoever asks it still is told; and closing twice is closing once.
    assert provider.resolve_boolean_details("a-boolean", False, PLAIN).error_code == ErrorCode.PROVIDER_NOT_READY
    provider.shutdown()


def test_what_failed_is_tried_again_when_it_is_set_again() -> None:
    tries: list[int] = []

    def source() -> Engine:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return make()

    provider = LeaseholdProvider(source)
    with pytest.raises(ConnectionError):
        api.set_provider_and_wait(provider, "again")
    api.clear_providers()
    api.set_provider_and_wait(provider, "again")
    assert api.get_client("again").get_boolean_value("a-boolean", False, PLAIN) is True


def test_an_engine_that_is_made_while_its_provider_is_closed_is_closed_as_well() -> None:
    engine = make()

    def source() -> Engine:
        provider.shutdown()
        return engine

    provider = LeaseholdProvider(source)
    with pytest.raises(ProviderNotReadyError):
        provider.initialize(EvaluationContext())
    assert engine.closed
    assert provider.resolve_boolean_details("a-boolean", False, PLAIN).error_code == ErrorCode.PROVIDER_NOT_READY


def test_a_provider_that_was_closed_makes_another_engine_when_it_is_set_again() -> None:
    engines: list[Engine] = []

    def source() -> Engine:
        engines.append(make())
        return engines[-1]

    provider = LeaseholdProvider(source)
    provider.initialize(EvaluationContext())
    provider.shutdown()
    provider.initialize(EvaluationContext())
    assert provider.resolve_boolean_details("a-boolean", False, PLAIN).value is True
    assert [engine.closed for engine in engines] == [True, False]
    provider.shutdown()


def test_several_domains_one_provider_for_two_another_engine_for_a_third() -> None:
    made: list[Engine] = []

    def source() -> Engine:
        made.append(make(1))
        return made[-1]

    shared = LeaseholdProvider(source)
    api.set_provider_and_wait(shared, "one")
    api.set_provider_and_wait(shared, "two")
    api.set_provider_and_wait(LeaseholdProvider(make(3)), "three")

    def revisions() -> list[object]:
        asked = (
            api.get_client(domain).get_boolean_details("a-boolean", False, PLAIN) for domain in ("one", "two", "three")
        )
        return [details.flag_metadata["revision"] for details in asked]

    assert (revisions(), len(made)) == ([1, 1, 3], 1)
    # One of two domains takes another provider: the other one goes on.
    api.set_provider_and_wait(LeaseholdProvider(make(2)), "one")
    assert revisions() == [2, 1, 3]


def test_an_engine_that_is_closed_under_it_is_one_error_event_and_the_default_of_the_code() -> None:
    engine = make()
    api.set_provider_and_wait(LeaseholdProvider(engine), "closed")
    client = api.get_client("closed")
    errors = Heard(client, ProviderEvent.PROVIDER_ERROR)
    engine.close()
    for _ in range(3):
        details = client.get_boolean_details("a-boolean", True, PLAIN)
        assert told(details) == (True, "ERROR", ErrorCode.GENERAL)
        assert details.error_message is not None
        assert "closed" in details.error_message
    error = errors.next()
    assert error.message is not None
    assert "closed" in error.message
    assert client.get_provider_status() == ProviderStatus.ERROR
    # One that was closed before it was handed in never gets ready.
    with pytest.raises(ClosedError):
        api.set_provider_and_wait(LeaseholdProvider(engine), "late")
    assert errors.events == []


# Changes, and freshness.


def test_changes_are_told_with_the_flags_that_changed_for_anybody() -> None:
    engine = make(7)
    api.set_provider_and_wait(LeaseholdProvider(engine), "changing")
    client = api.get_client("changing")
    changes = Heard(client, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)

    engine.swap(
        with_features(8, audience=value("string", "EVERYBODY"), seats=DEFINITIONS["features"]["endless"]).snapshot()
    )
    change = changes.next()
    # One tenant has a value of its own for `audience`, and another one has not.
    assert (change.flags_changed, change.provider_name, change.metadata) == (
        ["audience", "seats"],
        "leasehold",
        {"revision": 8},
    )
    assert client.get_string_value("audience", "NOBODY", PLAIN) == "EVERYBODY"

    # A tenant that comes changes all flags of its own: none is named.
    engine.swap(with_features(9, {"has-come": tenant()}).snapshot())
    come = changes.next()
    assert (come.flags_changed, come.metadata) == (None, {"revision": 9})
    assert client.get_string_value("audience", "NOBODY", EvaluationContext("has-come")) == "EXTERNAL"


def test_an_engine_that_was_handed_in_tells_a_closed_provider_nothing_more() -> None:
    engine = make(7)
    heard: list[object] = []
    provider = LeaseholdProvider(engine)
    provider.attach(lambda *told: heard.append(told))
    provider.initialize(EvaluationContext())
    provider.shutdown()
    engine.swap(with_features(8, audience=value("string", "EVERYBODY")).snapshot())
    assert (engine.closed, heard) == (False, [])
    # Nor does the engine keep what is of no use any more.
    assert engine._on_change == []


def test_a_handler_may_ask_about_flags_and_swap_snapshots() -> None:
    engine = make(7)
    api.set_provider_and_wait(LeaseholdProvider(engine), "asking")
    client = api.get_client("asking")
    seen: list[str] = []
    client.add_handler(
        ProviderEvent.PROVIDER_CONFIGURATION_CHANGED,
        lambda _: seen.append(client.get_string_value("audience", "NOBODY", PLAIN)),
    )
    engine.swap(with_features(8, audience=value("string", "EVERYBODY")).snapshot())
    until("the handler asks", lambda: seen == ["EVERYBODY"])


def test_a_snapshot_that_expires_is_stale_and_ready_again_with_the_next_one() -> None:
    engine = make(7, expires_at=now_ms() + 60)
    api.set_provider_and_wait(LeaseholdProvider(engine), "fresh")
    client = api.get_client("fresh")
    stale = Heard(client, ProviderEvent.PROVIDER_STALE)
    assert stale.next().metadata in ({"revision": 7}, {})
    assert client.get_provider_status() == ProviderStatus.STALE
    # It goes on answering, and says so.
    details = client.get_boolean_details("a-boolean", False, PLAIN)
    assert (details.value, details.flag_metadata["freshness"]) == (True, "stale")

    ready = Heard(client, ProviderEvent.PROVIDER_READY)
    engine.swap(make(8, expires_at=now_ms() + HOUR_MS).snapshot())
    assert client.get_boolean_details("a-boolean", False, PLAIN).flag_metadata["freshness"] == "fresh"
    assert ready.next().metadata == {"revision": 8}
    assert client.get_provider_status() == ProviderStatus.READY


def test_one_that_has_expired_before_it_begins_is_ready_then_stale() -> None:
    seen: list[ProviderEvent] = []

    def noting(event: ProviderEvent) -> Callable[[EventDetails], None]:
        return lambda _: seen.append(event)

    client = api.get_client("old")
    # With no provider of its own, the domain has the SDK's, which is ready.
    client.add_handler(ProviderEvent.PROVIDER_READY, noting(ProviderEvent.PROVIDER_READY))
    client.add_handler(ProviderEvent.PROVIDER_STALE, noting(ProviderEvent.PROVIDER_STALE))
    until("the SDK's own provider is ready", lambda: seen)
    seen.clear()
    api.set_provider_and_wait(LeaseholdProvider(make(7, issued_at=now_ms() - HOUR_MS, expires_at=now_ms() - 1)), "old")
    until("it is stale", lambda: client.get_provider_status() == ProviderStatus.STALE)
    until("all is told", lambda: len(seen) == 2)
    assert set(seen) == {ProviderEvent.PROVIDER_READY, ProviderEvent.PROVIDER_STALE}


def test_an_expiry_beyond_what_a_timer_can_wait_for() -> None:
    provider = LeaseholdProvider(make(7, expires_at=now_ms() + 400 * 24 * HOUR_MS))
    api.set_provider_and_wait(provider, "far")
    assert api.get_client("far").get_provider_status() == ProviderStatus.READY
    waiting = [one for one in threading.enumerate() if one.name == "leasehold-openfeature"]
    assert len(waiting) == 1
    api.clear_providers()
    waiting[0].join(60)
    assert not waiting[0].is_alive()


def test_without_the_sdk_nothing_waits_and_a_stale_answer_is_an_answer() -> None:
    provider = LeaseholdProvider(make(7, issued_at=now_ms() - HOUR_MS, expires_at=now_ms() - 1000))
    provider.initialize(EvaluationContext())
    assert provider.resolve_boolean_details("a-boolean", False, PLAIN).flag_metadata["freshness"] == "stale"
    assert [one for one in threading.enumerate() if one.name == "leasehold-openfeature"] == []
    provider.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_process_tells_of_staleness_by_itself() -> None:
    # Long enough for a fork, and short enough to be waited for.
    api.set_provider_and_wait(LeaseholdProvider(make(7, expires_at=now_ms() + 1000)), "forked")
    client = api.get_client("forked")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            until("it is stale", lambda: client.get_provider_status() == ProviderStatus.STALE)
            os.write(write, b"stale")
        finally:
            os._exit(0)
    os.close(write)
    assert os.read(read, 16) == b"stale"
    os.close(read)
    os.waitpid(child, 0)
