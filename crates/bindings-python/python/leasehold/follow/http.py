"""HQ over HTTP: a source for engines that follow."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import random
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast
from urllib.parse import quote, urlsplit

from ..errors import ArgumentError, OptionsError
from .connection import Answer, Connections, Deadline, Failure, reason
from .events import Events, ServerEvent
from .source import MAX_CONTENT_BYTES, MAX_HEAD_BYTES, MAX_PACK_BYTES, Content, Source, content_of, milliseconds

R = TypeVar("R")

_MAX_PROBLEM_BYTES = 16 << 10
"""Longest problem document that is read."""
_MAX_RETRY_AFTER_S = 300
"""Longest time for which HQ is left alone because it asks to be, in seconds."""
_MOST_SHOWN = 400
"""Enough for a sentence or two."""
_JOIN_S = 1.0
"""For threads that were told to end. They hold nothing that anybody waits for."""

_TOKEN = re.compile(r"[!-~]+")
_HASH = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Hearing:
    """Whether an engine hears of news, or has to ask."""

    told: bool
    why: str | None = None
    """Why it does not hear."""


class _Told(NamedTuple):
    etag: str
    document: bytes | None


class _Pauses:
    """Pauses that grow, and of which half is left to chance, so that not all engines come back together."""

    def __init__(self, min_ms: int, max_ms: int) -> None:
        self._min_ms = min_ms
        self._max_ms = max_ms
        self._next_ms: float = min_ms

    def next_ms(self) -> float:
        half = self._next_ms / 2
        self._next_ms = min(self._next_ms * 2, self._max_ms)
        return half + random.random() * half

    def reset(self) -> None:
        self._next_ms = self._min_ms


class HttpSource(Source):
    """HQ as a source of snapshots.

    - `url`: the base URL, such as `https://hq.example`.
    - `token`: the one that HQ gave out for this engine.
    - `over_safe_network`: says that nobody on the way can read the token, where the URL is plain `http` to another
      machine.
    - `answer_ms`, `content_ms`: for a whole answer, and for a whole content.
    - `silence_ms`: without any event, until the connection counts as lost.
    - `pause_min_ms`, `pause_max_ms`: after the first failed connection for events, which doubles with every further
      one, and after many of them; half is left to chance.
    - `ssl_context`: in place of the one with the certificates of the system.

    Raises OptionsError with the codes `invalid_base_url`, `insecure_base_url` and `invalid_token`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        stream: str,
        engine_id: str | None = None,
        *,
        over_safe_network: bool = False,
        answer_ms: int = 10_000,
        content_ms: int = 120_000,
        silence_ms: int = 40_000,
        pause_min_ms: int = 500,
        pause_max_ms: int = 30_000,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        _refuse_unless("url", url, str, "a text")
        _refuse_unless("token", token, str, "a text")
        _refuse_unless("stream", stream, str, "a text")
        _refuse_unless("engine_id", engine_id, (str, type(None)), "a text")
        _refuse_unless("over_safe_network", over_safe_network, bool, "true or false")
        _refuse_unless("ssl_context", ssl_context, (ssl.SSLContext, type(None)), "an `ssl.SSLContext`")
        self._url = url
        self._base = _base_of(url, over_safe_network)
        if not _TOKEN.fullmatch(token):
            what = "not made of visible ASCII characters" if token else "empty"
            raise OptionsError("invalid_token", f"the token is {what}: take the one that HQ gave out for this engine")
        self._token = token
        self._stream = stream
        self._engine_id = engine_id
        self._answer_ms = milliseconds("answer_ms", answer_ms)
        self._content_ms = milliseconds("content_ms", content_ms)
        self._silence_ms = milliseconds("silence_ms", silence_ms)
        self._pause_min_ms = milliseconds("pause_min_ms", pause_min_ms)
        self._pause_max_ms = milliseconds("pause_max_ms", pause_max_ms)
        self._ssl_context = ssl_context
        self._closed = False
        self._left_alone_until = 0.0
        self._begin("nobody has connected yet")

    def __repr__(self) -> str:
        # What it is made of has a token in it.
        return f"HttpSource({self._url!r})"

    def _begin(self, why: str) -> None:
        """What belongs to one process."""
        base = self._base
        self._connections = Connections(base.host, base.port, secure=base.secure, context=self._ssl_context)
        self._hearing = Hearing(False, why)
        self._told: _Told | None = None
        """The hash of the head that HQ told of last, and the head itself where it came along."""
        self._lock = threading.RLock()
        self._unsent: bytes | None = None
        self._listener: threading.Thread | None = None
        self._reporter: threading.Thread | None = None

    @property
    def hearing(self) -> Hearing:
        """Whether it hears of news."""
        return self._hearing

    def head(self, stream: str, known: str | None) -> bytes | None:
        told = self._told
        if told is not None and told.document is not None:
            return None if told.etag == known else told.document
        headers = {} if known is None else {"if-none-match": f'"{known}"'}

        def use(answer: Answer) -> bytes | None:
            return None if answer.status == 304 else answer.read(MAX_HEAD_BYTES)

        return self._ask(f"/v1/snapshots/head?stream={_quoted(stream)}", headers, self._answer_ms, use)

    def content(self, hash: str, length: int) -> Content | None:
        path = f"/v1/snapshots/chunks/{_quoted(hash)}?stream={_quoted(self._stream)}"
        most = min(length, MAX_CONTENT_BYTES)
        # What the worst compression makes of it.
        most += most // 8 + 1024
        began = time.monotonic()
        while True:
            try:
                return self._ask(
                    path,
                    {"accept-encoding": "zstd"},
                    self._content_ms,
                    lambda answer: content_of(answer.read(most)),
                )
            except Failure as failure:
                if failure.status == 404:
                    return None
                # An engine that asks for thousands may be told to wait, and loses nothing by it.
                pause_ms = self._left_alone_ms()
                spent_ms = (time.monotonic() - began) * 1000
                if pause_ms <= 0 or spent_ms + pause_ms >= self._content_ms:
                    raise
                connections = self._connections
                if not connections.pause(pause_ms):
                    raise self._lost(failure, connections) from None

    def pack(self, stream: str) -> bytes | None:
        def use(answer: Answer) -> bytes:
            return answer.read(MAX_PACK_BYTES, self._answer_ms)

        try:
            pack = self._ask(f"/v1/snapshots/pack?stream={_quoted(stream)}", {}, self._content_ms, use)
        except Failure:
            # It is fetched in pieces.
            return None
        return None if len(pack) > MAX_PACK_BYTES else pack

    def report(self, report: dict[str, object]) -> None:
        if self._engine_id is None or self._closed:
            return
        body = json.dumps({"stream": self._stream, **report}).encode()
        with self._lock:
            # Of several, the newest says it all.
            self._unsent = body
            if self._reporter is None:
                path = f"/v1/engines/{_quoted(self._engine_id)}/status"
                reporter = threading.Thread(
                    target=self._report_all, args=(self._connections, path), name="leasehold-reports", daemon=True
                )
                reporter.start()
                self._reporter = reporter

    def listen(self, notify: Callable[[], None]) -> None:
        if self._closed:
            return
        listener = threading.Thread(
            target=self._hear, args=(self._connections, notify), name="leasehold-events", daemon=True
        )
        listener.start()
        self._listener = listener

    def close(self) -> None:
        self._closed = True
        self._connections.close()
        for thread in (self._listener, self._reporter):
            # Whoever is called back may close.
            if thread is not None and thread is not threading.current_thread():
                thread.join(_JOIN_S)

    def forked(self) -> None:
        self._connections.abandon()
        self._begin("the process was forked, and nobody has connected yet")
        if self._closed:
            self._connections.close()

    def _report_all(self, connections: Connections, path: str) -> None:
        pauses = _Pauses(self._pause_min_ms, self._pause_max_ms)
        while True:
            if connections is not self._connections:
                # Greenlets go on in a child process, which sends reports of its own.
                return
            with self._lock:
                report, self._unsent = self._unsent, None
                if report is None or connections.ended:
                    self._reporter = None
                    return
            try:
                self._ask(path, {}, self._answer_ms, lambda _: None, report)
                pauses.reset()
            except Failure as failure:
                # What HQ refuses is not sent again.
                if failure.passing:
                    with self._lock:
                        self._unsent = self._unsent or report
                    connections.pause(pauses.next_ms() + max(0.0, self._left_alone_ms()))

    def _hear(self, connections: Connections, notify: Callable[[], None]) -> None:
        pauses = _Pauses(self._pause_min_ms, self._pause_max_ms)
        while True:
            began = time.monotonic()
            why = "nobody listens any more"
            try:
                self._listen(connections, notify)
                why = "HQ has closed the connection"
            except Exception as error:  # whatever it is, it is told, and news are still to be heard
                why = str(self._lost(error, connections))
            finally:
                # Even where this thread ends by force, it does not claim to hear.
                has_heard = self._told is not None
                if connections is self._connections:
                    self._hearing = Hearing(False, why)
                    self._told = None
            # Whoever closes every connection after the first event is not asked again and again.
            if has_heard and (time.monotonic() - began) * 1000 >= self._pause_max_ms:
                pauses.reset()
            if not connections.pause(pauses.next_ms() + max(0.0, self._left_alone_ms())):
                return

    def _listen(self, connections: Connections, notify: Callable[[], None]) -> None:
        """Hears until the connection ends."""
        self._wait_if_told_to()
        silence = Deadline(self._silence_ms, "it keeps the connection, and tells nothing")
        request = self._request(
            f"/v1/snapshots/events?stream={_quoted(self._stream)}", {"accept": "text/event-stream"}, None
        )
        with connections.asked(request, silence, apart=True) as answer:
            self._welcome(answer)
            if not answer.header("content-type").startswith("text/event-stream"):
                raise Failure("HQ sends no events: it answers with something else")
            events = Events()
            for piece in answer.pieces():
                for event in events.take(piece):
                    if self._take(event, connections, notify):
                        silence.begin_again()

    def _take(self, event: ServerEvent, connections: Connections, notify: Callable[[], None]) -> bool:
        # What later versions tell beside these is not for this one.
        if event.name not in ("head", "heartbeat"):
            return False
        try:
            said: object = json.loads(event.data)
        except (ValueError, RecursionError):
            raise Failure("HQ sends no events: `data` is not JSON") from None
        if not isinstance(said, dict):
            return False
        fields = cast("dict[str, object]", said)
        etag, document = fields.get("etag"), fields.get("document")
        if fields.get("stream") != self._stream:
            return False
        if not isinstance(etag, str) or not _HASH.fullmatch(etag):
            raise Failure("HQ sends no events: `etag` is not a hash")
        head = document.encode(errors="replace") if isinstance(document, str) else None
        if head is not None and (len(head) > MAX_HEAD_BYTES or hashlib.sha256(head).hexdigest() != etag):
            raise Failure("HQ sends no events: `document` is not the one of its `etag`")
        if connections.ended:
            return False
        last = self._told
        is_new = last is None or last.etag != etag
        # A heartbeat without the document leaves the one that came before it.
        if head is None and last is not None and not is_new:
            head = last.document
        self._told = _Told(etag, head)
        self._hearing = Hearing(True)
        if is_new:
            try:
                notify()
            except Exception as error:  # whatever it is, news are still to be heard
                raise Failure(self._shown(f"whoever was to be notified failed: {reason(error)}")) from error
        return True

    def _ask(
        self, path: str, headers: dict[str, str], within_ms: int, use: Callable[[Answer], R], body: bytes | None = None
    ) -> R:
        """Asks, and reads the answer, within so long."""
        connections = self._connections
        try:
            self._wait_if_told_to()
            deadline = Deadline(within_ms, f"HQ does not answer within {within_ms} ms")
            with connections.asked(self._request(path, headers, body), deadline) as answer:
                self._welcome(answer)
                return use(answer)
        except Exception as error:  # whatever it is, it is why there is no answer
            raise self._lost(error, connections) from None

    def _request(self, path: str, headers: dict[str, str], body: bytes | None) -> bytes:
        told = {
            "host": self._base.authority,
            "authorization": f"Bearer {self._token}",
            "user-agent": "leasehold-python",
            "accept-encoding": "identity",
            **headers,
        }
        if body is not None:
            told.update({"content-type": "application/json", "content-length": str(len(body))})
        lines = [f"{'GET' if body is None else 'POST'} {self._base.path}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in told.items()]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")

    def _welcome(self, answer: Answer) -> None:
        """Passes an answer that says yes, or that nothing is new. The token is for the host that was named, whoever
        that host names: a redirect is not followed.
        """
        status = answer.status
        if 200 <= status <= 299 or status == 304:
            return
        self._heed(answer)
        is_redirect = 300 <= status <= 399
        why = "a redirect, which is not followed: mend the base URL" if is_redirect else _problem(answer)
        message = self._shown(f"HQ answers {status}, {why}")
        raise Failure(message, status, passing=status >= 500 or status in (408, 429))

    def _heed(self, answer: Answer) -> None:
        """Leaves HQ alone for as long as it asks for. The other form, a date, would depend on whose clock is right."""
        told = answer.header("retry-after").strip()
        if told.isascii() and told.isdecimal():
            # As many digits as matter: of thousands, Python makes no number.
            wait_s = _MAX_RETRY_AFTER_S if len(told) > 9 else min(int(told), _MAX_RETRY_AFTER_S)
            self._left_alone_until = time.monotonic() + wait_s

    def _left_alone_ms(self) -> float:
        return (self._left_alone_until - time.monotonic()) * 1000

    def _wait_if_told_to(self) -> None:
        left_ms = self._left_alone_ms()
        if left_ms > 0:
            raise Failure(f"HQ asks to be left alone for another {math.ceil(left_ms / 1000)} s")

    def _lost(self, error: Exception, connections: Connections) -> Failure:
        if connections.ended:
            return Failure("HQ is not asked any more: this is closed")
        if isinstance(error, Failure):
            return error
        return Failure(self._shown(f"HQ does not answer: {reason(error)}"))

    def _shown(self, text: str) -> str:
        """A text that HQ sent, or that is about what it sent, fit to be shown."""
        return _CONTROL.sub(" ", text.replace(self._token, "[token]")[:_MOST_SHOWN])


class _Base(NamedTuple):
    """A base URL, taken apart."""

    secure: bool
    host: str
    port: int
    authority: str
    path: str


def _base_of(url: str, over_safe_network: bool) -> _Base:
    def refused(why: str) -> OptionsError:
        # A user before the host may have a password.
        shown = url.rpartition("@")[2]
        return OptionsError("invalid_base_url", f"`{shown}` is not the base URL of an HQ: {why}")

    try:
        parts = urlsplit(url)
        port = parts.port
        # Where a name is not made of ASCII letters, the network knows it by others.
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise refused("it cannot be read as a URL") from None
    if parts.scheme == "" or re.search(r"[\x00-\x20\x7f\\]", url):
        raise refused("it cannot be read as a URL")
    if parts.scheme not in ("http", "https"):
        raise refused("it begins with neither `http://` nor `https://`")
    if host == "":
        raise refused("it cannot be read as a URL")
    if parts.username is not None or parts.password is not None:
        raise refused("a user in it would be sent to nobody")
    if "?" in url or "#" in url:
        raise refused("paths are added to it, so that it can have neither query nor fragment")
    secure = parts.scheme == "https"
    if not secure and not _is_here(host) and not over_safe_network:
        raise OptionsError(
            "insecure_base_url",
            f"over `{url}` anybody on the way can read the token: use `https`, "
            "or say that the way is safe with `over_safe_network`",
        )
    usual_port = 443 if secure else 80
    authority = f"[{host}]" if ":" in host else host
    if port not in (None, usual_port):
        authority += f":{port}"
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return _Base(secure, host, usual_port if port is None else port, authority, path)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _problem(answer: Answer) -> str:
    """What a problem document says (RFC 9457), in one line."""
    try:
        body: object = json.loads(answer.read(_MAX_PROBLEM_BYTES))
    except Exception:  # the status says enough
        return "without saying why"
    if not isinstance(body, dict):
        return "without saying why"
    fields = cast("dict[str, object]", body)
    code, detail = fields.get("code"), fields.get("detail", fields.get("title"))
    said = [f"`{code}`"] if code is not None else []
    said += [str(detail)] if detail is not None else []
    return ": ".join(said) or "without saying why"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _refuse_unless(name: str, value: object, kind: type | tuple[type, ...], what: str) -> None:
    if not isinstance(value, kind):
        raise ArgumentError(f"`{name}` is {what}, not of type {type(value).__name__}")
