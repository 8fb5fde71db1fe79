"""A folder with snapshots: what a publisher writes, and what an engine keeps for its next start.

The engines of other languages read and write the same.

```text
heads/STREAM.head            the current head
heads/STREAM.seen            the highest head that was seen, where an engine keeps it
chunks/AB/ABCD….zst          contents by hash, or `.json` where they are not compressed
```

A file is written under another name and renamed when it is on disk: what bears its name is whole.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence, Set
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..errors import ArgumentError
from .source import MAX_CONTENT_BYTES, MAX_HEAD_BYTES, Content, Encoding, Source, content_of

_EXTENSIONS: dict[Encoding, str] = {"zstd": "zst", "raw": "json"}
_HASH = re.compile(r"[0-9a-f]{64}")


class Kept(NamedTuple):
    """What a folder held when it was looked into."""

    head: bytes | None
    seen: bytes | None
    contents: list[tuple[str, Encoding, bytes]]
    """Hash, encoding and bytes of each."""


class Folder(Source):
    """A folder as a source, and as the place where an engine keeps what is in force."""

    def __init__(self, root: str | PathLike[str]) -> None:
        self._root = _path(root)

    def __repr__(self) -> str:
        return f"Folder({str(self._root)!r})"

    def head(self, stream: str, known: str | None = None) -> bytes:
        head = _read(self._head(stream, "head"), MAX_HEAD_BYTES)
        if head is None:
            raise FileNotFoundError(f"there is no head of {stream} in {self._root}")
        return head

    def content(self, hash: str, length: int) -> Content | None:
        for encoding in _EXTENSIONS:
            data = _read(self._content(hash, encoding), min(length, MAX_CONTENT_BYTES))
            if data is not None:
                return content_of(data)
        return None

    def kept(self, stream: str) -> Kept:
        """What was kept; what cannot be read is as good as not there, and the engine says what it misses."""
        contents: list[tuple[str, Encoding, bytes]] = []
        for path in self._contents():
            name = _hash_of(path)
            data = _read_if_readable(path, MAX_CONTENT_BYTES) if _HASH.fullmatch(name) else None
            if data is not None:
                content = content_of(data)
                contents.append((name, content.encoding, content.data))
        return Kept(
            head=_read_if_readable(self._head(stream, "head"), MAX_CONTENT_BYTES),
            seen=_read_if_readable(self._head(stream, "seen"), MAX_HEAD_BYTES),
            contents=contents,
        )

    def persist(
        self, stream: str, head: bytes, contents: Sequence[tuple[str, Encoding, bytes]], obsolete: Sequence[str]
    ) -> None:
        """Keeps contents, then the head that names them, then forgets what it no longer names."""
        written: list[tuple[Path, Path]] = []
        try:
            for name, encoding, data in contents:
                path = self._content(name, encoding)
                written.append((_write_aside(path, data), path))
            # First all are written, then all are waited for: the disk does most of it in one go.
            for aside, _ in written:
                _sync_file(aside)
            for aside, path in written:
                aside.replace(path)
        except BaseException:
            # A full disk is not left fuller than it was.
            for aside, _ in written:
                _forget(aside)
            raise
        for name, encoding, _ in contents:
            self._content(name, "raw" if encoding == "zstd" else "zstd").unlink(missing_ok=True)
        for folder in {path.parent for _, path in written}:
            _sync_folder(folder)
        _write_whole(self._head(stream, "head"), head)
        if self._is_alone():
            for name in obsolete:
                for encoding in _EXTENSIONS:
                    # What stays behind costs room, and is swept at the next start.
                    _forget(self._content(name, encoding))

    def persist_seen(self, stream: str, head: bytes) -> None:
        """Keeps the highest head that was seen."""
        _write_whole(self._head(stream, "seen"), head)

    def sweep(self, needed: Set[str]) -> None:
        """Removes what nothing needs any more: what a crash left behind, and contents that no head names.

        Only for a folder that nobody else writes.
        """
        for path in _list(self._root / "heads"):
            if path.name.startswith("."):
                path.unlink(missing_ok=True)
        if self._is_alone():
            for path in self._contents():
                if _hash_of(path) not in needed:
                    path.unlink(missing_ok=True)

    def _is_alone(self) -> bool:
        """Streams that share a folder share contents."""
        return sum(path.name.endswith(".head") for path in _list(self._root / "heads")) == 1

    def _contents(self) -> list[Path]:
        return [path for folder in _list(self._root / "chunks") for path in _list(folder)]

    def _head(self, stream: str, extension: str) -> Path:
        return self._root / "heads" / f"{stream}.{extension}"

    def _content(self, name: str, encoding: Encoding) -> Path:
        return self._root / "chunks" / name[:2] / f"{name}.{_EXTENSIONS[encoding]}"


def _path(root: str | PathLike[str]) -> Path:
    """What a folder was called, where that can be the name of one."""
    if not isinstance(root, (str, PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"a folder is a str or a path, not of type `{type(root).__name__}`")
    path = os.fspath(root)
    if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"a folder is a str or a path, not of type `{type(root).__name__}`")
    if not path:
        raise ArgumentError("a folder has a name, which is empty: `.` is where the process is")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ArgumentError("the name of a folder holds a lone surrogate, which no name has") from None
    if "\0" in path:
        raise ArgumentError("the name of a folder holds a NUL, which no name has")
    # Wherever the process goes from here on.
    return Path(path).absolute()


def _hash_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _list(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is no folder."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(path: Path, most: int) -> bytes | None:
    """A file, of which one byte more than is allowed is read: whoever wants it refuses it. None where there is none."""
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - opening has errors of its own
    except FileNotFoundError:
        return None
    with file:
        # Asked for more, Python would set the room aside for all that is allowed.
        return file.read(min(os.fstat(file.fileno()).st_size, most + 1))


def _read_if_readable(path: Path, most: int) -> bytes | None:
    try:
        return _read(path, most)
    except OSError:
        return None


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file; a pipe under its name would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write_aside(path: Path, data: bytes) -> Path:
    """Writes a file under another name in its folder."""
    _make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4()}")
    try:
        aside.write_bytes(data)
    except BaseException:
        _forget(aside)
        raise
    return aside


def _write_whole(path: Path, data: bytes) -> None:
    aside = _write_aside(path, data)
    try:
        _sync_file(aside)
        aside.replace(path)
    except BaseException:
        _forget(aside)
        raise
    _sync_folder(path.parent)


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, so that they are still there after a power cut."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_file(path: Path) -> None:
    """Sees to it that a file is on disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Sees to it that the names in a folder are on disk."""
    if os.name == "nt":
        # Folders cannot be opened there, and names are written with the files.
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
