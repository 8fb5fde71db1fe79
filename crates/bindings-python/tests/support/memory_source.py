"""Snapshots in memory: those that the vectors of following are made of."""

from __future__ import annotations

from conformance.vectors import bytes_of, read
from leasehold import Content, Source
from leasehold.documents import hash_of


class MemorySource(Source):
    """Has the heads of `follow.json`, of which it gives one, and all that they name."""

    def __init__(self, head: str = "head_1") -> None:
        documents = {name: bytes_of(document) for name, document in read("follow.json")["documents"].items()}
        self._contents = {hash_of(document): document for document in documents.values()}
        self._documents = documents
        self.current = head

    def head(self, stream: str, known: str | None) -> bytes | None:
        head = self._documents[self.current]
        return None if known == hash_of(head) else head

    def content(self, hash: str, length: int) -> Content | None:
        content = self._contents.get(hash)
        return None if content is None else Content("raw", content)
