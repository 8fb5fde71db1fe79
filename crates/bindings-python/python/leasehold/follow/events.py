"""Server-sent events: a text of lines, of which an empty one ends each event."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from .connection import Failure
from .source import MAX_HEAD_BYTES

_MOST = 6 * MAX_HEAD_BYTES + 1024
"""Longest line, and most data of one event, in characters: a head, of which JSON may spell every byte with six."""

_LINE_END = re.compile(r"\r\n|\r|\n")


class ServerEvent(NamedTuple):
    """One event, as far as it is of interest here."""

    name: str
    data: str


class Events:
    """Takes a stream of events apart, piece by piece as it comes."""

    def __init__(self) -> None:
        # With a byte order mark before the first line, or without.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._line: list[str] = []
        self._line_length = 0
        # The last line ended with a carriage return, to which a line feed may belong.
        self._returned = False
        self._name = ""
        self._data: list[str] | None = None
        self._data_length = 0

    def take(self, piece: bytes) -> list[ServerEvent]:
        """The events that are complete with this piece. Raises Failure for what cannot be events."""
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError:
            raise Failure("it sends something that is not UTF-8") from None
        if self._returned and text.startswith("\n"):
            text = text[1:]
            self._returned = False
        if text:
            self._returned = text.endswith("\r")
        *lines, rest = _LINE_END.split(text)
        events: list[ServerEvent] = []
        for line in lines:
            self._grow(line)
            whole = "".join(self._line)
            self._line, self._line_length = [], 0
            self._take(whole, events)
        self._grow(rest)
        return events

    def _grow(self, piece: str) -> None:
        self._line_length += len(piece)
        if self._line_length > _MOST:
            raise Failure("it sends a line without end")
        self._line.append(piece)

    def _take(self, line: str, events: list[ServerEvent]) -> None:
        if not line:
            if self._data is not None:
                events.append(ServerEvent(self._name, "\n".join(self._data)))
            self._name, self._data, self._data_length = "", None, 0
            return
        # Comments begin with a colon; other fields say nothing here.
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data = [] if self._data is None else self._data
            self._data.append(value)
            self._data_length += len(value) + 1
            if self._data_length > _MOST + 1:
                raise Failure("it sends an event without end")
