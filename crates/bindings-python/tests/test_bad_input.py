"""Whatever is passed in: an error of ours, of a class and with a code, or a right answer. Never a crash, never a guess.

What an object of the caller's raises while it is read, reaches the caller as it is.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import pickle
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import pytest
from conformance.vectors import EPOCH, engine_of, read, read_bytes, time, trust
from leasehold import (
    AmountOutOfRangeError,
    ArgumentError,
    ClosedError,
    DefinitionsError,
    Engine,
    InternalError,
    LeaseholdError,
    Machine,
    OptionsError,
    QuestionError,
    Snapshot,
    SnapshotError,
    Tenant,
    TimedOutError,
    TransitionError,
    UnknownFeatureError,
    UnknownStageError,
    UnknownTenantError,
    UnknownWorkflowError,
    WrongKindError,
    _native,
    documents,
)
from leasehold.answers import Evaluation
from support.memory_source import MemorySource

NOW = time("2026-03-10T12:00:00Z")
HASH = "a" * 64
SHOP = engine_of("shop")
GUARDED = engine_of("guards").tenant("t")
MACHINE = GUARDED.machine("guards")
WORKFLOWS = engine_of("workflows").snapshot()

Ask = Callable[[], object]


class Oops(Exception):
    """What objects raise that answer nothing."""


def oops(*_: object, **__: object) -> NoReturn:
    raise Oops("{oops")


class Hostile:
    """Whoever looks into it is raised at."""

    __eq__ = __iter__ = __len__ = __index__ = __int__ = __float__ = __bool__ = oops
    __str__ = __repr__ = __getitem__ = __fspath__ = __bytes__ = __call__ = oops
    keys = items = values = get = oops

    def __hash__(self) -> int:
        oops()


class Text(str):
    """A text that says of itself that it is none."""

    __slots__ = ()
    __eq__ = __ne__ = __lt__ = __len__ = __iter__ = __str__ = __repr__ = __format__ = encode = oops

    def __hash__(self) -> int:
        oops()


class Whole(int):
    """An integer that says of itself that it is none."""

    __slots__ = ()
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __add__ = __str__ = __repr__ = __float__ = oops

    def __hash__(self) -> int:
        oops()


class Word(str, Enum):
    """As `StrEnum` of newer versions of Python."""

    ORDERS = "orders"
    TENANT = "t1"
    READ = "read"
    START = "start"
    EQUAL = "integer_equal"


class Number(IntEnum):
    ONE = 1
    FIVE = 5


CYCLIC: list[Any] = []
CYCLIC.append(CYCLIC)

OTHERS: dict[str, Any] = {
    "None": None,
    "a bool": True,
    "an int": 1,
    "a float": 1.5,
    "NaN": math.nan,
    "bytes": b"orders",
    "a bytearray": bytearray(b"orders"),
    "a list": ["orders"],
    "a tuple": ("orders",),
    "a set": {"orders"},
    "a mapping": {"orders": True},
    "an object": object(),
    "a class": str,
    "a function": oops,
    "a path": Path("orders"),
    "a decimal": Decimal(1),
    "a generator": (word for word in ["orders"]),
    "a hostile object": Hostile(),
    "a list that contains itself": CYCLIC,
    "an exception": ValueError("orders"),
    "NotImplemented": NotImplemented,
    "a lone surrogate": "orders\ud800",
}
"""What is of every kind but the one that is wanted."""


def without(*names: str) -> Iterator[tuple[str, Any]]:
    assert set(names) <= set(OTHERS)
    return ((name, other) for name, other in OTHERS.items() if name not in names)


def refuses(
    what: object, kind: type[LeaseholdError], code: str, ask: Callable[..., object], *args: Any, **named: Any
) -> LeaseholdError:
    """It raises an error of ours: of this class, with this code, and a message that somebody can act on."""
    try:
        answer = ask(*args, **named)
    except LeaseholdError as error:
        raised = error
    except BaseException as error:
        raise AssertionError(f"{what}: {type(error).__name__} is none of ours") from error
    else:
        raise AssertionError(f"{what}: answered {type(answer).__name__}")
    assert type(raised) is kind, f"{what}: {raised!r}"
    assert raised.code == code, f"{what}: {raised!r}"
    assert re.fullmatch(r"[^A-Z].*[^.]", str(raised), re.DOTALL), f"{what}: {raised}"
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)
    return raised


def argument(what: object, ask: Callable[..., object], *args: Any, **named: Any) -> LeaseholdError:
    error = refuses(what, ArgumentError, "invalid_argument", ask, *args, **named)
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)
    return error


def raises_as_it_is(
    what: object, error: BaseException | type[BaseException], ask: Callable[..., object], *args: Any
) -> None:
    """What an object of the caller's raises, the caller gets."""
    try:
        answer = ask(*args)
    except BaseException as raised:
        if raised is error or type(raised) is error:
            return
        raise AssertionError(f"{what}: {raised!r} in place of what was raised") from raised
    raise AssertionError(f"{what}: answered {type(answer).__name__}")


def is_well(engine: Engine = SHOP) -> None:
    """The engine answers on."""
    tenant = engine.tenant("t1")
    assert tenant.is_enabled("orders", NOW) is True
    assert tenant.decide("orders", NOW).enabled is True


# Texts.


@pytest.mark.parametrize(("what", "other"), without(), ids=lambda case: case if isinstance(case, str) else "")
def test_texts_that_are_none(what: str, other: Any) -> None:
    tenant, snapshot = SHOP.tenant("t1"), SHOP.snapshot()
    asks: list[Ask] = [
        lambda: SHOP.tenant(other),
        lambda: SHOP.is_enabled(other, "orders"),
        lambda: SHOP.is_enabled("t1", other),
        lambda: SHOP.is_enabled_or(other, "orders", True),
        lambda: SHOP.is_enabled_or("t1", other, True),
        lambda: SHOP.is_enabled_many([other], ["orders"]),
        lambda: SHOP.is_enabled_many(["t1"], ["orders", other]),
        lambda: tenant.is_enabled(other),
        lambda: tenant.is_enabled_or(other, False),
        lambda: tenant.decide(other),
        lambda: tenant.value(other),
        lambda: tenant.check_limit(other, 0, 1),
        lambda: tenant.explain(other),
        lambda: tenant.evaluate(other),
        lambda: tenant.machine(other),
        lambda: tenant.diff(other),
        lambda: GUARDED.transitions(other, "start"),
        lambda: GUARDED.check_transition("guards", other, "start"),
        lambda: MACHINE.transitions(other),
        lambda: MACHINE.check(other, "start"),
        lambda: MACHINE.check("start", other),
        lambda: MACHINE.check("start", "always", roles=[other]),
        lambda: MACHINE.explain("start", other),
        lambda: MACHINE.picture(other),
        lambda: snapshot.diff_tenants("t1", other),
        lambda: snapshot.diff_tenants(other, "t1"),
        lambda: snapshot.compare_versions(other, 1, 2),
        lambda: snapshot.upgrade("t1", "order", 1, other),
        lambda: snapshot.upgrade("t1", other, 1, "ours"),
        lambda: snapshot.replay(other, 1, []),
        lambda: Engine.from_definitions([(other, "{}")]),
        lambda: documents.place_of(other),
        lambda: documents.key_id(other),
        lambda: documents.is_staged(other, HASH, 1),
        lambda: documents.is_staged("e", other, 1),
        lambda: documents.open_chunk(other, 1, "raw", b""),
        lambda: documents.open_chunk(HASH, 1, other, b""),
        lambda: documents.verify_slice(b"", other, trust()),
    ]
    if other is not None:
        asks += [
            lambda: tenant.machine("guards", other),
            lambda: GUARDED.transitions("guards", "start", category=other),
            lambda: MACHINE.picture("svg", language=other),
            lambda: MACHINE.picture("svg", current=other),
            lambda: tenant.is_enabled("orders", NOW, action=other),
            lambda: SHOP.is_enabled("t1", "orders", NOW, action=other),
            lambda: tenant.decide("orders", NOW, action=other),
            lambda: tenant.explain("orders", NOW, action=other),
            lambda: tenant.answer_table(NOW, action=other),
            lambda: Engine.from_pack(b"", trust(), stream=other),
        ]
    for at, ask in enumerate(asks):
        argument(f"{what} in question {at}", ask)
    is_well()


def test_texts_that_name_nothing() -> None:
    tenant = SHOP.tenant("t1")
    huge = "a" * (16 << 20)
    for name in ("", "Orders", " orders", "orders\0", "\0", "or\0ders", "💧", "__class__", "orders" * 2, huge):
        what = name[:40]
        refuses(what, UnknownFeatureError, "unknown_feature", tenant.is_enabled, name, NOW)
        assert tenant.is_enabled_or(name, True, NOW) is True
        assert SHOP.is_enabled_or(name, "orders", False, NOW) is False
        unknown_feature: list[tuple[Any, ...]] = [
            (tenant.decide, name, NOW),
            (tenant.explain, name, NOW),
            (tenant.evaluate, name, NOW),
            (tenant.value, name, NOW),
            (tenant.check_limit, name, 0, 1, NOW),
            (SHOP.is_enabled_many, ["t1"], ["orders", name], NOW),
        ]
        for question in unknown_feature:
            refuses(what, UnknownFeatureError, "unknown_feature", *question)
        unknown_tenant: list[tuple[Any, ...]] = [
            (SHOP.tenant, name),
            (SHOP.is_enabled, name, "orders"),
            (SHOP.is_enabled_many, ["t1", name], []),
            (tenant.diff, name),
        ]
        for question in unknown_tenant:
            refuses(what, UnknownTenantError, "unknown_tenant", *question)
        refuses(what, UnknownWorkflowError, "unknown_workflow", tenant.machine, name)
        refuses(what, UnknownStageError, "unknown_stage", MACHINE.transitions, name)
    refuses("a limit", WrongKindError, "wrong_kind", tenant.is_enabled, "max_users", NOW)
    refuses("a switch", WrongKindError, "wrong_kind", tenant.value, "orders", NOW)
    refuses("a value", WrongKindError, "wrong_kind", tenant.check_limit, "theme", 0, 1, NOW)
    for action in ("", "USE", "use\0", "write"):
        argument(action, tenant.is_enabled, "orders", NOW, action=action)
    for form in ("", "png", "svg\0"):
        argument(form, MACHINE.picture, form)
    argument("a language", MACHINE.picture, "svg", language="fr")


def test_texts_and_integers_of_other_classes_are_what_they_are() -> None:
    tenant = SHOP.tenant(Word.TENANT)
    assert tenant.id == "t1"
    assert type(tenant.id) is str
    for feature in (Word.ORDERS, Text("orders")):
        assert tenant.is_enabled(feature, NOW) is True
        assert SHOP.is_enabled(Text("t1"), feature, Whole(NOW), action="read") is True
        assert SHOP.is_enabled_many([Text("t1")], [feature], NOW) == [[True]]
        assert tenant.decide(feature, NOW).enabled is True
    assert tenant.check_limit("max_users", Number.ONE, Whole(5), NOW) == tenant.check_limit("max_users", 1, 5, NOW)
    refuses("a text", UnknownFeatureError, "unknown_feature", tenant.is_enabled, Text("no"), NOW)
    assert MACHINE.check(Word.START, Word.EQUAL, inputs={"n": Number.FIVE}).transition == "integer_equal"
    assert MACHINE.check("start", "integer_equal", inputs={"n": Whole(5)}, roles=[Text("a")]).event == "integer_equal"
    assert Engine.from_definitions({}, revision=Whole(7)).snapshot().revision == 7
    assert documents.canonical_form({"a": Number.FIVE, Word.ORDERS: Word.READ}) == '{"a":5,"orders":"read"}'


def test_arguments_that_are_missing_or_unknown() -> None:
    tenant = SHOP.tenant("t1")
    asks: list[Callable[..., Any]] = [
        SHOP.tenant,
        SHOP.is_enabled,
        SHOP.is_enabled_or,
        SHOP.is_enabled_many,
        SHOP.swap,
        SHOP.on_change,
        SHOP.wait_for,
        tenant.is_enabled,
        tenant.is_enabled_or,
        tenant.check_limit,
        tenant.what_if,
        MACHINE.check,
        Engine.from_pack,
        Engine.from_definitions,
        Engine.follow,
        documents.verify_head,
    ]
    for ask in asks:
        with pytest.raises(TypeError, match="missing"):
            ask()
        with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
            ask(nonsense=1)
    with pytest.raises(TypeError, match="positional"):
        tenant.is_enabled("orders", NOW, "use")  # type: ignore[call-arg]


# Instants.

INSTANTS: dict[str, Any] = {
    name: other for name, other in OTHERS.items() if name not in ("None", "an int", "a float")
} | {
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "a text": "2026-03-10T12:00:00Z",
    "a naive datetime": datetime(2026, 3, 10, 12),
    "a naive datetime of a zone that does not know": datetime(
        2026, 3, 10, tzinfo=type("Z", (tzinfo,), {"utcoffset": lambda *_: None})()
    ),
    "a date": date(2026, 3, 10),
    "a time of day": time_of_day(12),
    "a duration": timedelta(days=1),
    "a fraction": Fraction(1, 2),
    "a complex number": 1j,
    "far beyond any calendar": 2**64,
    "far before any calendar": -(10**5000),
}


def asks_at(now: Any) -> dict[str, Ask]:
    tenant, snapshot = SHOP.tenant("t1"), SHOP.snapshot()
    return {
        "is_enabled": lambda: tenant.is_enabled("orders", now),
        "is_enabled by id": lambda: SHOP.is_enabled("t1", "orders", now),
        "is_enabled_or": lambda: tenant.is_enabled_or("orders", True, now),
        "is_enabled_or by id": lambda: SHOP.is_enabled_or("t1", "orders", True, now),
        "is_enabled_many": lambda: SHOP.is_enabled_many(["t1"], ["orders"], now),
        "decide": lambda: tenant.decide("orders", now),
        "value": lambda: tenant.value("theme", now),
        "check_limit": lambda: tenant.check_limit("max_users", 0, 1, now),
        "entitlements": lambda: tenant.entitlements(now),
        "answer_table": lambda: tenant.answer_table(now),
        "explain": lambda: tenant.explain("orders", now),
        "what_if": lambda: tenant.what_if({}, {}, now),
        "diff": lambda: tenant.diff("t2", now),
        "evaluate": lambda: tenant.evaluate("orders", now),
        "evaluate_all": lambda: tenant.evaluate_all(now),
        "freshness": lambda: snapshot.freshness(now),
        "diff of snapshots": lambda: snapshot.diff(snapshot, now),
        "changes": lambda: snapshot.changes(snapshot, now),
        "diff_tenants": lambda: snapshot.diff_tenants("t1", "t2", now),
        "issued_at": lambda: Engine.from_definitions({}, issued_at=now),
        "expires_at": lambda: Engine.from_definitions({}, expires_at=now),
        "health": lambda: _native.Follower(trust()).health(now),
    }


@pytest.mark.parametrize("what", INSTANTS)
def test_instants_that_are_none(what: str) -> None:
    for name, ask in asks_at(INSTANTS[what]).items():
        message = str(argument(f"{name} at {what}", ask))
        assert f"`{name if name in ('issued_at', 'expires_at') else 'now'}`" in message
        assert "milliseconds" in message
        assert "aware `datetime`" in message
    if "naive datetime" in what:
        assert "`datetime.now(timezone.utc)`" in message


class Zone(tzinfo):
    """A time zone of somebody's own."""

    def __init__(self, utcoffset: Callable[[], Any]) -> None:
        self._utcoffset = utcoffset

    def utcoffset(self, at: datetime | None) -> timedelta:
        offset: timedelta = self._utcoffset()
        return offset

    def dst(self, at: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, at: datetime | None) -> str:
        return "own"


class Skewed(datetime):
    """A time that says of itself what cannot be."""

    def utcoffset(self) -> timedelta:
        return timedelta(0)

    def __sub__(self, other: Any) -> Any:
        return type("Duration", (), {"days": 2**62, "seconds": 2**62, "microseconds": 2**62})()


class Odd(datetime):
    """A time of which nothing can be taken away."""

    def __sub__(self, other: Any) -> Any:
        return "nothing"


def test_instants_whose_own_code_fails() -> None:
    for name, ask in asks_at(datetime(2026, 3, 10, tzinfo=Zone(oops))).items():
        raises_as_it_is(name, Oops, ask)
    for at in (datetime(2026, 3, 10, tzinfo=Zone(lambda: 5)), Odd(2026, 3, 10, tzinfo=timezone.utc)):
        for name, ask in asks_at(at).items():
            try:
                ask()
            except (TypeError, AttributeError, LeaseholdError):
                continue
            except BaseException as error:
                raise AssertionError(f"{name}: {error!r}") from error
    # What it says of itself may be taken at its word or not, but nothing breaks.
    for name, ask in asks_at(Skewed(2026, 3, 10, tzinfo=timezone.utc)).items():
        try:
            ask()
        except (ArgumentError, QuestionError):
            continue
        except BaseException as error:
            raise AssertionError(f"{name}: {error!r}") from error
    is_well()


def test_instants_at_the_ends_of_the_calendar() -> None:
    first, last = time("0000-01-01T00:00:00Z"), time("9999-12-31T23:59:59.999Z")
    west, east = timezone(-timedelta(hours=23, minutes=59)), timezone(timedelta(hours=23, minutes=59))
    utc = timezone.utc
    beyond = [first - 1, last + 1, 8_640_000_000_000_000, -(2**63), 2**63 - 1, 1e300, -1e300, float(last + 1)]
    # A day later than the last of the year 9999, and a day before the first of the year 1.
    far: list[Any] = [datetime.max.replace(tzinfo=west)]
    for now in [*beyond, *far]:
        for name, ask in asks_at(now).items():
            refuses(f"{name} at {now}", QuestionError, "time_out_of_range", ask)
    tenant = SHOP.tenant("t1")
    within: list[Any] = [first, last, first + 0.5, last + 0.9, 0, -0.0, 0.5, -0.5, 5e-324, NOW + 0.999]
    within += [datetime.min.replace(tzinfo=utc), datetime.max.replace(tzinfo=utc), datetime.min.replace(tzinfo=east)]
    for now in within:
        for ask in asks_at(now).values():
            ask()
    at = EPOCH + timedelta(milliseconds=NOW)
    for now in (NOW, float(NOW), NOW + 0.999, at, at.astimezone(east), at + timedelta(microseconds=999), Whole(NOW)):
        assert tenant.answer_table(now) == tenant.answer_table(NOW)
    assert Engine.from_definitions({}, issued_at=at - timedelta(microseconds=1)).snapshot().about.issued_at == (
        at - timedelta(milliseconds=1)
    )


def test_an_instant_that_a_clock_shows_twice() -> None:
    def offset() -> timedelta:
        return timedelta(hours=2)

    once = datetime(2026, 10, 25, 2, 30, tzinfo=Zone(offset))
    again = once.replace(fold=1)
    issued = [Engine.from_definitions({}, issued_at=at).snapshot().about.issued_at for at in (once, again)]
    assert issued == [once, again]


# Numbers.


def test_amounts_that_are_none() -> None:
    tenant = SHOP.tenant("t1")

    def check(used: Any, requested: Any) -> Any:
        return tenant.check_limit("max_users", used, requested, NOW)

    for what, other in [*without("an int"), ("a text", "1"), ("a whole float", 1.0), ("a fraction", Fraction(1))]:
        for amounts in ((other, 1), (1, other)):
            if what == "a hostile object":
                raises_as_it_is(what, Oops, check, *amounts)
            else:
                argument(what, check, *amounts)
    assert "`int(…)`" in str(argument("a float", check, 1.0, 1))
    assert "bool" in str(argument("a bool", check, 1, True))
    for number in (-1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**53), -(2**63), -(2**64), 10**5000, -(10**5000)):
        what = hex(number)[:20]
        refuses(what, AmountOutOfRangeError, "amount_out_of_range", check, number, 1)
        refuses(what, AmountOutOfRangeError, "amount_out_of_range", check, 1, number)
    assert check(2**53 - 1, 2**53 - 1).outcome == "deny"
    assert check(0, 2**53 - 1).outcome == "deny"
    assert check(type("Index", (), {"__index__": lambda _: 5})(), 1) == check(5, 1)


def test_versions_that_are_none() -> None:
    for what, other in [*without("an int", "a hostile object"), ("-1", -1), ("2^32", 2**32), ("huge", 10**400)]:
        argument(what, WORKFLOWS.compare_versions, "order", other, 1)
        argument(what, WORKFLOWS.compare_versions, "order", 1, other)
        argument(what, WORKFLOWS.upgrade, "pinned", "order", other, "ours")
        argument(what, WORKFLOWS.replay, "order", other, [])
    for version in (0, 2**32 - 1):
        refuses(version, QuestionError, "unknown_workflow_version", WORKFLOWS.compare_versions, "order", 1, version)
    for what, other in [*without("None", "an int", "a hostile object"), ("-1", -1), ("2^53", 2**53), ("huge", 10**400)]:
        argument(what, Engine.from_definitions, {}, revision=other)
    assert Engine.from_definitions({}, revision=2**53 - 1).snapshot().revision == 2**53 - 1


def test_defaults_that_are_none() -> None:
    tenant = SHOP.tenant("t1")
    for what, other in without("a bool"):
        argument(what, tenant.is_enabled_or, "orders", other, NOW)
        argument(what, SHOP.is_enabled_or, "t1", "orders", other, NOW)
        argument(what, SHOP.is_enabled_or, "nobody", "orders", other, NOW)


def test_waiting_for_what_is_none() -> None:
    for what, other in [*without("an int"), ("-1", -1), ("2^53", 2**53), ("huge", 10**5000)]:
        argument(what, SHOP.wait_for, other)
        argument(what, SHOP.wait_for, 1, other)
    assert SHOP.wait_for(99) == 99
    refuses("an engine that does not follow", TimedOutError, "timed_out", SHOP.wait_for, 100)
    for what, other in without("a function", "a class"):
        if not callable(other):
            argument(what, SHOP.on_change, other)
            argument(what, SHOP.on_fault, other)


# Contexts of workflows.


def test_answers_that_differ_are_not_equal() -> None:
    def answer(value: object) -> Evaluation:
        feature = {"name": "A", "name2": "A", "group": "add_on", "kind": "value", "type": "json", "default": value}
        of = {"name": "T", "name2": "T", "region": "R", "anchor": "2026-01-01T00:00:00Z"}
        engine = Engine.from_definitions({"features": {"a": feature}, "tenants": {"t": of}})
        return engine.tenant("t").evaluate("a", NOW)

    for one, other in ((0, False), ({"on": 1}, {"on": True})):
        assert answer(one) == answer(one)
        assert hash(answer(one)) == hash(answer(one))
        assert answer(one) != answer(other)


def test_contexts_that_are_none() -> None:
    def asks(**context: Any) -> list[Ask]:
        return [
            lambda: MACHINE.check("start", "integer_equal", **context),
            lambda: MACHINE.explain("start", "integer_equal", **context),
            lambda: MACHINE.transitions("start", **context),
        ]

    for what, other in [*without("None", "a mapping"), ("pairs", [("n", 5)]), ("a text", '{"n": 5}')]:
        for ask in asks(inputs=other):
            argument(f"inputs: {what}", ask)
    for what, other in [("a name that is none", {1: 5}), ("a surrogate", {"s": "\ud800"}), ("its name", {"\udc00": 1})]:
        for ask in asks(inputs=other):
            argument(f"inputs: {what}", ask)
    for what in ("bytes", "a set", "an object", "a class", "a function", "a path", "a decimal", "a lone surrogate"):
        # What has no form as JSON is no input.
        for ask in asks(inputs={"n": 5, "x": OTHERS[what]}):
            argument(f"an input: {what}", ask)
    strings = ["a text", "a list", "a tuple", "a set", "a mapping", "a generator"]
    for what, other in without("None", "a hostile object", *(name for name in strings if name in OTHERS)):
        for ask in asks(roles=other):
            argument(f"roles: {what}", ask)
    assert "list" in str(argument("roles: a text", MACHINE.check, "start", "always", roles="manager"))
    for ask in asks(inputs=Hostile()):
        argument("what is no mapping is not looked into", ask)
    for ask in asks(roles=Hostile()):
        raises_as_it_is("roles", Oops, ask)
    is_well()


def test_inputs_that_a_guard_cannot_read_do_not_pass_it() -> None:
    def refused(inputs: Any, code: str, to: str = "integer_equal") -> None:
        error = refuses(
            f"{to} {inputs!r:.80}", TransitionError, "guard_failed", MACHINE.check, "start", to, inputs=inputs
        )
        assert isinstance(error, TransitionError)
        assert [blocker.code for blocker in error.blockers] == [code], f"{to} {inputs!r:.80}"

    refused(None, "input_missing")
    refused({}, "input_missing")
    refused(MappingProxyType({}), "input_missing")
    mistyped: list[Any] = [None, 5.0, 5.5, "5", "", [], [5], (), {}, {"n": 5}, [["a"]], ["a", 1], True]
    for value in mistyped:
        refused({"n": value}, "input_mistyped")
    for value in (math.nan, math.inf, -math.inf):
        inputs: Any = {"n": value}
        with pytest.raises((TransitionError, ArgumentError)):
            MACHINE.check("start", "integer_equal", inputs=inputs)
    # An integer that is too great or too small for a guard is none of those between.
    for to in ("integer_equal", "integer_not_equal", "integer_less", "integer_at_most"):
        for number in (2**53, -(2**53), 2**63, -(2**63), 2**64, -(2**64), 10**400, -(10**400), 1e300):
            refused({"n": number}, "input_out_of_range", to)
    assert MACHINE.check("start", "integer_equal", inputs={"n": 5}).transition == "integer_equal"
    fits: list[Any] = [
        MappingProxyType({"n": 5}),
        type("Own", (dict,), {})(n=5),
        {"n": 5, "__class__": 1, "": None},
    ]
    for inputs in fits:
        assert MACHINE.check("start", "integer_equal", inputs=inputs).event == "integer_equal"
    # What no guard asks for is as it may be.
    more: list[Any] = [None, 1.5, [1, [2]], {"a": {"b": [None]}}]
    for value in more:
        assert MACHINE.check("start", "integer_equal", inputs={"n": 5, "other": value}).event == "integer_equal"


def test_roles_may_come_from_anything_that_can_be_gone_through() -> None:
    everything: list[Iterable[str]] = [["a"], ("a",), {"a"}, frozenset("a"), {"a": 1}, iter("a"), (one for one in "a")]
    for roles in everything:
        assert MACHINE.check("start", "always", roles=roles).event == "always"


# Mappings, lists and what is in them.


def test_objects_that_are_none() -> None:
    tenant = SHOP.tenant("t1")
    for what, other in [*without("a mapping"), ("a text", "{}"), ("pairs", [("plan", "growth")])]:
        argument(what, tenant.what_if, other, {}, NOW)
        if other is not None:
            argument(what, tenant.what_if, {}, other, NOW)
    for what, other in [*without("a list", "a tuple", "a list that contains itself"), ("a text", "[]")]:
        argument(what, WORKFLOWS.replay, "order", 1, other)
        argument(what, WORKFLOWS.replay, "order", 1, [other])
    changes: list[Any] = [
        {"plan": 1},
        {"plan": "No Key"},
        {"version": 1},
        {"add_ons": [{"key": "a"}]},
        {"add_ons": "a"},
        {"add_ons": [{"key": "extra_user", "quantity": quantity} for quantity in (-1,)]},
        *({"add_ons": [{"key": "extra_user", "quantity": quantity}]} for quantity in (-1, 0.5, 2**64, "a", None, True)),
        {"plans": "a"},
        {"without": "a"},
        {1: 2},
        {"plan": "\ud800"},
        {"plan": Hostile()},
        {"plan": object()},
        {"plan": OTHERS["a list that contains itself"]},
    ]
    for change in changes:
        argument(list(change), tenant.what_if, change, {}, NOW)
    amounts: list[Any] = ["1", None, True, 1.0, 0.5, math.nan, [1], {}, Decimal(1)]
    for used in amounts:
        argument(f"usage of {used!r}", tenant.what_if, {}, {"max_users": used}, NOW)
    argument("usage of no feature", tenant.what_if, {}, {"No Key": 1}, NOW)
    argument("usage of a number", tenant.what_if, {}, {1: 1}, NOW)
    for used in (-1, 2**53, 2**64, -(2**64), 10**40, 10**400):
        usage, what = {"max_users": used}, f"usage of {hex(used):.20}"
        refuses(what, AmountOutOfRangeError, "amount_out_of_range", tenant.what_if, {}, usage, NOW)
    is_well()


def test_keys_that_are_no_texts_are_not_guessed() -> None:
    for key in (1, True, None, 1.5):
        argument(key, Engine.from_definitions, {key: {}})
        argument(key, documents.canonical_form, {key: 1})
        argument(key, documents.hash_of_definitions, {key: 1})
        argument(key, documents.merge, {}, {"a": {key: 1}}, {})
        argument(key, Engine.from_pack, b"", {key: 1})


def test_snapshots_that_are_none() -> None:
    engine = engine_of("shop")
    snapshot = engine.snapshot()
    machine = MACHINE
    for what, other in [*without(), ("a pack", read_bytes("packs/shop.pack")), ("an engine", engine)]:
        argument(what, Engine, other)
        argument(what, engine.swap, other)
        argument(what, snapshot.diff, other)
        argument(what, snapshot.changes, other)
        if other is not None:
            argument(what, machine.picture, "svg", against=other)
    assert engine.snapshot() is snapshot, "what is no snapshot is not put in"
    is_well(engine)


def test_classes_that_only_the_package_makes() -> None:
    for kind in (Snapshot, Tenant, Machine, _native.Action):
        for given in ((), (SHOP,), ("t1",), (SHOP, "t1")):
            with pytest.raises(TypeError, match="cannot create"):
                kind(*given)
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Own", (kind,), {})
    for thing in (SHOP.tenant("t1"), MACHINE, SHOP.snapshot(), _native.Follower(trust())):
        for name in ("id", "anything", "__class__"):
            with pytest.raises((AttributeError, TypeError)):
                setattr(thing, name, 1)
    with pytest.raises(AttributeError):
        SHOP.closed = True  # type: ignore[misc]


def test_methods_on_what_they_are_not_of() -> None:
    things = [None, 1, "orders", {}, SHOP, SHOP.snapshot(), SHOP.tenant("t1"), MACHINE, Hostile(), object()]
    for kind in (_native.Engine, Snapshot, Tenant, Machine, _native.Follower):
        for name, method in vars(kind).items():
            if not callable(method) or name in ("__new__", "__doc__"):
                continue
            for thing in things:
                if not isinstance(thing, kind):
                    with pytest.raises(TypeError):
                        method(thing, "orders", "start")


# What is copied and pickled.


def test_handles_are_neither_copied_nor_pickled() -> None:
    handles: dict[str, Any] = {
        "engine": SHOP,
        "tenant": SHOP.tenant("t1"),
        "snapshot": SHOP.snapshot(),
        "machine": MACHINE,
        "follower": _native.Follower(trust()),
    }
    for name, handle in handles.items():
        ways: list[Callable[[Any], Any]] = [
            copy.copy,
            copy.deepcopy,
            lambda handle: copy.deepcopy({"in": [handle]}),
            *(partial(pickle.dumps, protocol=protocol) for protocol in range(6)),
            lambda handle: pickle.dumps([handle]),
            lambda handle: ForkingPickler.dumps(handle),
            lambda handle: handle.__reduce_ex__(4),
        ]
        for at, way in enumerate(ways):
            message = str(argument(f"{name} in way {at}", way, handle))
            assert name in message
            assert "neither copied nor pickled" in message
            assert ": " in message, "it says what to do"
    is_well()


# What raises while it is read.


class RaisingMapping(Mapping[str, Any]):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getitem__(self, name: str) -> Any:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        raise self._error

    def __len__(self) -> int:
        return 1


class RaisingDict(dict[str, Any]):
    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self._error = error

    def items(self) -> Any:
        raise self._error


class RaisingSequence:
    def __init__(self, error: BaseException, begins: bool) -> None:
        self._error = error
        self._begins = begins

    def __iter__(self) -> Iterator[str]:
        if not self._begins:
            raise self._error
        return self._items()

    def _items(self) -> Iterator[str]:
        yield "t1"
        raise self._error


@pytest.mark.parametrize("error", [Oops("{oops"), KeyboardInterrupt(), SystemExit(3), MemoryError()], ids=repr)
def test_what_the_callers_objects_raise_reaches_the_caller(error: BaseException) -> None:
    tenant = SHOP.tenant("t1")

    def fails(*_: object) -> NoReturn:
        raise error

    index = type("Index", (), {"__index__": fails})()
    asks: list[tuple[Any, ...]] = [
        (tenant.check_limit, "max_users", index, 1),
        (tenant.check_limit, "max_users", 1, index),
        (tenant.is_enabled, "orders", datetime(2026, 3, 10, tzinfo=Zone(fails))),
        # Of a dict its own items count: what a class of one's own makes of them, nobody asks.
        (partial(MACHINE.check, "start", "always", inputs=RaisingMapping(error)),),
        (Engine.from_definitions, RaisingSequence(error, False)),
        (Engine.from_definitions, (fails() for _ in "a")),
    ]
    for mapping in (RaisingMapping(error), RaisingDict(error)):
        asks += [
            (Engine.from_definitions, mapping),
            (Engine.from_pack, b"", mapping),
            (tenant.what_if, mapping),
            (tenant.what_if, {}, mapping),
            (documents.hash_of_definitions, mapping),
        ]
    for begins in (False, True):
        sequence: Any = RaisingSequence(error, begins)
        asks += [
            (SHOP.is_enabled_many, sequence, ["orders"]),
            (SHOP.is_enabled_many, ["t1"], sequence),
            (partial(MACHINE.check, "start", "always", roles=sequence),),
        ]
    for at, (ask, *args) in enumerate(asks):
        raises_as_it_is(f"question {at}", error, ask, *args)
    is_well()


def test_what_is_read_may_ask_the_engine_itself() -> None:
    engine = engine_of("shop")
    next_one = engine_of("shop_v2").snapshot()

    def ids() -> Iterator[str]:
        yield "t1"
        engine.swap(next_one)
        assert engine.tenant("t1").decide("orders", NOW).revision == next_one.revision
        yield "t2"

    assert len(engine.is_enabled_many(ids(), ["orders"], NOW)) == 2
    assert engine.snapshot() is next_one

    def closing() -> Iterator[str]:
        engine.close()
        yield "t1"

    refuses("closed meanwhile", ClosedError, "closed", engine.is_enabled_many, closing(), ["orders"], NOW)

    class Growing(dict[str, Any]):
        def items(self) -> Any:
            self["b"] = 1
            return super().items()

    assert documents.canonical_form(Growing()) in ("{}", '{"b":1}')


# Packs, definitions, documents.


def test_packs_that_are_none() -> None:
    pack = read_bytes("packs/shop.pack")
    believed = json.loads(trust())
    for what, other in [*without("bytes"), ("a text", "pack"), ("a view", memoryview(pack))]:
        argument(what, Engine.from_pack, other, believed)
    for what, other in [*without("a mapping", "a lone surrogate"), ("a list of texts", ["{"])]:
        argument(f"trust: {what}", Engine.from_pack, pack, other)
    argument("trust: a lone surrogate", Engine.from_pack, pack, "\ud800")
    argument("trust with an object in it", Engine.from_pack, pack, {"issuer": object()})

    def refused(pack: bytes, trust: Any, what: str) -> str:
        with pytest.raises(SnapshotError) as failed:
            Engine.from_pack(pack, trust)
        error = failed.value
        assert type(error) is SnapshotError, what
        assert error.code, what
        assert error.stage, what
        assert error.item, what
        return error.code

    for other in ("", "{", "[]", '{"issuer": 1}', "{}", {}, {**believed, "more": 1}, "\0", "x" * 1_000_000):
        refused(pack, other, f"trust: {other!r:.40}")
    for other in ("", "{", "[]", "\0"):
        with pytest.raises(LeaseholdError):
            Engine.from_pack(pack, other, stream="GCC-OM")
    assert Engine.from_pack(pack, believed).snapshot().revision == 99
    assert Engine.from_pack(pack, MappingProxyType(believed), stream="GCC-OM").snapshot().revision == 99
    assert Engine.from_pack(type("Own", (bytes,), {})(pack), trust()).snapshot().revision == 99
    stranger = "ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c"
    assert refused(pack, {**believed, "stream": "GCC-SA"}, "stream") == "wrong_stream"
    assert refused(pack, {**believed, "issuer": "else.example"}, "issuer") == "wrong_issuer"
    assert refused(pack, {**believed, "roots": [stranger]}, "key") == "unknown_key"
    for length in range(0, len(pack), -(-len(pack) // 200)):
        refused(pack[:length], believed, f"the first {length} bytes")
    refused(pack + b"\0", believed, "a byte too many")
    refused(bytes(32 << 20), believed, "many zeros")
    for at in range(0, len(pack), -(-len(pack) // 400)):
        flipped = bytearray(pack)
        flipped[at] ^= 1 << (at % 8)
        refused(bytes(flipped), believed, f"a flipped bit in byte {at}")


def test_definitions_that_are_none() -> None:
    for what, other in [*without("a mapping"), ("a text", "{}"), ("files by name", {("a.json", "{}")})]:
        if what == "a hostile object":
            raises_as_it_is(what, Oops, Engine.from_definitions, other)
        elif what != "files by name":
            argument(what, Engine.from_definitions, other)
        argument(f"a file that is {what}", Engine.from_definitions, [other])
        if what != "a text":
            argument(f"a name that is {what}", Engine.from_definitions, [(other, "{}")])
        if what not in ("bytes", "a text"):
            argument(f"a content that is {what}", Engine.from_definitions, [("a.json", other)])
    for file in (("a.json",), ("a.json", "{}", 1), {"name": "a.json"}, "ab"):
        argument(file, Engine.from_definitions, [file])
    cyclic: dict[str, Any] = {"features": {}}
    cyclic["features"]["a"] = cyclic
    argument("what contains itself", Engine.from_definitions, cyclic)
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"features": deep}
    argument("what is too deep", Engine.from_definitions, deep)
    for value in (object(), {1}, b"x", math.nan, math.inf, Decimal(1), datetime(2026, 3, 10), "\ud800"):
        argument(repr(value), Engine.from_definitions, {"features": {"a": value}})
    contents: list[Any] = ["", "[]", "{", "\0", '{"a": 1, "a": 2}', "x" * (8 << 20), b"\xff", b"", "[[" * 1_000_000]
    for content in contents:
        error = refuses(
            content[:20], DefinitionsError, "invalid_definitions", Engine.from_definitions, [("a.json", content)]
        )
        assert isinstance(error, DefinitionsError)
        assert {one.file for one in error.diagnostics} == {"a.json"}
    # Definitions without anything in them are definitions.
    nothings: list[Any] = [{}, [], (), iter(()), [("a.json", "{}")], [("", b"{}"), ("\0", "{}")]]
    for nothing in nothings:
        assert Engine.from_definitions(nothing).snapshot().tenant_ids() == []


def test_all_mistakes_in_definitions_are_told_at_once() -> None:
    feature = {"kind": "switch", "name": "N", "name2": "ن", "group": "module"}
    features = {f"f{at}": {**feature, "requires": [f"no_such_{at}"]} for at in range(2_000)}
    with pytest.raises(DefinitionsError) as many:
        Engine.from_definitions({"features": features})
    found = many.value.diagnostics
    assert len(found) == 2_000
    assert (found[0].severity, found[0].code, found[0].path) == ("error", "unknown_feature", "/features/f0/requires/0")
    assert "`no_such_0`" in found[0].message
    assert isinstance(found[0].hint, str)
    with pytest.raises(DefinitionsError) as two:
        Engine.from_definitions([("a.json", "{"), ("b.json", '{"features": {"A": 1}, "plans": 2}')])
    assert {one.file for one in two.value.diagnostics} == {"a.json", "b.json"}


def test_documents_that_are_none() -> None:
    for what, other in [*without("bytes"), ("a text", "x")]:
        argument(what, documents.check_canonical, other)
        argument(what, documents.hash_of, other)
        argument(what, documents.verify_head, other, trust())
        argument(what, documents.verify_certificate, other, trust())
        argument(what, documents.verify_slice, other, "t", trust())
        argument(what, documents.open_chunk, HASH, 1, "raw", other)
        if other is not None:
            argument(what, documents.verify_head, b"{}", trust(), other)
    for what, other in without("an int", "a hostile object"):
        argument(what, documents.open_chunk, HASH, other, "raw", b"")
        argument(what, documents.is_staged, "e", HASH, other)
    for what, other in without("a mapping"):
        argument(what, documents.hash_of_definitions, other)
    nothing = ["a set", "an object", "a function", "bytes", "NaN", "a list that contains itself", "a lone surrogate"]
    for what in [*nothing, "a hostile object"]:
        other = OTHERS[what]
        argument(what, documents.canonical_form, other)
        argument(what, documents.merge, other, {}, {})
        argument(what, documents.merge, {}, other, {})
        argument(what, documents.merge, {}, {}, other)
    for value in (1.5, 2**53, -(2**53), 10**400, math.inf):
        argument("a number that JSON of ours does not have", documents.canonical_form, value)
    for share in (-1, 1001, 2**64):
        argument(f"a share of {share}", documents.is_staged, "e", HASH, share)
    for name in ("", "x", "\0", HASH[1:], HASH + "a", HASH.upper()):
        argument(name, documents.is_staged, "e", name, 1)
        argument(name, documents.open_chunk, name, 1, "raw", b"a")
    argument("an encoding", documents.open_chunk, HASH, 1, "gzip", b"a")
    for length in (-1, 0, 2, 2**64, -(2**64), 10**400):
        with pytest.raises(SnapshotError):
            documents.open_chunk(HASH, length, "raw", b"x")


# Folders.


def test_folders_that_are_none() -> None:
    for what, other in [*without("a path", "a hostile object"), ("nothing", ""), ("a NUL", "a\0b")]:
        argument(what, Engine.from_directory, other, trust())
        argument(what, Engine.from_last_known_good, other, trust())
        if other is not None:
            argument(what, Engine.follow, directory=other, trust=trust())
            argument(what, Engine.follow, source=MemorySource(), keep=other, trust=trust())
    with pytest.raises(OptionsError) as nowhere:
        Engine.follow(trust=trust())
    assert nowhere.value.code == "invalid_base_url"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an engine that followed has kept."""
    folder = tmp_path_factory.mktemp("kept")
    with Engine.follow(source=MemorySource(), keep=folder, trust=trust()) as engine:
        assert engine.snapshot().revision == 7
    return folder


def copied(kept: Path, folder: Path) -> list[Path]:
    """The files of a copy."""
    files = [path for path in sorted(kept.rglob("*")) if path.is_file()]
    for path in files:
        (folder / path.relative_to(kept)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.relative_to(kept)).write_bytes(path.read_bytes())
    return [folder / path.relative_to(kept) for path in files]


def test_what_was_kept_is_enough_as_long_as_it_is_whole(kept: Path, tmp_path: Path) -> None:
    files = copied(kept, tmp_path)
    assert Engine.from_last_known_good(tmp_path, trust()).snapshot().revision == 7
    needed = [path for path in files if path.suffix != ".seen"]
    assert len(needed) > 5

    def refused(what: str) -> str:
        with pytest.raises(SnapshotError) as failed:
            Engine.from_last_known_good(tmp_path, trust())
        assert failed.value.code, what
        assert failed.value.stage, what
        assert failed.value.item, what
        return failed.value.code

    for path in needed:
        content, name = path.read_bytes(), path.name
        path.unlink()
        refused(f"without {name}")
        path.mkdir()
        refused(f"with a folder in place of {name}")
        path.rmdir()
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        for bad in (b"", b"\0", content[:-1], content + b" ", bytes(changed), b"x" * (1 << 20), b"\x28\xb5\x2f\xfd"):
            path.write_bytes(bad)
            refused(f"with {bad[:20]!r} in place of {name}")
        path.write_bytes(content)
    assert Engine.from_last_known_good(tmp_path, trust()).snapshot().revision == 7
    believed = json.loads(trust())
    stranger = "ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c"
    with pytest.raises(SnapshotError) as unknown:
        Engine.from_last_known_good(tmp_path, {**believed, "roots": [stranger]})
    assert unknown.value.code == "not_restored"
    assert "[unknown_key]" in str(unknown.value)
    with pytest.raises(SnapshotError) as absent:
        Engine.from_last_known_good(tmp_path / "absent", trust())
    assert absent.value.code == "unreachable"


# Engines that are closed, callbacks, panics.


def test_a_closed_engine() -> None:
    engine = engine_of("shop")
    tenant, snapshot, machine = engine.tenant("t1"), engine.snapshot(), MACHINE
    told: list[object] = []
    engine.on_change(told.append)
    engine.close()
    engine.close()
    assert engine.closed is True
    asks: list[Ask] = [
        lambda: engine.tenant("t1"),
        lambda: engine.swap(snapshot),
        lambda: engine.is_enabled("t1", "orders", NOW),
        lambda: engine.is_enabled("t1", "orders"),
        lambda: engine.is_enabled_many(["t1"], ["orders"]),
        lambda: engine.wait_for(1),
        lambda: engine.snapshot(),
        lambda: engine.health(),
        lambda: engine.health("now"),  # type: ignore[arg-type]
        lambda: tenant.is_enabled("orders", NOW),
        lambda: tenant.is_enabled("orders", NOW, action="read"),
        lambda: tenant.decide("orders"),
        lambda: tenant.value("theme"),
        lambda: tenant.check_limit("max_users", 0, 1),
        lambda: tenant.entitlements(),
        lambda: tenant.answer_table(),
        lambda: tenant.explain("orders"),
        lambda: tenant.what_if({}),
        lambda: tenant.diff("t2"),
        lambda: tenant.evaluate("orders"),
        lambda: tenant.evaluate_all(),
        lambda: tenant.machine("order"),
        lambda: tenant.transitions("order", "intake"),
        lambda: tenant.check_transition("order", "intake", "ready"),
    ]
    for at, ask in enumerate(asks):
        refuses(f"question {at}", ClosedError, "closed", ask)
    assert tenant.is_enabled_or("orders", True, NOW) is True
    assert engine.is_enabled_or("t1", "orders", False, NOW) is False
    assert told == []
    # What was taken from it stays.
    assert len(snapshot.tenant_ids()) == snapshot.about.tenants
    assert tenant.id == "t1"
    assert "closed" in repr(engine)
    assert "t1" in repr(tenant)
    assert machine.about.workflow == "guards"
    with engine_of("shop") as other:
        handle = other.tenant("t1")
    refuses("behind a `with`", ClosedError, "closed", handle.decide, "orders")


def test_an_exception_in_a_callback_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of("shop")
    told: list[str] = []

    def fails(_: object) -> NoReturn:
        told.append("fails")
        raise Oops("of a listener")

    engine.on_change(lambda _: told.append("before"))
    remove = engine.on_change(fails)
    engine.on_change(lambda _: told.append("behind"))
    newer, older = engine_of("shop_v2").snapshot(), engine.snapshot()
    with caplog.at_level(logging.ERROR, "leasehold"):
        engine.swap(newer)
    assert told == ["before", "fails", "behind"]
    assert "of a listener" in caplog.text
    remove()
    remove()
    engine.swap(older)
    assert told == ["before", "fails", "behind", "before", "behind"]
    is_well(engine)
    assert engine.snapshot() is older

    def interrupts(_: object) -> NoReturn:
        raise KeyboardInterrupt

    # Whoever swaps by hand is told of an interruption, and the swap has taken place.
    remove = engine.on_change(interrupts)
    with pytest.raises(KeyboardInterrupt):
        engine.swap(newer)
    remove()
    assert engine.snapshot() is newer
    engine.swap(older)
    is_well(engine)


def test_a_listener_may_remove_itself_and_swap_again() -> None:
    engine = engine_of("shop")
    newer, older = engine_of("shop_v2").snapshot(), engine.snapshot()
    told: list[int] = []

    def once(changes: Any) -> None:
        told.append(changes.revision.to)
        remove()
        engine.swap(older)

    remove = engine.on_change(once)
    engine.swap(newer)
    assert told == [newer.revision]
    assert engine.snapshot() is older


def test_a_panic_is_one_error_of_one_call(capfd: pytest.CaptureFixture[str]) -> None:
    # A build that is shipped has no means to panic on purpose.
    panics: Callable[[], None] | None = getattr(_native, "panics", None)
    if panics is None:
        pytest.skip("only a development build panics on purpose")
    for _ in range(3):
        error = refuses("a panic", InternalError, "internal", panics)
        assert "on purpose" in str(error)
        is_well()
    thread_errors: list[BaseException] = []

    def panics_apart() -> None:
        try:
            panics()
        except BaseException as error:
            thread_errors.append(error)

    threads = [threading.Thread(target=panics_apart) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in thread_errors] == [InternalError] * 4
    is_well()
    assert "on purpose" in capfd.readouterr().err


def test_a_follower_that_is_told_nonsense() -> None:
    def follower() -> _native.Follower:
        return _native.Follower(trust())

    argument("an event", follower().handle, "nonsense", NOW, 0)
    argument("a head without a document", follower().handle, "head", NOW, 0)
    argument("a hash", follower().handle, "chunk", NOW, 0, hash="x", document=b"")
    argument("an instant", follower().handle, "started", math.nan, 0)
    argument("a hash", follower().waits_for, "x")
    argument("a hash", follower().restore, None, None, [("x", "raw", b"")], NOW)
    argument("an encoding", follower().restore, None, None, [(HASH, "gzip", b"")], NOW)
    argument("an engine of a slice", _native.Follower, trust(), engine="e", tenant="t")
    argument("an engine", _native.Follower, trust(), engine="no good")
    with pytest.raises(SnapshotError):
        follower().open(bytes(3), NOW)
    assert follower().snapshot() is None
    for random in (0, 2**53, 2**64 - 1):
        assert follower().handle("started", NOW, random)
    # A document that is none is a fault, which the follower tells.
    one = follower()
    one.handle("started", NOW, 0)
    one.handle("head", NOW, 0, document=b"\1\2\3")
    assert len(one.health(NOW).faults) == 1


def test_codes_are_those_of_the_vectors() -> None:
    errors = [case["error"] for case in read("errors.json")["cases"] if "error" in case]
    shared = {error if isinstance(error, str) else error["code"] for error in errors}
    assert {"unknown_feature", "unknown_tenant", "wrong_kind", "amount_out_of_range"} <= shared
