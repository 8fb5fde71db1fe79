"""What sources carry: contents, events, and folders, which are a source and what an engine keeps."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest
from leasehold.follow.connection import Failure
from leasehold.follow.events import Events, ServerEvent
from leasehold.follow.folder import Folder
from leasehold.follow.source import MAX_HEAD_BYTES, Content, Encoding, Source, content_of
from support.fake_hq import sha256

STREAM = "GCC-OM"
ZSTD = b"\x28\xb5\x2f\xfd"
HEAD = b'{"revision":1}'
NEXT_HEAD = b'{"revision":2}'


def nothing() -> None:
    pass


# What a source is.


def test_a_content_says_whether_it_is_compressed() -> None:
    assert content_of(b'{"a":1}') == Content("raw", b'{"a":1}')
    assert content_of(ZSTD + b"more") == Content("zstd", ZSTD + b"more")
    assert content_of(b"") == Content("raw", b"")
    assert content_of(ZSTD[:3]) == Content("raw", ZSTD[:3])


def test_a_source_needs_no_more_than_a_head_and_contents() -> None:
    class Own(Source):
        def head(self, stream: str, known: str | None) -> bytes | None:
            return None

        def content(self, hash: str, length: int) -> Content | None:
            return None

    own = Own()
    assert own.pack(STREAM) is None
    own.report({"report": "ack"})
    own.listen(nothing)
    own.forked()
    own.close()
    with pytest.raises(TypeError):
        Source()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


# Server-sent events.

EVENTS: list[tuple[str, bytes, list[tuple[str, str]]]] = [
    ("an event", b"event: head\ndata: {}\n\n", [("head", "{}")]),
    ("without a name", b"data: a\n\n", [("", "a")]),
    ("without a space", b"event:head\ndata:a\n\n", [("head", "a")]),
    ("with two spaces", b"data:  a\n\n", [("", " a")]),
    ("lines that end otherwise", b"event: head\r\ndata: a\r\n\r\ndata: b\r\r", [("head", "a"), ("", "b")]),
    ("several lines of data", b"data: a\ndata\ndata: b\n\n", [("", "a\n\nb")]),
    ("a name alone", b"event: head\n\ndata: a\n\n", [("", "a")]),
    ("comments and other fields", b": ping\n\nid: 5\nretry: 9\nnothing\ndata: a\n\n", [("", "a")]),
    ("what is not complete", b"data: a\n\ndata: b\n", [("", "a")]),
    ("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
    ("more than ASCII", "data: مسقط 🏠\n\n".encode(), [("", "مسقط 🏠")]),
    ("empty data", b"data:\n\n", [("", "")]),
]


@pytest.mark.parametrize(("what", "text", "expected"), EVENTS, ids=[what for what, _, _ in EVENTS])
def test_events_are_the_same_in_whatever_pieces_they_come(
    what: str, text: bytes, expected: list[tuple[str, str]]
) -> None:
    assert Events().take(text) == [ServerEvent(*event) for event in expected]
    for size in (1, 2, 3):
        events = Events()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [event for piece in pieces for event in events.take(piece)] == expected, f"{what}, by {size}"


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([b"data: \xff\n"], "not UTF-8"),
        ([b"data: \xe2\x82", b"\n"], "not UTF-8"),
        ([b"x" * 500_000], "a line without end"),
        ([b"x" * 1000] * 500, "a line without end"),
        ([b"data: " + b"x" * 1000 + b"\n"] * 500, "an event without end"),
        ([b"data:\n"] * 500_000, "an event without end"),
    ],
)
def test_what_cannot_be_events_is_refused(pieces: list[bytes], why: str) -> None:
    events = Events()
    with pytest.raises(Failure, match=why):
        list(map(events.take, pieces))


# Folders.

RAW = b'{"tenants":[]}'
FRAME = ZSTD + b"a frame"
OLD = b'{"old":true}'


def kept_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_a_folder_keeps_and_forgets(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there"
    folder = Folder(root)
    assert repr(folder) == f"Folder({str(root)!r})"
    assert folder.kept(STREAM) == (None, None, [])
    with pytest.raises(FileNotFoundError, match=f"there is no head of {STREAM} in "):
        folder.head(STREAM)
    assert folder.content(sha256(RAW), len(RAW)) is None

    raw, frame, old = sha256(RAW), sha256(FRAME), sha256(OLD)
    folder.persist(STREAM, HEAD, [(raw, "raw", RAW), (frame, "zstd", FRAME), (old, "raw", OLD)], [])
    folder.persist_seen(STREAM, NEXT_HEAD)
    names = [f"chunks/{raw[:2]}/{raw}.json", f"chunks/{frame[:2]}/{frame}.zst", f"chunks/{old[:2]}/{old}.json"]
    assert kept_files(root) == sorted([*names, f"heads/{STREAM}.head", f"heads/{STREAM}.seen"])
    assert folder.head(STREAM) == HEAD
    assert folder.content(raw, len(RAW)) == Content("raw", RAW)
    assert folder.content(frame, len(FRAME)) == Content("zstd", FRAME)
    head, seen, contents = folder.kept(STREAM)
    assert (head, seen) == (HEAD, NEXT_HEAD)
    assert sorted(contents) == sorted([(raw, "raw", RAW), (frame, "zstd", FRAME), (old, "raw", OLD)])

    folder.persist(STREAM, NEXT_HEAD, [], [old])
    assert folder.kept(STREAM).head == NEXT_HEAD
    assert folder.content(old, len(OLD)) is None
    folder.sweep({raw})
    assert kept_files(root) == sorted([names[0], f"heads/{STREAM}.head", f"heads/{STREAM}.seen"])


def test_a_content_that_is_compressed_now_leaves_the_other_form(tmp_path: Path) -> None:
    folder, name = Folder(tmp_path), sha256(RAW)
    for encoding, data in (("raw", RAW), ("zstd", FRAME), ("raw", RAW)):
        given: Encoding = "zstd" if encoding == "zstd" else "raw"
        folder.persist(STREAM, HEAD, [(name, given, data)], [])
        assert folder.kept(STREAM).contents == [(name, given, data)]


def test_streams_that_share_a_folder_share_contents(tmp_path: Path) -> None:
    folder, name = Folder(str(tmp_path)), sha256(RAW)
    folder.persist(STREAM, HEAD, [(name, "raw", RAW)], [])
    folder.persist("GCC-SA", HEAD, [], [])
    folder.persist(STREAM, NEXT_HEAD, [], [name])
    folder.sweep(set())
    assert folder.content(name, len(RAW)) == Content("raw", RAW)
    assert folder.kept("GCC-SA").head == HEAD


def test_what_a_crash_left_behind_is_swept(tmp_path: Path) -> None:
    folder, name = Folder(tmp_path), sha256(RAW)
    folder.persist(STREAM, HEAD, [(name, "raw", RAW)], [])
    before = kept_files(tmp_path)
    (tmp_path / "heads" / f".{STREAM}.head.17.half").write_bytes(b"{")
    (tmp_path / "chunks" / name[:2] / f".{name}.json.17.half").write_bytes(b"{")
    assert folder.kept(STREAM) == (HEAD, None, [(name, "raw", RAW)]), "what is half written is not kept"
    folder.sweep({name})
    assert kept_files(tmp_path) == before


def test_what_cannot_be_read_is_as_good_as_not_there(tmp_path: Path) -> None:
    folder, good, bad = Folder(tmp_path), sha256(RAW), sha256(OLD)
    folder.persist(STREAM, HEAD, [(good, "raw", RAW)], [])
    (tmp_path / "chunks" / bad[:2] / f"{bad}.zst").mkdir(parents=True)
    (tmp_path / "chunks" / "README").write_text("not ours")
    (tmp_path / "heads" / f"{STREAM}.seen").mkdir()
    assert folder.kept(STREAM) == (HEAD, None, [(good, "raw", RAW)])
    with pytest.raises(OSError, match=r"directory|exists|denied"):
        folder.content(bad, len(OLD))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    os.mkfifo(tmp_path / "heads" / f"{STREAM}.head")
    assert Folder(tmp_path).head(STREAM) == b""


def test_more_than_is_allowed_is_not_read(tmp_path: Path) -> None:
    folder, name = Folder(tmp_path), sha256(RAW)
    folder.persist(STREAM, b"x" * (MAX_HEAD_BYTES + 500), [(name, "raw", RAW)], [])
    assert len(folder.head(STREAM)) == MAX_HEAD_BYTES + 1
    assert folder.content(name, 5) == Content("raw", RAW[:6])


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, name = Folder(tmp_path), sha256(RAW)
    folder.persist(STREAM, HEAD, [(name, "raw", RAW)], [])
    before = kept_files(tmp_path)

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.persist(STREAM, NEXT_HEAD, [(name, "raw", RAW)], [])
    with pytest.raises(OSError, match="No space left"):
        folder.persist_seen(STREAM, NEXT_HEAD)
    assert kept_files(tmp_path) == before
    assert folder.head(STREAM) == HEAD


def test_a_folder_in_the_way_leaves_what_was_kept(tmp_path: Path) -> None:
    folder, first, second = Folder(tmp_path), sha256(RAW), sha256(OLD)
    folder.persist(STREAM, HEAD, [], [])
    (tmp_path / "chunks" / second[:2] / f"{second}.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"directory|exists|denied"):
        folder.persist(STREAM, NEXT_HEAD, [(first, "raw", RAW), (second, "raw", OLD)], [])
    assert folder.head(STREAM) == HEAD
    assert list(tmp_path.rglob(".*")) == []

    other = Folder(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "chunks").write_text("in the way")
    with pytest.raises(OSError, match=r"directory|exists|denied"):
        other.persist(STREAM, HEAD, [(first, "raw", RAW)], [])
    assert kept_files(tmp_path / "other") == ["chunks"]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synchronised there")
def test_a_head_has_its_name_only_when_all_that_it_names_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = Folder(tmp_path), {sha256(data): data for data in (RAW, FRAME)}
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def said(path: str) -> str:
        # Without what makes the name of a file that is being written its own.
        relative = os.path.relpath(path, tmp_path)
        folder, name = os.path.split(relative)
        return f"{folder}/aside" if name.startswith(".") and name != "." else relative

    def synced(number: int) -> None:
        done.append(("sync", said(os.readlink(f"/proc/self/fd/{number}"))))
        fsync(number)

    def renamed(self: Path, target: Path) -> Path:
        done.append(("rename", said(str(target))))
        return replace(self, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("nobody says what a file descriptor stands for")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    folder.persist(STREAM, HEAD, [(name, "raw", data) for name, data in names.items()], [])
    asides = [("sync", f"chunks/{name[:2]}/aside") for name in names]
    renames = [("rename", f"chunks/{name[:2]}/{name}.json") for name in names]
    folders = [("sync", f"chunks/{name[:2]}") for name in names]
    made = [("sync", "."), ("sync", "chunks"), ("sync", "chunks")]
    assert done[:7] == [*made, *asides, *renames]
    assert sorted(done[7:9]) == sorted(folders)
    assert done[9:] == [("sync", "."), ("sync", "heads/aside"), ("rename", f"heads/{STREAM}.head"), ("sync", "heads")]
