"""What HQ answers engines, over a directory of snapshots, and what networks and proxies make of it."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

_CHUNK = re.compile(r"/v1/snapshots/chunks/([0-9a-f]{64})")


class Request(NamedTuple):
    """What was asked, and over which connection."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    port: int


class Exchange(BaseHTTPRequestHandler):
    """A request, and the means to answer it in any way whatever. What ends an answer gives true."""

    protocol_version = "HTTP/1.1"
    # Headers and body are written apart, and the second would wait for the first.
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    body = b""

    @property
    def pathname(self) -> str:
        return urlsplit(self.path).path

    def say(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Literal[True]:
        """Answers, whole and at once."""
        self.begin(status, {"content-length": str(len(body)), **(headers or {})})
        self.wfile.write(body)
        return True

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, piece: bytes) -> None:
        """One piece of a body that was begun with `transfer-encoding: chunked`."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def break_off(self) -> Literal[True]:
        """Ends the connection where it is."""
        self.close_connection = True
        _cut(self.connection)
        return True

    def wait_for_the_end(self) -> Literal[True]:
        """Says nothing until the other side has gone, or the server closes."""
        self.close_connection = True
        with suppress(OSError):
            while self.connection.recv(4096):
                pass
        return True

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        with suppress(ConnectionError, ssl.SSLError):
            self.server.hq.answer(self)

    do_POST = do_GET

    def setup(self) -> None:
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self.server.hq.connections.add(self.connection)

    def finish(self) -> None:
        self.server.hq.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hq: FakeHq
    context: ssl.SSLContext | None

    def handle_error(self, request: object, client_address: object) -> None:
        # Those who ask hang up as they like.
        pass


class FakeHq:
    """HQ on loopback, over a directory with `heads` and `chunks`."""

    def __init__(self, directory: Path, stream: str, context: ssl.SSLContext | None = None) -> None:
        self.directory = directory
        self.stream = stream
        self.requests: list[Request] = []
        """What became of the requests, in the order in which they came."""
        self.reports: list[dict[str, object]] = []
        self.pack: bytes | None = None
        self.instead: Callable[[Exchange], bool] = lambda _: False
        """Answers in place of HQ's: says whether it did."""
        self.connections: set[socket.socket] = set()
        self._streams: set[Exchange] = set()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.hq = self
        self._server.context = context
        self.port = self._server.server_port
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fake-hq", daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeHq:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> bytes:
        return (self.directory / "heads" / f"{self.stream}.head").read_bytes()

    def tell(self, event: str = "head", *, with_document: bool = True, stream: str | None = None) -> None:
        """Tells all who listen of the head that is there now."""
        head = self.head()
        told = {"stream": stream or self.stream, "etag": sha256(head)}
        if with_document:
            told["document"] = head.decode()
        self.tell_raw(f"event: {event}\ndata: {json.dumps(told)}\n\n".encode())

    def tell_raw(self, piece: bytes) -> None:
        with self._lock:
            for listener in self._streams:
                with suppress(OSError):
                    listener.chunk(piece)

    @property
    def listeners(self) -> int:
        return len(self._streams)

    def asked(self, path: str) -> list[Request]:
        """The requests for a path, or below it."""
        return [request for request in list(self.requests) if request.path.startswith(path)]

    def hang_up(self) -> None:
        """Breaks all connections of those who listen."""
        with self._lock:
            for listener in self._streams:
                listener.break_off()

    def cut_all(self) -> None:
        """Breaks all connections."""
        for connection in list(self.connections):
            _cut(connection)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.cut_all()
        self._thread.join()

    def answer(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        request = Request(
            str(exchange.command),
            parts.path,
            parse_qs(parts.query),
            {name.lower(): value for name, value in exchange.headers.items()},
            exchange.client_address[1],
        )
        self.requests.append(request)
        if self.instead(exchange):
            return
        chunk = _CHUNK.fullmatch(parts.path)
        if parts.path == "/v1/snapshots/head":
            head = self.head()
            etag = f'"{sha256(head)}"'
            is_known = request.headers.get("if-none-match") == etag
            exchange.say(304) if is_known else exchange.say(200, head, {"etag": etag})
        elif chunk is not None:
            self._say_chunk(exchange, chunk[1])
        elif parts.path == "/v1/snapshots/pack" and self.pack is not None:
            exchange.say(200, self.pack)
        elif parts.path == "/v1/snapshots/events":
            self._listened(exchange)
        elif parts.path.startswith("/v1/engines/"):
            self.reports.append(json.loads(exchange.body))
            exchange.begin(204, {})
        else:
            exchange.say(404, b'{"code":"not_found"}')

    def _say_chunk(self, exchange: Exchange, name: str) -> None:
        path = self.directory / "chunks" / name[:2] / name
        if path.with_suffix(".zst").exists():
            exchange.say(200, path.with_suffix(".zst").read_bytes(), {"content-encoding": "zstd"})
        elif path.with_suffix(".json").exists():
            exchange.say(200, path.with_suffix(".json").read_bytes())
        else:
            exchange.say(404, b'{"code":"unknown_chunk"}')

    def _listened(self, exchange: Exchange) -> None:
        exchange.begin(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        with self._lock:
            self._streams.add(exchange)
        try:
            self.tell()
            exchange.wait_for_the_end()
        finally:
            with self._lock:
                self._streams.discard(exchange)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _cut(connection: socket.socket) -> None:
    # Below TLS: whoever reads or writes meanwhile is not disturbed by more than the end.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
