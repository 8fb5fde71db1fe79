"""Connections to one server that keep to their time, and that another thread can end.

The standard library waits anew for every piece that comes. Here the time is for the whole answer, however it drips.
"""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK))

_MAX_IDLE_S = 30.0
"""Longest time for which a connection is kept without a question: what is on the way forgets those that are quiet."""
_PIECE_BYTES = 64 << 10

_inherited: list[socket.socket] = []
"""Sockets of a parent process. Were they freed, OpenSSL would take locks that nobody in this process gives back."""


class Failure(Exception):
    """Why there is no answer."""

    def __init__(self, message: str, status: int | None = None, *, passing: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.passing = passing
        """Whether the same may go well another time."""


class Deadline:
    """Until when something is waited for, and what is said when it did not come."""

    def __init__(self, ms: int, why: str) -> None:
        self._ms = ms
        self._why = why
        self.begin_again()

    def begin_again(self) -> None:
        self._at = time.monotonic() + self._ms / 1000

    def left_s(self) -> float:
        """What is left, in seconds. Raises Failure where that is nothing."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise Failure(self._why)
        return left


class Connection:
    """A connection, on which one answer follows the other."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.has_heard = False
        """Whether anything of the answer has come."""
        self.silence_ms: int | None = None
        """Longest wait for a piece of the answer, where that is less than for the whole."""
        self._deadline: Deadline | None = None
        self._idle_since = 0.0

    def ask(self, request: bytes, deadline: Deadline) -> HTTPResponse:
        self.has_heard, self.silence_ms, self._deadline = False, None, deadline
        self.socket.settimeout(deadline.left_s())
        try:
            self.socket.sendall(request)
        except TimeoutError:
            deadline.left_s()
            raise
        # Of a socket, it wants nothing but `makefile`.
        response = HTTPResponse(cast("socket.socket", self))
        response.begin()
        return response

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Incoming(self))

    def receive_into(self, buffer: WriteableBuffer) -> int:
        assert self._deadline is not None
        until = None if self.silence_ms is None else time.monotonic() + self.silence_ms / 1000
        while True:
            left = self._deadline.left_s()
            if until is not None:
                left = min(left, until - time.monotonic())
                if left <= 0:
                    raise Failure(f"nothing came for {self.silence_ms} ms")
            self.socket.settimeout(left)
            try:
                count = self.socket.recv_into(buffer)
            except TimeoutError:
                # Whose time is over is looked at again.
                continue
            self.has_heard = self.has_heard or count > 0
            return count

    def rest(self) -> None:
        """Nothing is asked for now."""
        self._idle_since = time.monotonic()

    def is_fresh(self) -> bool:
        """Whether another question may go well: what was closed, or says something unasked, is of no use."""
        if time.monotonic() - self._idle_since > _MAX_IDLE_S:
            return False
        try:
            self.socket.settimeout(0)
            # Below TLS, which cannot look without taking.
            socket.socket.recv(self.socket, 1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False


class _Incoming(io.RawIOBase):
    """What comes over a connection for one answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._connection.receive_into(buffer)


class Answer:
    """An answer whose body is still to come."""

    def __init__(self, connection: Connection, response: HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self._is_read = response.length == 0

    @property
    def status(self) -> int:
        return self._response.status

    def header(self, name: str) -> str:
        """A header; empty where there is none."""
        return self._response.headers.get(name) or ""

    @property
    def leaves_the_connection(self) -> bool:
        """Whether another answer can follow on the same connection."""
        return self._is_read and not self._response.will_close

    def pieces(self) -> Iterator[bytes]:
        """The body, piece by piece as it comes."""
        left = self._response.length
        while left is None or left > 0:
            piece = self._response.read1(_PIECE_BYTES if left is None else min(left, _PIECE_BYTES))
            if not piece:
                if left is not None:
                    raise IncompleteRead(b"", left)
                break
            if left is not None:
                left -= len(piece)
            yield piece
        self._is_read = True

    def read(self, most: int, silence_ms: int | None = None) -> bytes:
        """The body, of which one byte more than is allowed is read: what it is for refuses it."""
        self._connection.silence_ms = silence_ms
        body = io.BytesIO()
        for piece in self.pieces():
            body.write(piece)
            if body.tell() > most:
                body.truncate(most + 1)
                break
        return body.getvalue()


class _Lookup(threading.Thread):
    """Looks a name up. That can be neither bounded nor ended, so that a thread waits for it on which nobody depends."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="leasehold-lookup", daemon=True)
        self._host = host
        self._port = port
        self.done = threading.Event()
        self.addresses: list[_Address] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.addresses = list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except Exception as error:  # it is told to whoever asked
            self.error = error
        finally:
            self.done.set()


class Connections:
    """All connections of one process to one server."""

    def __init__(self, host: str, port: int, *, secure: bool, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._secure = secure
        self._context = context
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._ended = False
        self._sockets: set[socket.socket] = set()
        """Every socket, so that another thread can end what waits for it."""
        self._idle: Connection | None = None
        self._lookup: _Lookup | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is asked any more."""
        return self._ended

    @contextmanager
    def asked(self, request: bytes, deadline: Deadline, *, apart: bool = False) -> Generator[Answer, None, None]:
        """The answer to a request; over a connection of its own, where it stays apart.

        A connection that was kept may have been closed while the request was on its way: it is asked once more then.
        """
        connection = None if apart else self._kept()
        response = None
        if connection is not None:
            try:
                response = connection.ask(request, deadline)
            except (OSError, HTTPException):
                self._drop(connection)
                if connection.has_heard or self._ended:
                    raise
            except BaseException:
                self._drop(connection)
                raise
        if connection is None or response is None:
            connection = self._connect(deadline)
            try:
                response = connection.ask(request, deadline)
            except BaseException:
                self._drop(connection)
                raise
        answer = Answer(connection, response)
        try:
            yield answer
        finally:
            if answer.leaves_the_connection:
                self._keep(connection)
            else:
                self._drop(connection)

    def pause(self, ms: float) -> bool:
        """Waits; false where it was closed meanwhile."""
        self._wake.wait(ms / 1000)
        return not self._ended

    def close(self) -> None:
        """Ends what is under way, at once, in whichever threads."""
        with self._lock:
            self._ended = True
            idle, self._idle = self._idle, None
            for sock in list(self._sockets):
                # Below TLS, whose state belongs to the thread that reads. That one also closes it.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            lookup = self._lookup
        if idle is not None:
            self._drop(idle)
        if lookup is not None:
            lookup.done.set()
        self._wake.set()

    def abandon(self) -> None:
        """Lets go of what a parent process shares: its connections go on, and nobody learns that there are two."""
        self._ended = True
        for sock in list(self._sockets):
            number = sock.detach()
            if number >= 0:
                with suppress(OSError):
                    socket.close(number)
            _inherited.append(sock)
        self._sockets = set()
        self._idle = None
        # Whoever held these locks is not in this process.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._wake.set()

    def _kept(self) -> Connection | None:
        with self._lock:
            connection, self._idle = self._idle, None
        if connection is not None and not connection.is_fresh():
            self._drop(connection)
            return None
        return connection

    def _keep(self, connection: Connection) -> None:
        connection.rest()
        with self._lock:
            if self._idle is None and not self._ended:
                self._idle = connection
                return
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._release(connection.socket)

    def _release(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(sock)
            sock.close()

    def _connect(self, deadline: Deadline) -> Connection:
        addresses = self._addresses(deadline)
        error = OSError("its name has no address")
        for index, address in enumerate(addresses):
            try:
                # One address that leads nowhere leaves time for the others.
                sock = self._reached(address, deadline.left_s() / (len(addresses) - index))
            except OSError as failed:
                self._refuse_if_ended()
                error = failed
                continue
            return Connection(self._secured(sock, deadline) if self._secure else sock)
        if isinstance(error, TimeoutError):
            deadline.left_s()
        raise error

    def _reached(self, to: _Address, within_s: float) -> socket.socket:
        family, kind, protocol, _, address = to
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(0)
            with self._lock:
                # Only a connection that has begun can be ended by another thread.
                self._refuse_if_ended()
                self._sockets.add(sock)
                code = sock.connect_ex(address)
            if code in _UNDER_WAY:
                with selectors.DefaultSelector() as selector:
                    selector.register(sock, selectors.EVENT_WRITE)
                    if not selector.select(within_s):
                        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code != 0:
                raise OSError(code, os.strerror(code))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self._release(sock)
            raise
        return sock

    def _addresses(self, deadline: Deadline) -> list[_Address]:
        with self._lock:
            self._refuse_if_ended()
            lookup = self._lookup
            if lookup is None or lookup.done.is_set():
                lookup = _Lookup(self._host, self._port)
                lookup.start()
                self._lookup = lookup
        while not lookup.done.wait(deadline.left_s()):
            pass
        self._refuse_if_ended()
        if lookup.error is not None:
            raise lookup.error
        return lookup.addresses

    def _secured(self, sock: socket.socket, deadline: Deadline) -> socket.socket:
        secured = None
        try:
            if self._context is None:
                self._context = ssl.create_default_context()
                self._context.set_alpn_protocols(["http/1.1"])
            with self._lock:
                # The socket changes hands without ever being out of the reach of `close`.
                secured = self._context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
                self._sockets.discard(sock)
                self._sockets.add(secured)
            secured.settimeout(deadline.left_s())
            secured.do_handshake()
        except BaseException as error:
            self._release(sock if secured is None else secured)
            if isinstance(error, TimeoutError):
                deadline.left_s()
            raise
        return secured

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise Failure("it is not asked any more: this is closed")


def reason(error: Exception) -> str:
    """What went wrong on the way, in the words of whoever says it best."""
    if isinstance(error, RemoteDisconnected):
        return "it closes the connection without a word"
    if isinstance(error, IncompleteRead):
        return "its answer breaks off"
    if isinstance(error, HTTPException):
        return f"what it sends is not HTTP ({str(error) or type(error).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
