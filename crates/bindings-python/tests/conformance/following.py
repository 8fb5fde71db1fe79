"""Scripts for a follower: what happens, one event after another, and what it is to do about each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leasehold import Engine, SnapshotError
from leasehold._native import Action, Follower
from leasehold.documents import hash_of

from .answers import raised, said
from .engine import ask
from .vectors import Outcome, agreed, at_any, bytes_of, fail, only_keys, text, time, trust, wrong

Told = dict[str, Any]


def follow(args: Mapping[str, Any], documents: Mapping[str, Any]) -> str | None:
    """Follows a script; gives the first step whose outcome is another, with what is wrong."""
    only_keys(args, ["trust", "engine", "tenant", "steps"], "args")
    script = _Script(args, documents)
    for at, step in enumerate(args["steps"]):
        what = wrong(script.take(step), step)
        if what is not None:
            return f"step {at}: {what}"
    return None


class _Script:
    """A follower, and what its host remembers."""

    def __init__(self, args: Mapping[str, Any], documents: Mapping[str, Any]) -> None:
        self._args = args
        self._documents = {name: bytes_of(document) for name, document in documents.items()}
        self._names: dict[str, str] = {}
        """The names of documents by their hashes: of two that are alike, the first."""
        for name, document in self._documents.items():
            self._names.setdefault(hash_of(document), name)
        self._follower = self._begun()
        self._timers: list[int] = []
        self._tokens: list[int] = []
        self._seen: str | None = None
        """The head that was remembered last as the highest that was seen."""

    def _begun(self) -> Follower:
        return Follower(trust(self._args), engine=self._args.get("engine"), tenant=self._args.get("tenant"))

    def take(self, step: Mapping[str, Any]) -> Outcome:
        """What comes of a step: actions and health, or an answer."""
        if "call" in step:
            only_keys(step, ["call", "args", "expect", "error"], "step")
            snapshot = self._follower.snapshot() or fail(f"nothing to answer from: {step}")
            return ask(Engine(snapshot), text(step, "call"), step["args"])
        only_keys(step, ["event", "now", "random", "expect", "error"], "step")
        now = time(step.get("now"))
        try:
            taken = self._happens(step["event"], now, step.get("random", 0))
        except SnapshotError as error:
            told = raised(error)
            return Outcome(error=self._named({key: told[key] for key in ("code", "stage", "item")}))
        actions = [action for action in map(self._action, taken) if not self._is_seen(action)]
        health = at_any(now, self._follower.health).answer
        self._compare_health(health)
        faults = [fault["code"] for fault in health["faults"]]
        return Outcome({**self._named(health), "faults": faults, "actions": actions})

    def _compare_health(self, health: Told) -> None:
        snapshot = self._follower.snapshot()
        assert (0 if snapshot is None else snapshot.revision) == (health["revision"] or 0)
        assert agreed([lambda: self._follower.health(None).revision]).answer == health["revision"]

    def _is_seen(self, action: Told) -> bool:
        """To remember the same head once more comes to nothing."""
        if "persist_seen" not in action:
            return False
        before, self._seen = self._seen, action["persist_seen"]
        return before == self._seen

    def _happens(self, event: Any, now: int, random: int) -> list[Action]:
        if isinstance(event, dict) and len(event) != 1:
            fail(f"two events at once: {event}")
        kind: str
        told: Any
        kind, told = (event, None) if isinstance(event, str) else next(iter(event.items()))
        if kind == "restore":
            return self._restore(told, now)
        if kind == "open":
            return self._remember(self._follower.open(self._document(told), now))
        actions: list[Action] = []
        for name, more in self._read(kind, told):
            actions += self._follower.handle(name, now, random, **more)
        return self._remember(actions)

    def _read(self, kind: str, told: Any) -> list[tuple[str, Told]]:
        def before(numbers: list[int], steps: int) -> int:
            return numbers[-1 - steps] if len(numbers) > steps else fail(f"`{kind}`: none yet")

        def content(name: str, as_name: str) -> tuple[str, Told]:
            hash = hash_of(self._document(name))
            return "chunk", {"hash": hash, "encoding": "raw", "document": self._document(as_name)}

        if kind in ("started", "notified", "connection_lost"):
            return [(kind, {})]
        if kind in ("timer", "timer_before"):
            return [("timer", {"number": before(self._timers, int(kind == "timer_before"))})]
        if kind in ("persisted", "persisted_before"):
            return [("persisted", {"number": before(self._tokens, int(kind == "persisted_before"))})]
        if kind == "not_persisted":
            return [("not_persisted", {"number": before(self._tokens, 0), "why": "the disk is full"})]
        if kind == "head":
            return [("head", {"document": self._document(told)})]
        if kind == "not_modified":
            return [("not_modified", {} if told is None else {"document": self._document(told)})]
        if kind == "head_failed":
            return [("head_failed", {"why": told})]
        if kind == "chunks":
            return [content(name, name) for name in told]
        if kind == "damaged":
            only_keys(told, ["chunk", "as"], "damaged")
            return [content(text(told, "chunk"), text(told, "as"))]
        if kind == "chunk_missing":
            return [(kind, {"hash": hash_of(self._document(told))})]
        if kind == "chunk_failed":
            return [(kind, {"hash": hash_of(self._document(told)), "why": "503"})]
        return fail(f"unknown event `{kind}`")

    def _restore(self, kept: Mapping[str, Any], now: int) -> list[Action]:
        """Begins again, with what was kept."""
        only_keys(kept, ["head", "seen", "contents"], "restore")
        head, seen = (self._document(kept[name]) if name in kept else None for name in ("head", "seen"))
        contents = [self._document(name) for name in kept.get("contents", self._documents)]
        self._follower = self._begun()
        self._seen = None
        named = [(hash_of(content), "raw", content) for content in contents]
        return self._remember(self._follower.restore(head, seen, named, now))

    def _remember(self, actions: list[Action]) -> list[Action]:
        self._timers += [action.number for action in actions if action.kind == "wait"]
        self._tokens += [action.number for action in actions if action.kind == "persist"]
        return actions

    def _action(self, action: Action) -> Told:
        kind = action.kind
        if kind == "fetch_head":
            return {kind: None if action.hash is None else self._name(action.hash)}
        if kind == "fetch_chunk":
            name = self._name(action.hash or "")
            assert name not in self._documents or action.length == len(self._documents[name])
            return {kind: name}
        if kind == "wait":
            return {"wait_ms": action.ms}
        if kind == "swap":
            return {kind: action.number}
        if kind == "persist":
            chunks = sorted(self._name(hash) for hash, _, _ in action.contents)
            obsolete = sorted(self._name(hash) for hash in action.obsolete)
            head = self._name(hash_of(action.document or b""))
            return {kind: {"head": head, "chunks": chunks, "obsolete": obsolete}}
        if kind == "persist_seen":
            return {kind: self._name(hash_of(action.document or b""))}
        if kind == "report":
            return {kind: self._named(json.loads(action.report or ""))}
        return fail(f"unknown action `{kind}`")

    def _document(self, name: str) -> bytes:
        return self._documents[name] if name in self._documents else fail(f"no document is called `{name}`")

    def _name(self, hash: str) -> str:
        """The name of a document, or its hash where it has none."""
        return self._names.get(hash, hash)

    def _named(self, value: Told) -> Told:
        """The same with the names of documents in place of their hashes."""
        written = json.dumps(said(value))
        for hash, name in self._names.items():
            written = written.replace(hash, name)
        named: Told = json.loads(written)
        return named
