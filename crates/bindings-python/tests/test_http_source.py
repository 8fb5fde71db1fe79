"""HQ over HTTP without an engine: what it answers, and all that may go wrong on the way."""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from leasehold.errors import ArgumentError, OptionsError
from leasehold.follow import connection
from leasehold.follow.connection import Failure
from leasehold.follow.events import ServerEvent
from leasehold.follow.folder import Folder
from leasehold.follow.http import Hearing, HttpSource
from leasehold.follow.source import MAX_HEAD_BYTES, Content
from support.fake_hq import Exchange, FakeHq, sha256
from support.wait import until

STREAM = "GCC-OM"
HEAD = b'{"revision":1}'
NEXT_HEAD = b'{"revision":2}'
RAW = b'{"tenants":[]}'
FRAME = b"\x28\xb5\x2f\xfda frame"
OLD = b'{"old":true}'
TOKEN = "a-token"


def nothing() -> None:
    pass


@pytest.fixture
def published(tmp_path: Path) -> Path:
    root = tmp_path / "published"
    Folder(root).persist(STREAM, HEAD, [(sha256(RAW), "raw", RAW), (sha256(FRAME), "zstd", FRAME)], [])
    return root


@pytest.fixture
def hq(published: Path) -> Iterator[FakeHq]:
    with FakeHq(published, STREAM) as hq:
        yield hq


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@contextmanager
def source_of(hq: FakeHq, **more: Any) -> Generator[HttpSource, None, None]:
    options: dict[str, Any] = {"engine_id": "python-1", "pause_min_ms": 5, "pause_max_ms": 50, **more}
    source = HttpSource(hq.url, TOKEN, STREAM, **options)
    try:
        yield source
    finally:
        source.close()
        until("its threads end", lambda: not {"leasehold-events", "leasehold-reports"} & running())


@pytest.fixture
def source(hq: FakeHq) -> Iterator[HttpSource]:
    with source_of(hq) as source:
        yield source


def publish(hq: FakeHq, head: bytes) -> None:
    Folder(hq.directory).persist(STREAM, head, [], [])


class Hears:
    """Counts how often news were told."""

    def __init__(self, source: HttpSource) -> None:
        self.count = 0
        source.listen(self)

    def __call__(self) -> None:
        self.count += 1

    def is_at(self, count: int) -> bool:
        return self.count == count


def test_a_head_comes_unless_it_is_known(hq: FakeHq, source: HttpSource) -> None:
    assert source.head(STREAM, None) == HEAD
    assert source.head(STREAM, sha256(NEXT_HEAD)) == HEAD
    assert source.head(STREAM, sha256(HEAD)) is None
    for request in hq.requests:
        assert request.query == {"stream": [STREAM]}
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["user-agent"] == "leasehold-python"
        assert request.headers["host"] == f"127.0.0.1:{hq.port}"
    assert "if-none-match" not in hq.requests[0].headers


def test_contents_come_in_either_form(hq: FakeHq, source: HttpSource) -> None:
    assert source.content(sha256(RAW), len(RAW)) == Content("raw", RAW)
    assert source.content(sha256(FRAME), len(FRAME)) == Content("zstd", FRAME)
    assert source.content(sha256(OLD), len(OLD)) is None
    assert {request.headers["accept-encoding"] for request in hq.requests} == {"zstd"}


def test_a_pack_comes_where_there_is_one(hq: FakeHq, source: HttpSource) -> None:
    assert source.pack(STREAM) is None
    hq.pack = b"pack" * 1_000_000
    assert source.pack(STREAM) == hq.pack


def test_a_pack_that_stops_coming_is_given_up(hq: FakeHq) -> None:
    def stops(exchange: Exchange) -> bool:
        exchange.begin(200, {"content-length": "100"})
        exchange.wfile.write(b"half")
        return exchange.wait_for_the_end()

    hq.instead = stops
    # The whole of it would be waited for much longer.
    with source_of(hq, answer_ms=50, content_ms=100_000_000) as source:
        assert source.pack(STREAM) is None


def test_a_base_url_may_have_a_path(hq: FakeHq) -> None:
    hq.instead = lambda exchange: exchange.say(200, HEAD)
    source = HttpSource(f"{hq.url}/lease hold/".replace(" ", "%20") + "//", TOKEN, STREAM)
    assert source.head(STREAM, None) == HEAD
    assert hq.requests[0].path == "/lease%20hold/v1/snapshots/head"
    source.close()


def test_questions_share_a_connection(hq: FakeHq, source: HttpSource) -> None:
    def refuses(exchange: Exchange) -> bool:
        return exchange.pathname.endswith("pack") and exchange.say(503, b'{"code":"busy"}')

    hq.instead = refuses
    for _ in range(3):
        source.head(STREAM, None)
        source.head(STREAM, sha256(HEAD))
        source.content(sha256(RAW), len(RAW))
        source.content(sha256(OLD), len(OLD))
        source.pack(STREAM)
    assert len({request.port for request in hq.requests}) == 1


def test_an_answer_in_chunks_leaves_the_connection(hq: FakeHq, source: HttpSource) -> None:
    def chunks(exchange: Exchange) -> bool:
        exchange.begin(200, {"transfer-encoding": "chunked"})
        for byte in HEAD:
            exchange.chunk(bytes([byte]))
        exchange.chunk(b"")
        return True

    hq.instead = chunks
    assert [source.head(STREAM, None) for _ in range(3)] == [HEAD] * 3
    assert len({request.port for request in hq.requests}) == 1


def test_a_connection_that_was_closed_meanwhile_is_replaced(hq: FakeHq, source: HttpSource) -> None:
    assert source.head(STREAM, None) == HEAD
    hq.cut_all()
    until("it is cut", lambda: not hq.connections)
    assert source.head(STREAM, None) == HEAD
    assert len({request.port for request in hq.requests}) == 2


def test_a_connection_that_is_closed_with_the_question_on_its_way_is_replaced_once(
    hq: FakeHq, source: HttpSource
) -> None:
    assert source.head(STREAM, None) == HEAD
    first = hq.requests[0].port
    hq.instead = lambda exchange: exchange.client_address[1] == first and exchange.break_off()
    assert source.head(STREAM, None) == HEAD
    assert len(hq.requests) == 3

    hq.instead = lambda exchange: exchange.break_off()
    with pytest.raises(Failure, match="HQ does not answer: "):
        source.head(STREAM, None)
    assert len(hq.requests) == 5


def test_an_answer_that_has_begun_is_not_asked_for_again(hq: FakeHq, source: HttpSource) -> None:
    assert source.head(STREAM, None) == HEAD

    def half(exchange: Exchange) -> bool:
        exchange.wfile.write(b"HTTP/1.1 20")
        return exchange.break_off()

    hq.instead = half
    with pytest.raises(Failure, match="HQ does not answer: "):
        source.head(STREAM, None)
    assert len(hq.requests) == 2


def test_something_unasked_is_not_taken_for_an_answer(hq: FakeHq, source: HttpSource) -> None:
    def said(body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    def at_once(exchange: Exchange) -> bool:
        exchange.wfile.write(said(HEAD) + said(NEXT_HEAD))
        return True

    def later(exchange: Exchange) -> bool:
        exchange.wfile.write(said(HEAD))
        exchange.wfile.write(said(NEXT_HEAD))
        return True

    hq.instead = at_once
    assert source.head(STREAM, None) == HEAD
    assert source.head(STREAM, None) == HEAD
    hq.instead = later
    assert source.head(STREAM, None) == HEAD
    idle = source._connections._idle
    assert idle is not None
    until("the other one has come", lambda: not idle.is_fresh())
    hq.instead = lambda _: False
    assert source.head(STREAM, None) == HEAD


def test_a_connection_that_is_to_end_is_not_asked_again(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: exchange.say(200, HEAD, {"connection": "close"}) and exchange.wait_for_the_end()
    assert [source.head(STREAM, None) for _ in range(2)] == [HEAD] * 2
    assert len(hq.requests) == len({request.port for request in hq.requests}) == 2


def broken(exchange: Exchange) -> bool:
    exchange.begin(200, {"content-length": "1000"})
    exchange.wfile.write(b"half")
    return exchange.break_off()


def broken_chunks(exchange: Exchange) -> bool:
    exchange.begin(200, {"transfer-encoding": "chunked"})
    exchange.chunk(b"half")
    return exchange.break_off()


def dripping_headers(exchange: Exchange) -> bool:
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    exchange.close_connection = True
    # Until it hangs up, which it does though something comes all the time.
    pause = threading.Event()
    while not pause.wait(0.01):
        exchange.wfile.write(b"x")
    return True


def dripping_body(exchange: Exchange) -> bool:
    exchange.begin(200, {"content-length": "1000000000"})
    exchange.close_connection = True
    pause = threading.Event()
    while not pause.wait(0.01):
        exchange.wfile.write(b"x")
    return True


def garbage(exchange: Exchange) -> bool:
    exchange.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    return exchange.break_off()


def too_many_headers(exchange: Exchange) -> bool:
    exchange.begin(200, {f"x-{number}": "1" for number in range(500)})
    return exchange.break_off()


def problem(status: int, body: bytes) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.say(status, body)


WRONG: list[tuple[str, Callable[[Exchange], bool], str]] = [
    ("a failure", problem(500, b'{"code":"internal","detail":"sorry"}'), r"HQ answers 500, `internal`: sorry"),
    (
        "a refusal",
        problem(403, b'{"code":"no","title":"not with a-token"}'),
        r"HQ answers 403, `no`: not with \[token\]",
    ),
    ("a title", problem(400, b'{"title":"Bad"}'), "HQ answers 400, Bad"),
    ("control characters", problem(400, b'{"code":"a\\u0000b\\n"}'), "HQ answers 400, `a b `"),
    ("a problem without words", problem(502, b"<html>"), "HQ answers 502, without saying why"),
    ("a problem that is a list", problem(502, b"[]"), "HQ answers 502, without saying why"),
    ("a problem of nothing", problem(502, b"{}"), "HQ answers 502, without saying why"),
    ("a problem without end", problem(502, b"[" * 100_000), "HQ answers 502, without saying why"),
    (
        "a redirect",
        lambda exchange: exchange.say(302, b"", {"location": "http://127.0.0.1:9/"}),
        "HQ answers 302, a redirect, which is not followed: mend the base URL",
    ),
    ("an answer that breaks off", broken, "HQ does not answer: its answer breaks off"),
    ("chunks that break off", broken_chunks, "HQ does not answer: its answer breaks off"),
    ("no answer", Exchange.wait_for_the_end, "HQ does not answer within 300 ms"),
    ("headers that drip", dripping_headers, "HQ does not answer within 300 ms"),
    ("a body that drips", dripping_body, "HQ does not answer within 300 ms"),
    ("something else than HTTP", garbage, r"HQ does not answer: what it sends is not HTTP \(SSH-2"),
    ("too many headers", too_many_headers, "HQ does not answer: what it sends is not HTTP"),
    ("no word", Exchange.break_off, "HQ does not answer: it closes the connection without a word"),
]


@pytest.mark.parametrize(("answer", "why"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_answer_that_is_none_says_why(hq: FakeHq, answer: Callable[[Exchange], bool], why: str) -> None:
    hq.instead = answer
    patience_ms = 300 if "within 300 ms" in why else 120_000
    with source_of(hq, answer_ms=patience_ms, content_ms=patience_ms) as source:
        for ask in (lambda: source.head(STREAM, None), lambda: source.content(sha256(RAW), 5)):
            with pytest.raises(Failure, match=f"^{why}"):
                ask()
        assert source.pack(STREAM) is None
        assert {request.path.split("/")[1] for request in hq.requests} == {"v1"}, "it stays where it was sent to"
        hq.instead = lambda _: False
        assert until("it answers", lambda: head_of(source)) == HEAD, "it does no harm to what is asked later"


def head_of(source: HttpSource) -> bytes | None:
    try:
        return source.head(STREAM, None)
    except Failure:
        return None


def test_what_is_shown_has_an_end(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: exchange.say(500, json.dumps({"detail": "x" * 5000}).encode())
    with pytest.raises(Failure) as failed:
        source.head(STREAM, None)
    assert len(str(failed.value)) == 400


def test_nobody_there_is_told(hq: FakeHq) -> None:
    hq.close()
    source = HttpSource(hq.url, TOKEN, STREAM)
    with pytest.raises(Failure, match="HQ does not answer: Connection refused"):
        source.head(STREAM, None)
    source.close()


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    source = HttpSource("https://hq.example", TOKEN, STREAM)
    with pytest.raises(Failure, match="HQ does not answer: Name or service not known"):
        source.head(STREAM, None)
    source.close()


def test_a_name_with_several_addresses_is_tried_at_each(
    hq: FakeHq, source: HttpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    nobody = closed.getsockname()
    closed.close()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (nobody, ("127.0.0.1", hq.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    assert source.head(STREAM, None) == HEAD


def test_more_than_is_allowed_is_not_fetched(hq: FakeHq, source: HttpSource) -> None:
    def endless(exchange: Exchange) -> bool:
        exchange.begin(200, {"transfer-encoding": "chunked"})
        while True:
            exchange.chunk(b"x" * 65536)

    hq.instead = endless
    head = source.head(STREAM, None)
    assert head is not None
    assert len(head) == MAX_HEAD_BYTES + 1
    content = source.content(sha256(RAW), 800)
    assert content is not None
    assert len(content.data) == 800 + 100 + 1024 + 1


def test_an_hq_that_asks_to_be_left_alone_is_left_alone(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: exchange.say(429, b"", {"retry-after": "9" * 5000})
    with pytest.raises(Failure, match="HQ answers 429"):
        source.head(STREAM, None)
    asked = len(hq.requests)
    for ask in (lambda: source.head(STREAM, None), lambda: source.content(sha256(RAW), 5)):
        with pytest.raises(Failure, match=r"HQ asks to be left alone for another (300|299) s"):
            ask()
    assert source.pack(STREAM) is None
    assert len(hq.requests) == asked


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1.5", "0", "", "٣"])
def test_other_forms_of_asking_for_time_are_passed_over(hq: FakeHq, source: HttpSource, told: str) -> None:
    def busy(exchange: Exchange) -> bool:
        exchange.wfile.write(f"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: {told}\r\n\r\n".encode())
        return True

    hq.instead = busy
    with pytest.raises(Failure, match="HQ answers 503"):
        source.head(STREAM, None)
    hq.instead = lambda _: False
    assert source.head(STREAM, None) == HEAD


def test_a_content_is_waited_for_where_hq_asks_for_time(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: len(hq.requests) == 1 and exchange.say(429, b"", {"retry-after": "1"})
    assert source.content(sha256(RAW), len(RAW)) == Content("raw", RAW)
    assert len(hq.requests) == 2


# What ends it.


def closes_while(source: HttpSource, ask: Callable[[], object], is_under_way: Callable[[], object]) -> None:
    """Closes while a question is under way, which ends then, though it had much time left."""
    ended: list[BaseException] = []

    def run() -> None:
        try:
            ask()
        except BaseException as error:
            ended.append(error)

    asking = threading.Thread(target=run)
    asking.start()
    until("it is under way", is_under_way)
    source.close()
    asking.join(60)
    assert not asking.is_alive()
    assert [str(error) for error in ended] == ["HQ is not asked any more: this is closed"]


LONG = {"answer_ms": 2**31 - 1, "content_ms": 2**31 - 1, "silence_ms": 2**31 - 1}


def test_closing_ends_a_question_without_answer(hq: FakeHq) -> None:
    hq.instead = lambda exchange: exchange.wait_for_the_end()
    with source_of(hq, **LONG) as source:
        closes_while(source, lambda: source.head(STREAM, None), lambda: hq.requests)
        until("the connection is let go", lambda: not hq.connections)
        with pytest.raises(Failure, match="this is closed"):
            source.head(STREAM, None)
        source.close()


def test_closing_ends_half_an_answer(hq: FakeHq) -> None:
    begun = threading.Event()

    def half(exchange: Exchange) -> bool:
        exchange.begin(200, {"content-length": "1000"})
        exchange.wfile.write(b"half")
        begun.set()
        return exchange.wait_for_the_end()

    hq.instead = half
    with source_of(hq, **LONG) as source:
        closes_while(source, lambda: source.content(sha256(RAW), 1000), begun.is_set)


def test_closing_ends_a_pause(hq: FakeHq) -> None:
    hq.instead = lambda exchange: exchange.say(429, b"", {"retry-after": "300"})
    with source_of(hq, **LONG) as source:
        closes_while(source, lambda: source.content(sha256(RAW), 5), lambda: hq.requests)


def test_closing_ends_a_look_up(hq: FakeHq, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> NoReturn:
        asked.set()
        over.wait()
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        with source_of(hq, **LONG) as source:
            closes_while(source, lambda: source.head(STREAM, None), asked.is_set)
        with source_of(hq, answer_ms=20) as source, pytest.raises(Failure, match="HQ does not answer within 20 ms"):
            source.head(STREAM, None)
    finally:
        over.set()


@pytest.fixture
def unreachable() -> Iterator[tuple[str, int]]:
    """An address where connections are neither taken nor refused: the ones before wait to be taken."""
    with ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(16):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(server.getsockname())
            except TimeoutError:
                yield server.getsockname()
                return
        pytest.skip("this system takes connections that nobody asked for")


def test_closing_ends_a_connection_that_does_not_come_about(
    unreachable: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HttpSource(f"http://127.0.0.1:{unreachable[1]}", TOKEN, STREAM, answer_ms=LONG["answer_ms"])
    begun = threading.Event()
    monkeypatch.setattr(selectors, "DefaultSelector", signalling(begun))
    closes_while(source, lambda: source.head(STREAM, None), begun.is_set)

    source = HttpSource(f"http://127.0.0.1:{unreachable[1]}", TOKEN, STREAM, answer_ms=50)
    with pytest.raises(Failure, match="HQ does not answer within 50 ms"):
        source.head(STREAM, None)
    source.close()


def test_an_address_that_leads_nowhere_leaves_time_for_others(
    hq: FakeHq, unreachable: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", to) for to in (unreachable, ("127.0.0.1", hq.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    with source_of(hq, answer_ms=500) as source:
        assert until("it answers", lambda: head_of(source)) == HEAD


def signalling(begun: threading.Event) -> type[selectors.BaseSelector]:
    class Signalling(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            begun.set()
            return super().select(timeout)

    return Signalling


def test_closing_ends_an_idle_connection(hq: FakeHq) -> None:
    with source_of(hq) as source:
        source.head(STREAM, None)
        assert hq.connections
    until("it is let go", lambda: not hq.connections)


# Events.


def test_news_are_heard_with_the_head(hq: FakeHq, source: HttpSource) -> None:
    assert source.hearing == Hearing(False, "nobody has connected yet")
    hears = Hears(source)
    until("it hears", lambda: source.hearing.told)
    assert source.hearing == Hearing(True, None)
    until("it is notified", lambda: hears.count == 1)
    assert source.head(STREAM, None) == HEAD
    assert source.head(STREAM, sha256(HEAD)) is None

    hq.tell("heartbeat", with_document=False)
    publish(hq, NEXT_HEAD)
    hq.tell()
    until("it is notified", lambda: hears.count == 2)
    assert source.head(STREAM, sha256(HEAD)) == NEXT_HEAD
    assert hq.asked("/v1/snapshots/head") == []
    [request] = hq.asked("/v1/snapshots/events")
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_head_that_did_not_come_along_is_asked_for(hq: FakeHq, source: HttpSource) -> None:
    hears = Hears(source)
    until("it is notified", lambda: hears.count == 1)
    publish(hq, NEXT_HEAD)
    hq.tell(with_document=False)
    until("it is notified", lambda: hears.count == 2)
    assert source.head(STREAM, sha256(HEAD)) == NEXT_HEAD
    assert len(hq.asked("/v1/snapshots/head")) == 1


def test_what_is_not_for_this_one_is_passed_over(hq: FakeHq, source: HttpSource) -> None:
    hears = Hears(source)
    until("it is notified", lambda: hears.count == 1)
    publish(hq, NEXT_HEAD)
    hq.tell(stream="GCC-SA")
    hq.tell("rumour")
    hq.tell_raw(b"event: head\ndata: []\n\n")
    hq.tell_raw(b"event: rumour\ndata: {\n\n")
    publish(hq, b"{}")
    hq.tell()
    until("it is notified", lambda: hears.count == 2)
    assert source.head(STREAM, None) == b"{}"
    assert len(hq.asked("/v1/snapshots/events")) == 1


def told_wrongly(**more: object) -> bytes:
    data = json.dumps({"stream": STREAM, "etag": sha256(NEXT_HEAD), "document": NEXT_HEAD.decode(), **more})
    return f"event: head\ndata: {data}\n\n".encode()


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (b"event: head\ndata: {\n\n", "HQ sends no events: `data` is not JSON"),
        (b"event: head\ndata: " + b"[" * 200_000 + b"\n\n", "HQ sends no events: `data` is not JSON"),
        (told_wrongly(etag=5), "HQ sends no events: `etag` is not a hash"),
        (told_wrongly(etag="../x"), "HQ sends no events: `etag` is not a hash"),
        (told_wrongly(document="{}"), "HQ sends no events: `document` is not the one of its `etag`"),
        (told_wrongly(document="\ud800"), "HQ sends no events: `document` is not the one of its `etag`"),
        (b"\xff\xff", "it sends something that is not UTF-8"),
        (b"x" * 500_000, "it sends a line without end"),
    ],
)
def test_events_that_are_none_are_heard_anew(hq: FakeHq, piece: bytes, why: str) -> None:
    with source_of(hq, pause_min_ms=60_000, pause_max_ms=60_000) as source:
        hears = Hears(source)
        until("it is notified", lambda: hears.count == 1)
        hq.tell_raw(piece)
        until("it is noticed", lambda: not source.hearing.told)
        assert source.hearing.why == why
        assert hears.count == 1
        # From now on it asks.
        assert source.head(STREAM, None) == HEAD
        assert len(hq.asked("/v1/snapshots/head")) == 1


NO_EVENTS: list[tuple[str, Callable[[Exchange], bool], str]] = [
    *[case for case in WRONG if case[2] not in ("HQ does not answer within 300 ms",) and "breaks off" not in case[2]],
    ("no answer", Exchange.wait_for_the_end, "it keeps the connection, and tells nothing"),
    ("headers that drip", dripping_headers, "it keeps the connection, and tells nothing"),
    (
        "a page",
        lambda exchange: exchange.say(200, b"<p>hello", {"content-type": "text/html"}),
        "HQ sends no events: it answers with something else",
    ),
    (
        "events that end",
        lambda exchange: exchange.say(200, b"data: x\n\n", {"content-type": "text/event-stream"}),
        "HQ has closed the connection",
    ),
]


@pytest.mark.parametrize(("answer", "why"), [case[1:] for case in NO_EVENTS], ids=[case[0] for case in NO_EVENTS])
def test_whoever_sends_no_events_is_asked_again(hq: FakeHq, answer: Callable[[Exchange], bool], why: str) -> None:
    hq.instead = answer
    with source_of(hq, silence_ms=300 if "tells nothing" in why else 120_000) as source:
        hears = Hears(source)
        until("it tries again", lambda: len(hq.asked("/v1/snapshots/events")) > 2)
        assert source.hearing.told is False
        assert re.match(why, source.hearing.why or "")
        assert hears.count == 0
        hq.instead = lambda _: False
        until("it is notified", lambda: hears.count > 0)


def test_comments_are_no_sign_of_life(hq: FakeHq) -> None:
    def comments(exchange: Exchange) -> bool:
        exchange.begin(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        exchange.close_connection = True
        pause = threading.Event()
        while not pause.wait(0.01):
            exchange.chunk(b": still here\n")
        return True

    hq.instead = comments
    with source_of(hq, silence_ms=200) as source:
        source.listen(nothing)
        until("it is noticed", lambda: source.hearing.why == "it keeps the connection, and tells nothing")


def test_heartbeats_are_a_sign_of_life(hq: FakeHq, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with source_of(hq, silence_ms=1_000) as source:
        hears = Hears(source)
        until("it is notified", lambda: hears.count == 1)
        for count in range(2, 5):
            now[0] += 0.9
            hq.tell("heartbeat", with_document=False)
            publish(hq, b'{"revision":%d}' % count)
            hq.tell("heartbeat")
            until("it is notified", partial(hears.is_at, count))
        assert source.hearing.told
        assert len(hq.asked("/v1/snapshots/events")) == 1
        now[0] += 1.1
        until("it is noticed", lambda: len(hq.asked("/v1/snapshots/events")) > 1)


def test_a_connection_that_breaks_is_heard_again(hq: FakeHq, source: HttpSource) -> None:
    hears = Hears(source)
    until("it is notified", lambda: hears.count == 1)
    hq.instead = lambda exchange: exchange.break_off()
    hq.hang_up()
    until("it is noticed", lambda: not source.hearing.told)
    publish(hq, NEXT_HEAD)
    hq.instead = lambda _: False
    until("it is notified", lambda: hears.count == 2)
    assert source.head(STREAM, sha256(HEAD)) == NEXT_HEAD


def test_an_exception_of_whoever_is_notified_does_not_end_the_hearing(hq: FakeHq, source: HttpSource) -> None:
    told: list[bool] = []
    whys: list[str | None] = []

    def notify() -> None:
        whys.append(source.hearing.why)
        told.append(True)
        if len(told) < 3:
            raise RuntimeError(f"boom with {TOKEN}")

    source.listen(notify)
    until("it is notified", lambda: len(told) == 3)
    until("it hears", lambda: source.hearing.told)
    assert len(hq.asked("/v1/snapshots/events")) == 3


def test_what_an_exception_says_is_told(hq: FakeHq) -> None:
    def notify() -> None:
        raise RuntimeError(f"boom with {TOKEN}")

    with source_of(hq, pause_min_ms=60_000, pause_max_ms=60_000) as source:
        source.listen(notify)
        why = "whoever was to be notified failed: boom with [token]"
        until("it is told", lambda: source.hearing == Hearing(False, why))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_force_does_not_claim_to_hear(hq: FakeHq, source: HttpSource) -> None:
    def notify() -> None:
        raise SystemExit

    source.listen(notify)
    until("it is told", lambda: source.hearing == Hearing(False, "nobody listens any more"))


def test_closing_ends_the_hearing(hq: FakeHq) -> None:
    with source_of(hq, **LONG) as source:
        source.listen(nothing)
        until("it hears", lambda: source.hearing.told)
        source.close()
        assert source.hearing == Hearing(False, "HQ is not asked any more: this is closed")
        until("nobody listens", lambda: hq.listeners == 0)
        source.listen(nothing)
        source.close()
    assert len(hq.asked("/v1/snapshots/events")) == 1


def test_what_is_heard_after_closing_is_not_told(hq: FakeHq) -> None:
    with source_of(hq) as source:
        source.close()
        notified: list[bool] = []
        data = json.dumps({"stream": STREAM, "etag": sha256(HEAD)})
        assert not source._take(ServerEvent("head", data), source._connections, lambda: notified.append(True))
        assert not source.hearing.told
        assert notified == []


def test_closing_ends_a_pause_between_connections(hq: FakeHq) -> None:
    hq.instead = lambda exchange: exchange.break_off()
    with source_of(hq, pause_min_ms=2**31 - 1, pause_max_ms=2**31 - 1) as source:
        source.listen(nothing)
        until("it failed", lambda: source.hearing.why != "nobody has connected yet")


def test_whoever_is_notified_may_close(hq: FakeHq) -> None:
    closed = threading.Event()
    with source_of(hq) as source:

        def notify() -> None:
            source.close()
            closed.set()

        source.listen(notify)
        assert closed.wait(60)


# Reports.


def test_of_several_reports_the_newest_is_sent(hq: FakeHq, source: HttpSource) -> None:
    go_on, began = threading.Event(), threading.Event()

    def slow(_: Exchange) -> bool:
        began.set()
        go_on.wait()
        return False

    hq.instead = slow
    source.report({"report": "ack", "revision": 1})
    assert began.wait(60)
    for revision in (2, 3, 4):
        source.report({"report": "ack", "revision": revision})
    go_on.set()
    until("both are there", lambda: len(hq.reports) == 2)
    assert hq.reports == [{"stream": STREAM, "report": "ack", "revision": revision} for revision in (1, 4)]
    assert {(it.method, it.path, it.headers["content-type"]) for it in hq.requests} == {
        ("POST", "/v1/engines/python-1/status", "application/json")
    }
    until("the thread ends", lambda: "leasehold-reports" not in running())
    source.report({"report": "ack", "revision": 5})
    until("it is there", lambda: len(hq.reports) == 3)


def test_a_report_that_did_not_arrive_gives_way_to_a_newer_one(hq: FakeHq, source: HttpSource) -> None:
    go_on, began = threading.Event(), threading.Event()

    def fails(exchange: Exchange) -> bool:
        if len(hq.requests) > 1:
            return False
        began.set()
        go_on.wait()
        return exchange.say(500)

    hq.instead = fails
    source.report({"revision": 1})
    assert began.wait(60)
    source.report({"revision": 2})
    go_on.set()
    until("all is sent", lambda: "leasehold-reports" not in running())
    assert [report["revision"] for report in hq.reports] == [2]


def test_a_report_that_did_not_arrive_is_sent_again(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: len(hq.requests) < 4 and exchange.say(500)
    source.report({"revision": 1})
    until("it is there", lambda: hq.reports)
    assert hq.reports == [{"stream": STREAM, "revision": 1}]
    assert len(hq.requests) == 4


def test_a_report_that_is_refused_is_not_sent_again(hq: FakeHq, source: HttpSource) -> None:
    hq.instead = lambda exchange: len(hq.requests) == 1 and exchange.say(422)
    source.report({"revision": 1})
    until("the thread ends", lambda: "leasehold-reports" not in running())
    source.report({"revision": 2})
    until("it is there", lambda: hq.reports)
    assert [report["revision"] for report in hq.reports] == [2]
    assert len(hq.requests) == 2


def test_an_engine_without_id_reports_nothing(hq: FakeHq) -> None:
    with source_of(hq, engine_id=None) as source:
        source.report({"revision": 1})
        assert source.head(STREAM, None) == HEAD
    assert hq.asked("/v1/engines") == []


def test_closing_ends_reports(hq: FakeHq) -> None:
    hq.instead = lambda exchange: exchange.wait_for_the_end()
    with source_of(hq, **LONG) as source:
        source.report({"revision": 1})
        until("it is under way", lambda: hq.requests)
        source.report({"revision": 2})
        source.close()
        source.report({"revision": 3})
    assert len(hq.requests) == 1


# TLS.


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody knows, with its key, for 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    key = path.with_name("key.pem")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-days", "2", "-subj", "/CN=hq.test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def secure_hq(published: Path, certificate: Path) -> Iterator[FakeHq]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FakeHq(published, STREAM, context) as hq:
        yield hq


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_hq: FakeHq) -> None:
    with source_of(secure_hq) as source:
        with pytest.raises(Failure, match=r"HQ does not answer: .*certificate verify failed"):
            source.head(STREAM, None)
        source.listen(nothing)
        until("it is told", lambda: "certificate verify failed" in (source.hearing.why or ""))
    assert secure_hq.requests == []


def test_a_certificate_for_another_host_is_refused(secure_hq: FakeHq, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    url = f"https://localhost:{secure_hq.port}"
    source = HttpSource(url, TOKEN, STREAM, ssl_context=context)
    with pytest.raises(Failure, match=r"HQ does not answer: .*(certificate verify failed|Connection refused)"):
        source.head(STREAM, None)
    source.close()
    assert secure_hq.requests == []


def test_a_certificate_of_your_own_is_believed(secure_hq: FakeHq, certificate: Path) -> None:
    with source_of(secure_hq, ssl_context=ssl.create_default_context(cafile=str(certificate))) as source:
        assert [source.head(STREAM, None) for _ in range(3)] == [HEAD] * 3
        assert len({request.port for request in secure_hq.requests}) == 1
        hears = Hears(source)
        until("it is notified", lambda: hears.count == 1)
        source.report({"revision": 1})
        until("it is there", lambda: secure_hq.reports)
        secure_hq.hang_up()
        until("it is notified", lambda: hears.count == 2)
        secure_hq.instead = lambda exchange: exchange.wait_for_the_end()
        asked = len(secure_hq.requests)
        closes_while(source, lambda: source.content(sha256(RAW), 5), lambda: len(secure_hq.requests) > asked)
    until("nobody is connected", lambda: not secure_hq.connections)


def test_closing_ends_a_handshake(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        source = HttpSource(url, TOKEN, STREAM, answer_ms=LONG["answer_ms"])
        taken: list[socket.socket] = []

        def greeted() -> bool:
            taken.append(server.accept()[0])
            return taken[0].recv(1) != b""

        closes_while(source, lambda: source.head(STREAM, None), greeted)
        with pytest.raises(Failure, match="HQ does not answer within 50 ms"):
            HttpSource(url, TOKEN, STREAM, answer_ms=50).head(STREAM, None)
        taken[0].close()


# Forks.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("secure", [False, True], ids=["in the open", "over TLS"])
def test_a_child_has_connections_of_its_own(published: Path, certificate: Path, secure: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with FakeHq(published, STREAM, context if secure else None) as hq, source_of(hq, ssl_context=trusting) as source:
        hears = Hears(source)
        until("it is notified", lambda: hears.count == 1)
        assert source.pack(STREAM) is None
        parents = {request.port for request in hq.requests}
        # Somebody holds the lock at the moment of the fork.
        with source._lock, source._connections._lock:
            source.report({"revision": 1})
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                said = b"raised"
                try:
                    said = child_says(source)
                finally:
                    os.write(writing, said)
                    os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"ok"
        os.waitpid(child, 0)
        until("the child has gone", lambda: hq.listeners == 1)
        until("the report of the parent is sent", lambda: "leasehold-reports" not in running())
        assert [report for report in hq.reports if report["revision"] == 1] == [{"stream": STREAM, "revision": 1}]

        # What the child did is not noticed here.
        assert source.hearing.told
        publish(hq, NEXT_HEAD)
        hq.tell(with_document=False)
        until("it is notified", lambda: hears.count == 2)
        assert source.head(STREAM, None) == NEXT_HEAD
        assert hq.requests[-1].port in parents
        parents_events = [request for request in hq.asked("/v1/snapshots/events") if request.port in parents]
        assert len(parents_events) == 1


def child_says(source: HttpSource) -> bytes:
    source.forked()
    if source.hearing.told:
        return b"it claims to hear"
    if source.content(sha256(RAW), len(RAW)) != Content("raw", RAW):
        return b"no content"
    hears = Hears(source)
    until("it is notified", lambda: hears.count == 1)
    if source.head(STREAM, None) != HEAD:
        return b"no head"
    source.report({"revision": 2})
    until("it is sent", lambda: "leasehold-reports" not in running())
    source.close()
    return b"ok" if source.hearing.why == "HQ is not asked any more: this is closed" else b"it is not closed"


def test_whoever_is_notified_may_fork(hq: FakeHq, source: HttpSource) -> None:
    """The thread that hears goes on in the child, with connections that are not its own. Here there is no child."""
    told: list[threading.Thread] = []
    later: list[bool] = []

    def notify() -> None:
        told.append(threading.current_thread())
        if len(told) == 2:
            source.forked()
            source.listen(lambda: later.append(True))
            until("it hears", lambda: source.hearing.told)

    source.listen(notify)
    until("it is notified", lambda: len(told) == 1)
    publish(hq, NEXT_HEAD)
    with source._connections._lock:
        # Whoever holds it at the moment of a fork is not in the child.
        hq.tell()
        until("the first one ends", lambda: len(told) == 2 and not told[0].is_alive())
    assert source.hearing.told
    until("it is notified", lambda: later)
    assert len(told) == 2


def test_what_was_closed_stays_closed_in_a_child(hq: FakeHq) -> None:
    source = HttpSource(hq.url, TOKEN, STREAM)
    source.close()
    source.forked()
    with pytest.raises(Failure, match="this is closed"):
        source.head(STREAM, None)


# Options.


@pytest.mark.parametrize(
    ("url", "code", "shown"),
    [
        ("", "invalid_base_url", "`` is not the base URL of an HQ: it cannot be read as a URL"),
        ("hq.example", "invalid_base_url", "it cannot be read as a URL"),
        ("https://", "invalid_base_url", "it cannot be read as a URL"),
        ("https://hq.example:port", "invalid_base_url", "it cannot be read as a URL"),
        ("https://hq.example:99999", "invalid_base_url", "it cannot be read as a URL"),
        ("https://[::1", "invalid_base_url", "it cannot be read as a URL"),
        ("https://hq.example\r\nx-evil: 1", "invalid_base_url", "it cannot be read as a URL"),
        ("https://hq .example", "invalid_base_url", "it cannot be read as a URL"),
        ("https://hq.example\\@evil.example", "invalid_base_url", "it cannot be read as a URL"),
        ("https://a..b", "invalid_base_url", "it cannot be read as a URL"),
        ("ftp://hq.example", "invalid_base_url", "it begins with neither `http://` nor `https://`"),
        ("https://me:secret@hq.example", "invalid_base_url", "`hq.example` is not the base URL of an HQ: a user in it"),
        ("https://hq.example?x=1", "invalid_base_url", "neither query nor fragment"),
        ("https://hq.example/?", "invalid_base_url", "neither query nor fragment"),
        ("https://hq.example#x", "invalid_base_url", "neither query nor fragment"),
        ("http://hq.example", "insecure_base_url", "or say that the way is safe with `over_safe_network`"),
        ("http://127.evil.example", "insecure_base_url", "over `http://127.evil.example` anybody on the way"),
    ],
)
def test_base_urls_that_cannot_work_are_refused(url: str, code: str, shown: str) -> None:
    with pytest.raises(OptionsError) as refused:
        HttpSource(url, TOKEN, STREAM)
    assert refused.value.code == code
    assert shown in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://hq.example",
        "HTTPS://HQ.example:8443/lease/hold/",
        "https://hq.exämple",
        "http://localhost:5",
        "http://127.1.2.3",
        "http://[::1]:80",
    ],
)
def test_base_urls_that_can_work_are_taken(url: str) -> None:
    HttpSource(url, TOKEN, STREAM).close()


def test_a_source_is_shown_without_its_token() -> None:
    assert repr(HttpSource("https://hq.example", TOKEN, STREAM)) == "HttpSource('https://hq.example')"


def test_a_network_may_be_said_to_be_safe() -> None:
    HttpSource("http://hq.example", TOKEN, STREAM, over_safe_network=True).close()


@pytest.mark.parametrize(
    ("token", "what"), [("", "empty"), ("with space", "not made of"), ("line\n", "not made of"), ("é", "not made of")]
)
def test_tokens_that_cannot_work_are_refused(token: str, what: str) -> None:
    with pytest.raises(OptionsError, match=f"the token is {what}") as refused:
        HttpSource("https://hq.example", token, STREAM)
    assert refused.value.code == "invalid_token"
    assert token == "" or token not in str(refused.value)


@pytest.mark.parametrize("name", ["answer_ms", "content_ms", "silence_ms", "pause_min_ms", "pause_max_ms"])
@pytest.mark.parametrize("value", [0, -5, 1.5, float("nan"), float("inf"), 2**31, "5", None, True, [5]])
def test_times_that_are_none_are_refused(name: str, value: object) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(
        ArgumentError, match=f"`{name}` is a time in milliseconds, an integer from 1 to 2147483647, not"
    ):
        HttpSource("https://hq.example", TOKEN, STREAM, **options)


@pytest.mark.parametrize(
    "more",
    [
        {"url": None},
        {"url": b"https://hq.example"},
        {"token": 5},
        {"stream": 5},
        {"engine_id": 5},
        {"over_safe_network": 1},
        {"ssl_context": True},
    ],
)
def test_options_of_another_type_are_refused(more: dict[str, object]) -> None:
    options: dict[str, Any] = {"url": "https://hq.example", "token": TOKEN, "stream": STREAM, **more}
    [name] = more
    with pytest.raises(ArgumentError, match=f"`{name}` is .*, not of type "):
        HttpSource(**options)
